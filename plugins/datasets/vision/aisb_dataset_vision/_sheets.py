"""Read the tables that VLMEvalKit publishes: one question per row, images in base64, options A, B, C."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from string import ascii_uppercase
from typing import Annotated, Any

from aisb import DataFiles, Row
from aisb.helpers import read_csv
from aisb_dataset_vision._options import parse_list

REFERENCE = 64
"""A cell of at most this many characters is not an image, but the index of the row whose image it shares."""

IMAGE_COLUMNS = 7


def vlmeval_tsv(
    *,
    files: DataFiles,
    numbered: Annotated[
        bool, "provide a row's images as the fields image_1 to image_7, not as the list images"
    ] = False,
) -> Iterator[Row]:
    """Rows of VLMEvalKit's tables with the fields `options`, `answers` and `images`.

    An image may be given by the `index` of another row that has it; a row without one is left out. `answers`
    is the answer, or the list that its text writes; `hint_line` is the hint as a line of its own.
    """
    shared = _shared(files)
    for row in read_csv(files=files, delimiter="\t"):
        if not row.get("image", "").strip():
            continue
        images = [_decoded(files, image) for image in parse_list(_image(files, row["image"], shared))]
        more: dict[str, Any] = {"images": images}
        if numbered:
            more = {
                f"image_{n}": images[n - 1] if n <= len(images) else None for n in range(1, IMAGE_COLUMNS + 1)
            }
        options = [row[letter] for letter in ascii_uppercase if row.get(letter, "").strip()]
        kept = {key: value for key, value in row.items() if key != "image"}
        hint = row.get("hint", "").strip()
        yield {
            **kept,
            **more,
            "options": options or None,
            "answers": parse_list(row.get("answer")),
            "hint_line": f"Hint: {hint}\n" if hint else "",
        }


def _shared(files: DataFiles) -> Mapping[str, str]:
    """Return the images that other rows refer to, by the index of their rows."""
    named = {row["image"] for row in _cells(files) if 0 < len(row["image"]) <= REFERENCE}
    if not named:
        return {}
    return {row["index"]: row["image"] for row in _cells(files) if row["index"] in named}


def _cells(files: DataFiles) -> Iterator[dict[str, str]]:
    for row in read_csv(files=files, delimiter="\t"):
        image = row.get("image", "").strip()
        yield {"index": row.get("index", "").strip(), "image": image}


def _decoded(files: DataFiles, image: str) -> bytes:
    """Return the bytes of an image; nothing else than base64 can be in this column."""
    try:
        return base64.b64decode("".join(image.split()), validate=True)
    except ValueError as error:
        assert files.current  # noqa: S101 - a row was read from it
        raise files.current.error(
            f"the image is not valid base64: {error}; it has {len(image):,} characters, from {image[:12]!r} "
            f"to {image[-12:]!r}"
        ) from error


def _image(files: DataFiles, cell: str, shared: Mapping[str, str]) -> str:
    cell = cell.strip()
    if len(cell) > REFERENCE:
        return cell
    found = shared.get(cell, "")
    if len(found) <= REFERENCE:
        assert files.current  # noqa: S101 - a row was read from it
        raise files.current.error(f"the image is {cell!r}, and no row with this index has one")
    return found
