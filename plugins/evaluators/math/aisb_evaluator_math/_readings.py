r"""Split an answer into its parts: a label, the value, a percent sign, a unit, a modulus, a remark.

`\text{(B) }70`, `12.5\%`, `15\ \text{cm}`, `70 \pmod{9}`, `70\ \text{(since 35}\cdot2)` each hold one value.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from aisb_evaluator_math import _forms as forms
from aisb_evaluator_math._decimals import continued
from aisb_evaluator_math._units import WRAPPED, split_unit

_FONT = r"\\(?:text|textbf|textrm|mathrm|mathbf|mbox|bf|rm)"
_LABEL = re.compile(
    rf"^(?:{_FONT}\s*\{{\s*(?:\(\s*([A-J])\s*\)|([A-J])\s*[.:)])\s*\}}|\(\s*([A-J])\s*\)|([A-J])\s*\))\s*(?=[\d\\({{.$-]|[A-Za-z])"
)
_INSIDE_LABEL = re.compile(rf"^({_FONT}\s*\{{)\s*(?:\(\s*([A-J])\s*\)|([A-J])\s*[.:)])\s*(?=\S[^{{}}]*\}})")
_ANNOUNCES = re.compile(
    rf"^{_FONT}\s*\{{\s*[A-Za-z ]*(?:[:=：]|\bis:?)\s*\}}\s*"
    rf"|^(?:(?:the\s+)?(?:final\s+)?answer\s*(?:is|:|=))\s*"
    r"|^(?:thus|so|hence|therefore|then|finally)\s*,?\s+(?=[-\d\\$(]|[a-zA-Z]\s*=)"
    rf"|^(?:{_FONT}\s*\{{\s*)?(?:approximately|approx\.?|about|roughly|around|大?约)\s*\}}?\s*(?=[\d\\$-])",
    re.IGNORECASE,
)
_REMARK = re.compile(
    r"\s*,?\s*(?:"
    r"\\(?:text|mathrm|mbox|textrm)\s*\{\s*,?\s*(?:\((?!\s*(?:base|mod))"
    r"|(?:since|because|as|where|when|which|given|i\.e|that is|assuming)\b)"
    r"|\(\s*(?:since|because|as|where|when|which|i\.e|approx|about|or\s+about|rounded|double|simplified)\b)",
    re.IGNORECASE,
)
_MODULUS = re.compile(r"\\[pb]?mod(?![a-zA-Z])|(?<![a-zA-Z\\])mod(?:ulo)?(?![a-zA-Z])")
_PERCENT = re.compile(
    r"\s*(?:\\?%|\\(?:text|mathrm|mbox|textrm)\s*\{\s*(?:\\?%|per\s?cent|percentage|pct)\.?\s*\}"
    r"|(?<=[\d}\s])(?:per\s?cent|percentage|pct))\s*$",
    re.IGNORECASE,
)
_APPROXIMATELY = re.compile(r"\s*\\(?:approx|simeq|sim|cong)(?![a-zA-Z])\s*")
_NAME = re.compile(r"(?:[A-Za-z]|\\[a-z]+)(?:_\{?\w+\}?)?")


class MathReading(NamedTuple):
    """One way to read an answer."""

    value: str
    label: str = ""
    unit: str = ""
    modulus: str = ""
    percent: bool = False


def readings(text: str) -> list[MathReading]:
    r"""Return the readings of a normalized answer, the most likely first: `2\sqrt2 \approx 2.83` has two."""
    sides = [side for side in _APPROXIMATELY.split(text) if side]
    if len(sides) > 1 and _NAME.fullmatch(sides[0]):
        del sides[0]
    return [_reading(one) for side in sides[:3] or [text] for one in continued(side)]


def _reading(text: str) -> MathReading:
    label, text = _without_label(text)
    text = _ANNOUNCES.sub("", text) or text
    modulus, text = _without_modulus(text)
    if (remark := _REMARK.search(text)) and re.search(r"[\d}a-zA-Z]", text[: remark.start()]):
        text = text[: remark.start()].rstrip().rstrip("\\")
    if wrapped := re.fullmatch(WRAPPED, text):
        inside = _ANNOUNCES.sub("", wrapped[1].strip()).strip().rstrip(".")
        text = inside if re.match(r"\s*(?:[-+]?[$\d.]|\w\s*=)", inside) else text
    percent = _PERCENT.search(text)
    if percent and percent.start():
        return MathReading(text[: percent.start()], label, "", modulus, percent=True)
    value, unit = split_unit(text)
    return MathReading(value, label, unit, modulus)


def _without_label(text: str) -> tuple[str, str]:
    if found := _LABEL.match(text):
        return next(group for group in found.groups() if group), text[found.end() :]
    if found := _INSIDE_LABEL.match(text):
        return found[2] or found[3], found[1] + text[found.end() :]
    return "", text


def _without_modulus(text: str) -> tuple[str, str]:
    found = _MODULUS.search(text)
    if not found:
        return "", text
    start = found.start()
    before = re.sub(r"(?:\s|\(|\\(?:text|mathrm|mbox|operatorname)\s*\{|\{)+$", "", text[:start])
    behind = re.sub(r"\\(?:text|mathrm|mbox)|[\s(){}]", "", text[found.end() :])
    if not before or not re.fullmatch(r"\d+|[a-z]", behind):
        return "", text
    return behind, forms._balanced(before.rpartition(r"\equiv")[2].strip())  # noqa: SLF001
