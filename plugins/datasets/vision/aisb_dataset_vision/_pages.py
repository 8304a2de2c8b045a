"""Read OmniDocBench: the image of a page, and its elements in reading order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from aisb import DataError, DataFiles, Row
from aisb.helpers import read_json

IMAGE_FOLDER = "images"
KEPT = ("category", "order", "text", "latex", "html")


def omnidocbench(*, files: DataFiles) -> Iterator[Row]:
    """Rows of OmniDocBench.json with `image_path`, `elements`, `page` and the attributes of the page.

    `elements` are the annotated parts with `category`, `order`, and `text`, `latex` or `html`; the parts of a
    paragraph that the layout cuts are one. `page` is the page as Markdown, in reading order.
    """
    for row in read_json(files=files):
        try:
            elements = _merged(row)
            image = PurePosixPath(str(row["page_info"]["image_path"])).name
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{files.position}: not a page of OmniDocBench ({error!r}); it has layout_dets, each with "
                "category_type and anno_id, and page_info with image_path"
            ) from error
        attributes = row["page_info"].get("page_attribute") or {}
        assert files.current  # noqa: S101 - a row was read from it
        yield {
            "image_path": str(files.current.path.parent / IMAGE_FOLDER / image),
            "elements": elements,
            "page": markdown_page(elements),
            "source": attributes.get("data_source", ""),
            "language": attributes.get("language", ""),
            "layout": attributes.get("layout", ""),
        }


def _merged(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the parts of a page; those that a relation `truncated` connects are one, in their order."""
    parts = {part["anno_id"]: _element(part) for part in row["layout_dets"]}
    owner = {key: key for key in parts}
    for relation in (row.get("extra") or {}).get("relation") or ():
        ends = (relation.get("source_anno_id"), relation.get("target_anno_id"))
        if relation.get("relation_type") != "truncated" or not set(ends) <= parts.keys():
            continue
        first, second = (owner[end] for end in ends)
        owner = {key: first if of == second else of for key, of in owner.items()}
    together: dict[Any, list[dict[str, Any]]] = {}
    for key, part in parts.items():
        together.setdefault(owner[key], []).append(part)
    return [_joined(sorted(of, key=_place)) for of in together.values()]


def _element(part: Mapping[str, Any]) -> dict[str, Any]:
    kept = {"category": part["category_type"], **{key: part.get(key) for key in KEPT[1:]}}
    return {key: value for key, value in kept.items() if value is not None}


def _joined(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    if len(parts) == 1:
        return parts[0]
    return {**parts[0], "text": "".join(str(part.get("text", "")) for part in parts)}


def _place(part: Mapping[str, Any]) -> float:
    return float(part.get("order") or 0)


def markdown_page(elements: Sequence[Mapping[str, Any]]) -> str:
    """Return a page as Markdown, in the form of a completely correct reply."""
    return "\n\n".join(text for one in sorted(elements, key=_place) if (text := _markdown(one)))


def _markdown(element: Mapping[str, Any]) -> str:
    if element["category"] == "table":
        return str(element.get("html", ""))
    if "latex" in element:
        return f"$$\n{str(element['latex']).strip().strip('$').strip()}\n$$"
    text = str(element.get("text", "")).strip()
    return f"# {text}" if element["category"] == "title" and text else text
