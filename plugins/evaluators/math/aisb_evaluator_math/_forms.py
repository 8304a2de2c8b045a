"""Bring an answer to the form that a parser of LaTeX reads: signs, units, mixed numbers, plain roots.

Nothing here is slow to import or to run: what is settled here needs no algebra.
"""

from __future__ import annotations

import re
from fractions import Fraction

_SIGNS = str.maketrans(
    {
        "−": "-",
        "–": "-",
        "×": r"\times ",
        "·": r"\cdot ",
        "÷": "/",
        "π": r"\pi ",
        "∞": r"\infty ",
        "≤": r"\le ",
        "≥": r"\ge ",
        "≠": r"\ne ",
        "∪": r"\cup ",
        "∩": r"\cap ",
        "∈": r"\in ",
        "∅": r"\emptyset ",
        "±": r"\pm ",
        "²": "^2",
        "³": "^3",
        "°": r"^\circ ",
        "½": r"\frac{1}{2}",
        "，": ",",
        "（": "(",
        "）": ")",
        "％": "%",
        "\u00a0": " ",
    }
)
_SPACING = re.compile(
    r"\\[,!;: ]|\\q?quad\b|\\hspace\{[^{}]*\}|~|\\displaystyle\b|\\left\b|\\right\b|\\boldsymbol\b"
)
_WRAPPED = re.compile(r"\\(?:text|mathrm|textbf|mathbf|textit|textrm|mbox|operatorname)\s*\{([^{}]*)\}")
_UNIT = re.compile(
    r"(?:\\(?:text|mathrm|mbox|textrm)\s*\{\s*([^{}\d]*)\}(\^\{?[23]\}?)?|(?<=[\d}])\s+([a-zA-Z]+)(\^\{?[23]\}?)?)\s*$"
)
_MIXED = re.compile(r"^(-?\d+)\s+(?:and\s+)?(\d+)\s*/\s*(\d+)$")
_PLAIN_ROOT = re.compile(
    r"(?<![\\a-zA-Z])sqrt\s*(?:\(([^()]*)\)|\{([^{}]*)\}|(\d+))|√\s*(?:\(([^()]*)\)|(\d+|[a-z]))"
)
_NUMBER = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?")
_RATIO = re.compile(
    r"(-?)\s*(?:\\[dt]?frac\s*\{\s*(-?\d+)\s*\}\s*\{\s*(\d+)\s*\}|\\[dt]?frac\s*(\d)\s*(\d)|(\d+)\s*/\s*(\d+))"
)
_BASE = re.compile(r"\d_\{?(\d+)\}?\s*$")
_WORD_BETWEEN = re.compile(
    r"\s*(?:\$|\\\))?\s*(?:,\s*)?(?:\\text\s*\{\s*(?:and|or)\s*\}|\b(?:and|or)\b)\s*(?:\$|\\\()?\s*"
)


def tidy(text: str) -> str:
    """Return an answer with LaTeX in place of other signs, and without what only decorates it."""
    text = text.translate(_SIGNS).strip().strip("*_` \n\t")
    for opener, closer in (("$$", "$$"), ("$", "$"), (r"\[", r"\]"), (r"\(", r"\)")):
        if text.startswith(opener) and text.endswith(closer) and len(text) > len(opener) + len(closer):
            text = text[len(opener) : -len(closer)]
    text = text.strip().rstrip(".;,").strip()
    text = _WORD_BETWEEN.sub(", ", text)
    text = text.replace(r"\$", "").replace("$", "").replace(r"\(", " ").replace(r"\)", " ")
    text = _PLAIN_ROOT.sub(lambda m: rf"\sqrt{{{next(g for g in m.groups() if g is not None)}}}", text)
    text = re.sub(r"\*\*", "^", text)
    text = re.sub(r"(?<![\\a-zA-Z])pi\b", r"\\pi ", text)
    text = text.replace("*", r"\cdot ")
    if mixed := _MIXED.match(text):
        text = rf"{mixed[1]}\frac{{{mixed[2]}}}{{{mixed[3]}}}"
    return _balanced(text)


