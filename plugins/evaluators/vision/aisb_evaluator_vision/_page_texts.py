"""Normalise the texts of a page before they are compared: words, formulas and tables."""

from __future__ import annotations

import logging
import re
import unicodedata
from functools import lru_cache
from html import escape
from typing import Any

_INLINE = re.compile(r"\$(.*?)\$|\\\((.*?)\\\)")
_ESCAPED = re.compile(r"\\([\\_&%^])")
_WRITTEN_SPACE = re.compile(r"\\[tn]|/[tn]")
_NO_WORD = re.compile(r"[^\w\u4e00-\u9fff]")
_DISPLAY = re.compile(r"\\\[(.+?)(?<!\\)\\\]", re.DOTALL)
_LAYOUT = re.compile(r"\\(?:tag|hspace|begin|end)\{.*?\}|\\arraycolsep.*?\}")
_STYLE = re.compile(
    r"\\(?:mathbfcal|mathbf|mathrm|mathnormal|mathit|mathbb|mathcal|mathscr|mathfrak|mathsf|mathtt|textbf|text"
    r"|boldmath|boldsymbol|operatorname|bm|symbfit|symbf|scriptscriptstyle|notag|setlength|coloneqq|space"
    r"|thickspace|thinspace|medspace|nobreakspace|negmedspace|qquad|quad|enspace|left|right"
    r"|displaystyle)| |\$\$"
)
_SPACE = re.compile(r"\s+")
_DROPPED = frozenset({"thead", "tbody", "tfoot", "span", "sup", "sub", "div", "p"})
_SPANS = ("colspan", "rowspan")


def plain_words(text: str) -> str:
    """Return the letters and digits of a text, with its inline formulas as Unicode."""
    return _letters(_INLINE.sub(_in_unicode, text))


def _letters(text: str) -> str:
    return _NO_WORD.sub("", _WRITTEN_SPACE.sub("", text))


def _in_unicode(match: re.Match[str]) -> str:
    latex = _ESCAPED.sub("", match[1] if match[1] is not None else match[2])
    return latex_to_text(latex).strip() if re.search(r"[\\^_]", latex) else match[0]


@lru_cache(maxsize=4096)
def latex_to_text(latex: str) -> str:
    """Return LaTeX as Unicode text; LaTeX that cannot be parsed stays as it is."""
    from pylatexenc.latex2text import LatexNodes2Text

    logging.getLogger("pylatexenc").setLevel(
        logging.ERROR
    )  # it warns of incomplete LaTeX, which replies have
    try:
        return str(LatexNodes2Text().latex_to_text(latex))
    except Exception:  # noqa: BLE001 - the parser raises many kinds of error on incomplete LaTeX
        return latex


def words_of_formula(latex: str) -> str:
    """Return a formula as the words that a text has in its place."""
    return _letters(latex_to_text(latex))


def plain_formula(latex: str) -> str:
    """Return a formula in lower case without spaces, fonts, sizes and marks of its environment."""
    text = latex.strip().strip("$").strip("\n")
    found = _DISPLAY.search(text)
    text = found[1].strip() if found else text
    return _STYLE.sub("", _SPACE.sub(" ", _LAYOUT.sub("", text)).strip().strip(".")).lower()


def plain_table(text: str) -> str:
    """Return the first table of HTML with `td` for each cell, no groups of rows, and spans above 1 alone."""
    from lxml import etree, html

    try:
        document = html.fromstring(f"<div>{text}</div>", parser=html.HTMLParser(remove_comments=True))
    except (etree.ParserError, ValueError):
        return ""
    tables = document.xpath(".//table")
    return f'<html><body><table border="1" >{_content(tables[0])}</table></body></html>' if tables else ""


def _content(element: Any) -> str:
    parts = [_cell_text(element.text, element)]
    for child in element:
        parts += [_written(child), _cell_text(child.tail, element)]
    return "".join(parts)


def _written(element: Any) -> str:
    tag = str(element.tag) if isinstance(element.tag, str) else ""
    if tag in {"", "colgroup"}:
        return ""
    if tag == "math":
        return escape(f"${element.get('alttext', '')}$", quote=False)
    if tag in _DROPPED:
        return _content(element)
    if tag not in {"td", "th"}:
        return f"<{tag}>{_content(element)}</{tag}>"
    spans = "".join(f' {name}="{element.get(name)}"' for name in _SPANS if element.get(name, "1") != "1")
    return f"<td{spans}>{_content(element).strip()}</td>"


def _cell_text(text: str | None, element: Any) -> str:
    """Return a text of a cell with single spaces; white space between cells and rows is nothing."""
    if element.tag in {"table", "thead", "tbody", "tfoot", "tr"} and not (text or "").strip():
        return ""
    return escape(_SPACE.sub(" ", unicodedata.normalize("NFKC", text or "")), quote=False)
