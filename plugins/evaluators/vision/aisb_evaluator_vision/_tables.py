"""The similarity of two tables or documents: tree edit distances."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class TableNode:
    """A node of a tree: its kind, its text, and its children."""

    kind: tuple[Any, ...]
    text: Sequence[str] = ""
    children: list[TableNode] = field(default_factory=list)

    def count(self) -> int:
        """Return the number of nodes of the tree."""
        return 1 + sum(child.count() for child in self.children)


MAX_NODES = 3000
"""The maximum number of nodes of compared trees: the time grows with the product."""


def teds(given: str, target: str, *, structure_only: bool = False) -> float:
    """Return the tree edit distance similarity of two HTML tables: 1 − distance / nodes of the larger one.

    The cost of a changed cell is the share of its differing characters, or nothing if only the structure
    counts. Source: Zhong et al., Image-based table recognition, https://arxiv.org/abs/1911.10683. A text
    without a table has similarity 0.
    """
    trees = [table_tree(given), table_tree(target)]
    if trees[0] is None or trees[1] is None:
        return 0.0
    if given == target:
        return 1.0
    larger = max(tree.count() - 1 for tree in trees if tree)
    change = _structure_change if structure_only else _table_change
    return max(0.0, 1 - _distance(trees[0], trees[1], change) / max(1, larger))


def table_tree(text: str) -> TableNode | None:
    """Return the tree of the first table in a text of HTML; None if there is none."""
    from lxml import etree, html

    try:
        document = html.fromstring(f"<div>{text}</div>", parser=html.HTMLParser(remove_comments=True))
    except (etree.ParserError, ValueError):
        return None
    tables = document.xpath(".//table")
    return _element(tables[0]) if tables else None


def _element(element: Any) -> TableNode:
    tag = str(element.tag)
    if tag in {"td", "th"}:
        spans = tuple(_span(element.attrib.get(name)) for name in ("colspan", "rowspan"))
        return TableNode(("td", *spans), "".join(element.itertext()).strip())
    return TableNode((tag,), "", [_element(child) for child in element if isinstance(child.tag, str)])


def _span(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 1


def _table_change(one: TableNode, other: TableNode) -> float:
    from rapidfuzz.distance import Levenshtein

    if one.kind != other.kind:
        return 1.0
    return float(Levenshtein.normalized_distance(one.text, other.text))


def _structure_change(one: TableNode, other: TableNode) -> float:
    return float(one.kind != other.kind)


def table_of_markdown(text: str) -> str:
    """Convert a Markdown table to HTML, without the line below its header."""
    lines = [line.strip() for line in text.splitlines() if "|" in line]
    rows = [line.strip("|").split("|") for line in lines if not re.fullmatch(r"[\s|:\-]+", line)]
    return html_table([[cell.strip() for cell in row] for row in rows])


def html_table(rows: Iterable[Iterable[str]]) -> str:
    """Return rows of cells as a table of HTML."""
    from html import escape

    lines = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def document_similarity(given: str, target: str) -> float:
    """Return the structural similarity of two Markdown documents, as trees of headings and lines.

    Changing the words of a line costs nothing, since only the structure is compared.
    Source: the evaluation of OCRBench v2.
    """
    trees = [document_tree(text) for text in (given, target)]
    larger = max(tree.count() for tree in trees)
    return max(0.0, 1 - _distance(trees[0], trees[1], _line_change) / larger)


def document_tree(text: str) -> TableNode:
    """Return the tree of a document: headings below the root, lines below their headings."""
    root = TableNode(("root",), "ROOT", [TableNode(("line",), "TITLE")])
    last = root.children[0]
    for line in text.split("\n"):
        words = line.replace("*", " ").replace("_", " ")
        if line.startswith("#"):
            last = TableNode(("line",), words.replace("#", ""))
            root.children.append(last)
        else:
            last.children.append(TableNode(("line",), words))
    return root


def _line_change(one: TableNode, other: TableNode) -> float:
    return float(not str(one.text).split() or not str(other.text).split())


def _distance(one: TableNode, other: TableNode, change: Callable[[TableNode, TableNode], float]) -> float:
    """Return the minimum cost of changing one tree into the other; inserting or deleting a node costs 1."""
    from apted import APTED, Config

    class Costs(Config):  # type: ignore[misc]  # apted has no types
        def rename(self, node1: TableNode, node2: TableNode) -> float:
            return change(node1, node2)

        def children(self, node: TableNode) -> list[TableNode]:
            return node.children

    if max(one.count(), other.count()) > MAX_NODES:
        return float(max(one.count(), other.count()))
    return float(APTED(one, other, Costs()).compute_edit_distance())
