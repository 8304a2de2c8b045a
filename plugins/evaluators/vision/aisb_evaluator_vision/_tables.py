"""How alike two tables are, and two documents: trees whose nodes are inserted, deleted and changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class TableNode:
    """A node of a tree: what it is, what it says, and its children."""

    kind: tuple[Any, ...]
    text: Sequence[str] = ""
    children: list[TableNode] = field(default_factory=list)

    def count(self) -> int:
        """Return how many nodes the tree has."""
        return 1 + sum(child.count() for child in self.children)


MOST_NODES = 3000
"""Two trees of more nodes are not compared: the time grows with their product."""


def teds(given: str, target: str) -> float:
    """Return the tree edit distance similarity of two HTML tables: 1 − distance / nodes of the larger one.

    A cell that is changed costs the share of its characters that differ. Source: Zhong et al., Image-based
    table recognition, https://arxiv.org/abs/1911.10683. Whatever has no table is unlike any.
    """
    trees = [table_tree(given), table_tree(target)]
    if trees[0] is None or trees[1] is None:
        return 0.0
    larger = max(tree.count() - 1 for tree in trees if tree)
    return max(0.0, 1 - _distance(trees[0], trees[1], _table_change) / max(1, larger))


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


def table_of_markdown(text: str) -> str:
    """Return a table of Markdown as HTML; the line under its header is left out."""
    lines = [line.strip() for line in text.splitlines() if "|" in line]
    rows = [line.strip("|").split("|") for line in lines if not re.fullmatch(r"[\s|:\-]+", line)]
    return html_table([[cell.strip() for cell in row] for row in rows])


def html_table(rows: Iterable[Iterable[str]]) -> str:
    """Return rows of cells as a table of HTML."""
    from html import escape

    lines = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def document_similarity(given: str, target: str) -> float:
    """Return how alike the structures of two documents in Markdown are: lines below the headings before them.

    A line that has words costs nothing to change into another one that has: the structure is compared.
    Source: the evaluation of OCRBench v2.
    """
    trees = [document_tree(text) for text in (given, target)]
    larger = max(tree.count() for tree in trees)
    return max(0.0, 1 - _distance(trees[0], trees[1], _line_change) / larger)


def document_tree(text: str) -> TableNode:
    """Return the tree of a document: its headings below the root, the lines below their heading."""
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
    """Return the least cost of making one tree the other; a node more or less costs 1."""
    from apted import APTED, Config

    class Costs(Config):  # type: ignore[misc]  # apted has no types
        def rename(self, node1: TableNode, node2: TableNode) -> float:
            return change(node1, node2)

        def children(self, node: TableNode) -> list[TableNode]:
            return node.children

    if max(one.count(), other.count()) > MOST_NODES:
        return float(max(one.count(), other.count()))
    return float(APTED(one, other, Costs()).compute_edit_distance())