def plain(text: str) -> str:
    """Return what is compared letter for letter: no spacing, no fonts, no braces around one sign."""
    text = _SPACING.sub("", text)
    text = _WRAPPED.sub(r"\1", text)
    text = re.sub(r"\\[dt]frac", r"\\frac", text)
    text = re.sub(r"\^\s*\{?\\circ\}?", "", text)
    text = re.sub(r"\{(\w)\}", r"\1", text)
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text) if not re.search(r"[(\[{]", text) else text
    text = re.sub(r"\s+", "", text).strip(".").casefold()
    return text[1:-1] if re.fullmatch(r"\([a-z]\)", text) else text


def number(text: str) -> Fraction | None:
    r"""Return the rational number that a text is, if it is one: `3`, `1,000.5`, `-3/4`, `\frac{3}{4}`."""
    text = _SPACING.sub("", text).strip()
    if any(c.isdigit() for c in text) and len(text) < 200 and _NUMBER.fullmatch(text):
        return Fraction(text.replace(",", ""))
    ratio = _RATIO.fullmatch(text) if len(text) < 200 else None
    if not ratio:
        return None
    over, under = [part for part in ratio.groups()[1:] if part is not None]
    if not int(under):
        return None
    return Fraction(int(over), int(under)) * (-1 if ratio[1] else 1)


def unit(text: str) -> str:
    """Return the unit at the end of an answer in one spelling, or nothing."""
    found = _UNIT.search(_SPACING.sub(" ", text))
    if not found:
        return ""
    name = re.sub(r"[^a-z]", "", (found[1] or found[3] or "").casefold())
    name = _UNITS.get(name, name)
    return name + re.sub(r"[{}]", "", found[2] or found[4] or "")


def without_unit(text: str) -> str:
    """Return an answer without the unit at its end, if that is one that is known."""
    found = _UNIT.search(text) if unit(text).split("^")[0] in KNOWN_UNITS else None
    return text[: found.start()].rstrip() if found else text


def base(text: str) -> str:
    """Return the base that a number is written in, `8` of `52_8`, or nothing."""
    found = _BASE.search(text)
    return found[1] if found else ""


_SPELLINGS = {
    "inch": "in inches",
    "foot": "ft feet",
    "yard": "yd yards",
    "mile": "mi miles",
    "meter": "m meters metre metres",
    "centimeter": "cm centimeters centimetre centimetres",
    "millimeter": "mm millimeters millimetre millimetres",
    "kilometer": "km kilometers kilometre kilometres",
    "gram": "g grams",
    "kilogram": "kg kilograms",
    "second": "s sec seconds",
    "minute": "min minutes",
    "hour": "h hr hours",
    "day": "days",
    "degree": "deg degrees",
    "dollar": "dollars usd",
    "cent": "cents",
    "percent": "pct",
}
_UNITS = {spelling: name for name, others in _SPELLINGS.items() for spelling in (name, *others.split())}
KNOWN_UNITS = frozenset(_SPELLINGS)


def different_units(one: str, other: str) -> bool:
    """Say whether both answers have a unit that is known, and not the same: cm is not inches."""
    first, second = unit(one), unit(other)
    known = first.split("^")[0] in KNOWN_UNITS and second.split("^")[0] in KNOWN_UNITS
    return known and first != second


def _balanced(text: str) -> str:
    """Return a text with every brace closed, since a parser reads nothing else."""
    depth = 0
    kept = []
    for position, c in enumerate(text):
        escaped = position > 0 and text[position - 1] == "\\"
        if c == "{" and not escaped:
            depth += 1
        elif c == "}" and not escaped:
            if not depth:
                continue
            depth -= 1
        kept.append(c)
    return "".join(kept) + "}" * depth
