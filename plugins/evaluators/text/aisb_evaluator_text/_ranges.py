"""Detect what is no single number: `5-7`, "between 5 and 7", "3 or 5", `18 ± 2`, "more than 5"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aisb.helpers import pattern
from aisb_evaluator_text._numbers import FoundNumber, find_numbers

_MONEY = r"(?:[$€£¥￥₹]\s?)?"
_OR = pattern(
    rf"\s?(?P<unit>[^\W\d_]{{1,15}}|%)?\s?,?(?:(?<=[\s,])(?:or|oder|ou|o|u|или|либо|au|atau|hoặc|but\s(?:less|more|fewer)\sthan)\s|(?:หรือ|または|或者?|还是|বা|లేదా)\s?)(?:[a-z]\s?=\s?)?{_MONEY}",
    re.IGNORECASE,
)
_TO = pattern(
    rf"\s?(?P<dash>[-–—~〜～]|\.{{2,3}}|…)\s?{_MONEY}|\s(?:to|bis|a|à|до|hadi|sampai|đến)\s{_MONEY}"
    rf"|\s?(?:至|到|から|ถึง|থেকে)\s?{_MONEY}",
    re.IGNORECASE,
)
_AND = pattern(
    rf"\s(?:and|und|y|e|et|и|na|và)\s{_MONEY}|\s?(?:和|与|と|และ|এবং|మరియు)\s?{_MONEY}|[,，、]\s?{_MONEY}",
    re.IGNORECASE,
)
_BETWEEN = pattern(
    r"(?:\b(?:between|from|entre|zwischen|von|de|от|между|kati\sya)\s|介于|在|从|ระหว่าง)\s?[$€£¥]?\s?$",
    re.IGNORECASE,
)
_BETWEEN_BEHIND = pattern(r"\s?(?:之间|之間|の間|사이)")
_ESTIMATES = pattern(r"\b(?:about|around|takes|lasts|roughly|approximately)\s[$€£¥]?$", re.IGNORECASE)
_FROM = pattern(r"(?:\b(?:von|de|du|от|с)\s|从|由|自|から)[^\d]{0,8}$", re.IGNORECASE)
_OPERAND = pattern(r"[-+*/×÷]\s?[$€£¥]?$")
_PRECISION = pattern(r"\s?(?:decimals?|d\.?p|significant|s\.?f|places?|digits?)\b", re.IGNORECASE)
BOUND = pattern(
    r"[\s:*]{0,6}(?P<than>(?:more|less|fewer|greater|larger|smaller|higher|lower) than"
    r"|超过|多于|少于|大于|小于|不到|不足)[\s$*]{0,4}",
    re.IGNORECASE,
)
"""A bound is no number: "more than 5"."""
_ENDS = pattern(
    r"\s?(?:(?:[^\W\d_]{1,15}|[%°])\s?){0,2}(?:[.!。)*\\$}\]\s]*|(?:,|\sand)\s(?:and\s)?\d.*)", re.DOTALL
)


def is_range(text: str, numbers: Sequence[FoundNumber], *, stated: bool) -> tuple[int, int] | None:
    """Return the span of two numbers in the place of one; None if the first stands alone.

    `numbers` has the first number and those after it. Where a text states its answer (`stated`), "to" and a
    comma join them too; elsewhere "from 5 to 18" and "5, 18" are how a story goes.
    """
    if len(numbers) < 2 or _same_value(numbers[0], numbers[1]):
        return None
    first, second = numbers[:2]
    alternatives = _are_alternatives(text, first, second) or _are_range(text, first, second, stated=stated)
    return (first.start, second.end) if alternatives else None


def _are_alternatives(text: str, first: FoundNumber, second: FoundNumber) -> bool:
    """Return whether two numbers are joined by "or", "between … and" or ±."""
    before, between = text[max(0, first.start - 24) : first.start], text[first.end : second.start]
    if second.text.startswith("±") and not between.strip():
        return True
    if _OPERAND.search(before):
        return False  # "30 + 160 or 190" gives a sum and its value
    after = text[second.end : second.end + 40]
    joined = _OR.fullmatch(between)
    if joined and (not joined["unit"] or after.lstrip().lower().startswith(joined["unit"].lower())):
        return True
    opened = _BETWEEN.search(before) or _BETWEEN_BEHIND.match(after)
    return bool(opened and _AND.fullmatch(between))


def _are_range(text: str, first: FoundNumber, second: FoundNumber, *, stated: bool) -> bool:
    """Return whether two numbers are joined by a dash, by "to", or as a list that ends the statement."""
    between, after = text[first.end : second.start], text[second.end : second.end + 40]
    if "=" in after:
        return False
    joined = _TO.fullmatch(between)
    dash = joined and joined["dash"]
    if joined and (stated or (" " not in between if dash else _is_estimate(text, first, between))):
        # 18 - 20 may continue: "18 - 20 more than that".
        ends = not dash or " " not in between or _ENDS.fullmatch(after)
        return bool(ends) and not _PRECISION.match(after)
    listed = stated and _AND.fullmatch(between) and _ENDS.fullmatch(after)
    # Words after the second number make it something else: "18, 2 more", "5 and 3 quarters".
    return bool(listed) and not any(c.isalpha() for c in after.replace("and", ""))


def _is_estimate(text: str, first: FoundNumber, between: str) -> bool:
    """Return whether numbers joined by "to" are a range: 4到6天, "takes 4 to 6 days"."""
    before = text[max(0, first.start - 16) : first.start]
    if between.strip().lower() in ("to", "a"):
        return bool(_ESTIMATES.search(before))
    return not _FROM.search(before)


def _same_value(first: FoundNumber, second: FoundNumber) -> bool:
    """Return whether two numbers have the same value, the second perhaps rounded: "1/3 or 0.33"."""
    return any(
        left == right or abs(left - right) * 200 < abs(left)
        for left in first.readings
        for right in second.readings
    )


def in_several(text: str, last: FoundNumber) -> tuple[int, int] | None:
    """Return the span of the alternatives that end with the last number; None if it stands alone."""
    start = max(0, last.start - 40)
    while 0 < start < last.start and text[start : start + 1].isdigit():
        start += 1  # not in the middle of a number
    before = list(find_numbers(text[start : last.start]))
    if not before:
        return None
    first = before[-1]._replace(start=before[-1].start + start, end=before[-1].end + start)
    return is_range(text, [first, last], stated=False)


def without_labels(text: str) -> str:
    """Remove the names of unknowns from alternatives: "3 or x = 5" would be read as an equation for 5."""
    return re.sub(r"[A-Za-z]\s?=\s?", "", text)
