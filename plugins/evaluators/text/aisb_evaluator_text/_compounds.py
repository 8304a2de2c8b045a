"""Read one quantity that is told in two units: `3 hours 20 minutes`, `5 ft 6 in`, `3元5角`, `1万2千`.

It is worth as much in either unit, since a question asks in one of them: 200 minutes, or 3 1/3 hours.
"""

from __future__ import annotations

from fractions import Fraction

from aisb.helpers import pattern

RATIOS = {
    "week day": 7, "day hour": 24, "hour minute": 60, "minute second": 60, "year month": 12, "foot inch": 12,
    "dollar cent": 100, "pound ounce": 16, "meter centimeter": 100, "kilometer meter": 1000,
    "kilogram gram": 1000, "元 角": 10, "元 分": 100, "角 分": 10,
}  # fmt: skip
"""How many of the second unit make one of the first."""

PLACES = {"万": 10**4, "千": 10**3, "百": 10**2, "亿": 10**8}
"""Places of a Chinese number, which together have one value."""

_WORDS = {
    "week": "week weeks",
    "day": "day days 天",
    "hour": "hour hours hr hrs h 小时 个小时",
    "minute": "minute minutes min mins 分钟",
    "second": "second seconds sec secs 秒",
    "year": "year years 年",
    "month": "month months 个月",
    "foot": "foot feet ft",
    "inch": "inch inches in",
    "dollar": "dollar dollars",
    "cent": "cent cents",
    "pound": "pound pounds lb lbs",
    "ounce": "ounce ounces oz",
    "meter": "meter meters metre metres m 米",
    "centimeter": "centimeter centimeters centimetres cm 厘米",
    "kilometer": "kilometer kilometers kilometres km 千米 公里",
    "kilogram": "kilogram kilograms kg 千克 公斤",
    "gram": "gram grams g 克",
    "元": "元 块",
    "角": "角 毛",
    "分": "分",
    **{place: place for place in PLACES},
}
_UNITS = {word: unit for unit, words in _WORDS.items() for word in words.split()}
_WORD = "|".join(sorted(_UNITS, key=len, reverse=True))
_TAIL = pattern(rf"[\s-]?(?P<unit>{_WORD})(?![A-Za-z])")
_HEAD = pattern(
    rf"(?<![\d.,/])(?<!\d[:-])(?P<number>\d{{1,6}}(?:\.\d{{1,3}})?)[\s-]?(?P<unit>{_WORD})(?:[,，]?\s(?:and\s)?|[又零]?)$"
)


def joined(text: str, start: int, end: int, value: Fraction) -> tuple[int, int, tuple[Fraction, ...]] | None:
    """Join the number at start..end with the one before it, where both tell one quantity.

    Return where the whole stands, and what it is worth; None where the number stands for itself.
    """
    tail = _TAIL.match(text, end)
    if not tail:
        return None
    from_ = max(0, start - 24)
    head = _HEAD.search(text[from_:start])
    if not head:
        return None
    big, small = _UNITS[head["unit"]], _UNITS[tail["unit"]]
    high, at = Fraction(head["number"]), from_ + head.start()
    if big in PLACES and small in PLACES:
        return _placed(text, start, tail.end(), value * PLACES[small])
    ratio = RATIOS.get(f"{big} {small}")
    if ratio is None or not 0 <= value < ratio:
        return None
    return at, tail.end(), (high * ratio + value, high + value / ratio)


_PLACED = pattern(r"(?:\d{1,4}[亿万千百]零?){1,3}$")


def _placed(text: str, start: int, end: int, value: Fraction) -> tuple[int, int, tuple[Fraction, ...]] | None:
    """Add up the places before the last one, each of which must be higher than all after it."""
    before = _PLACED.search(text[max(0, start - 24) : start])
    if not before:
        return None
    parts = before[0].replace("零", "")
    number = ""
    places: list[Fraction] = []
    for c in parts:
        if c.isdigit():
            number += c
        else:
            places.append(Fraction(int(number) * PLACES[c]))
            number = ""
    whole = value
    for place in reversed(places):
        if place <= whole:
            return None
        whole += place
    return max(0, start - 24) + before.start(), end, (whole,)
