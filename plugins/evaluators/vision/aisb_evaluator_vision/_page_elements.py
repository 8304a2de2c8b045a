"""Split a page of Markdown into its elements: paragraphs, formulas and tables, each with its position."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from aisb_evaluator_vision._tables import table_of_markdown

MAX_ELEMENTS = 2000
"""The maximum number of elements of a page: the time grows with the product of both pages."""

_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_FENCE = re.compile(r"^[ \t]*```[\w+-]*[ \t]*$", re.MULTILINE)
_WRAPPER = re.compile(r"</?(?:html|body)>")
_HEADING = re.compile(r"\\(?:title|section\*?|text)\s*\{\s*(.*?)\s*\}", re.DOTALL)
_LATEX_TABLE = re.compile(r"\\(begin|end)\{(?:table|tabular)\*?\}")
_HTML_TABLE = re.compile(r"<(/?)table\b[^>]*>")
_FORMULA = re.compile(r"\$\$(.*?)\$\$|\\\[(.*?)\\\]|\$(.*?)\$|\\\((.*?)\\\)", re.DOTALL)
_TABLE_LINES = re.compile(r"(?:^[ \t]*\|.*\|[ \t]*(?:\n|\Z)){2,}", re.MULTILINE)
_PARAGRAPH = re.compile(r"[^\n].*?(?=\n\s*\n|\Z)", re.DOTALL)
_LINE = re.compile(r"[^\n]+")
_ARRAY = re.compile(r"\\begin\{array\}\{[\s|]*[lcr][\s|]*\}(.*?)\\end\{array\}", re.DOTALL)

ElementKind = Literal["text", "formula", "inline", "table", "latex_table"]


@dataclass(frozen=True, slots=True)
class PageElement:
    """A part of a page: its kind, its text as written, and where it begins.

    A table is HTML. `inline` is a formula inside a paragraph, which stays in the paragraph, too.
    """

    kind: ElementKind
    text: str
    position: int


def page_elements(page: str) -> list[PageElement]:
    """Return the elements of a page of Markdown in their order, inline formulas last.

    Rows of a formula in an array of one column are elements of their own.
    """
    rest = _WRAPPER.sub("", _FENCE.sub("", _IMAGE.sub("", page)))
    rest = re.sub(r" {4,}", "    ", re.sub(r"_{4,}", "____", rest))
    found: list[PageElement] = []

    def take(kind: ElementKind, start: int, end: int, text: str) -> None:
        nonlocal rest
        found.append(PageElement(kind, text, start))
        rest = rest[:start] + " " * (end - start) + rest[end:]

    for start, end in _outermost(_LATEX_TABLE, rest, lambda match: match[1] == "end"):
        take("latex_table", start, end, rest[start:end])
    for start, end in _outermost(_HTML_TABLE, rest, lambda match: match[1] == "/"):
        take("table", start, end, rest[start:end])
    for match in [*_FORMULA.finditer(rest)]:
        inner = next((group for group in match.groups() if group is not None), "").strip()
        if match[1] is not None or match[2] is not None:
            take("formula", *match.span(), inner)
        elif inner:
            found.append(PageElement("inline", inner, match.start()))
    for match in [*_TABLE_LINES.finditer(rest)]:
        take("table", *match.span(), table_of_markdown(match[0]))
    found += _paragraphs(rest)
    ordered = sorted(found, key=lambda one: (one.kind == "inline", one.position))
    return [row for one in ordered for row in _array_rows(one)][:MAX_ELEMENTS]


def _paragraphs(text: str) -> Iterator[PageElement]:
    """Yield paragraphs; lines, if there is no empty line between paragraphs."""
    text = _HEADING.sub(lambda match: match[1].ljust(len(match[0])), text)
    found = [match for match in _PARAGRAPH.finditer(text) if match[0].strip()]
    if len(found) == 1:
        found = [match for match in _LINE.finditer(text) if match[0].strip()]
    for match in found:
        lines = [line.strip() for line in match[0].split("\n")]
        yield PageElement("text", "\n".join(line for line in lines if line), match.start())


def _outermost(
    tag: re.Pattern[str], text: str, closes: Callable[[re.Match[str]], bool]
) -> list[tuple[int, int]]:
    """Return the spans between pairs of tags that are inside no other pair."""
    spans, depth, start = [], 0, 0
    for match in tag.finditer(text):
        if not closes(match):
            start = start if depth else match.start()
            depth += 1
        elif depth:
            depth -= 1
            if not depth:
                spans.append((start, match.end()))
    return spans


def _array_rows(element: PageElement) -> Iterator[PageElement]:
    rows = formula_rows(element.text) if element.kind in {"formula", "inline"} else None
    if rows is None:
        yield element
        return
    for row in rows:
        yield PageElement(element.kind, row, element.position + max(0, element.text.find(row)))


def formula_rows(latex: str) -> list[str] | None:
    """Return the rows of a formula that is an array of one column; None for any other formula."""
    found = _ARRAY.search(latex)
    return [row.strip() for row in found[1].split(r"\\") if row.strip()] if found else None
