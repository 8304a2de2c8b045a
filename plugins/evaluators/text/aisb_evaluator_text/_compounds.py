"""Read one quantity in two units: `3 hours 20 minutes`, `5 ft 6 in`, `3元5角`, `1万2千`.

It has a value in either unit, since a question asks for one of them: 200 minutes, or 3 1/3 hours.
"""

from __future__ import annotations

from fractions import Fraction

from aisb.helpers import pattern

RATIOS = {
    "week day": 7, "day hour": 24, "hour minute": 60, "hour 分": 60,
    "minute second": 60, "year month": 12, "foot inch": 12,
    "dollar cent": 100, "pound ounce": 16, "meter centimeter": 100, "kilometer meter": 1000,
    "kilogram gram": 1000, "元 角": 10, "元 分": 100, "角 分": 10,
}  # fmt: skip
"""How many of the second unit are one of the first."""

PLACE_VALUES = {"十": 10, "百": 10**2, "千": 10**3, "万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
"""The place values of Chinese numerals."""

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
}
_UNITS = {word: unit for unit, words in _WORDS.items() for word in words.split()}
_WORD = "|".join(sorted(_UNITS, key=len, reverse=True))
_TAIL = pattern(rf"[\s-]?(?P<unit>{_WORD})(?![A-Za-z])")
_HEAD = pattern(
    rf"(?<![\d.,/])(?<!\d[:-])(?P<number>\d{{1,6}}(?:\.\d{{1,3}})?)[\s-]?(?P<unit>{_WORD})(?:[,，]?\s(?:and\s)?|[又零]?)$"
)


def join_compound(
    text: str, start: int, end: int, value: Fraction
) -> tuple[int, int, tuple[Fraction, ...]] | None:
    """Join the number at start..end with the one before it if both are one quantity.

    Return the span and the values of the quantity; None if the number stands alone.
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
    ratio = RATIOS.get(f"{big} {small}")
    if ratio is None or not 0 <= value < ratio:
        return None
    return at, tail.end(), (high * ratio + value, high + value / ratio)


_PLACE = r"[十百千万萬亿億]"
_PLACED = pattern(
    rf"(?<![\d.])\d{{1,6}}(?:\.\d{{1,4}})?{_PLACE}{{1,2}}[零〇]?(?:\d{{1,4}}{_PLACE}{{1,2}}[零〇]?){{0,6}}$"
)
_PLACES_AFTER = pattern(rf"{_PLACE}{{1,2}}(?![克米瓦卡帕焦赫伏字分])")
_BEFORE_PLACED = frozenset("十百千万萬亿億零〇")
_PIECE = pattern(rf"(?P<zero>[零〇]?)(?P<digits>\d++(?:\.\d++)?)(?P<places>{_PLACE}*)")


def placed(text: str, start: int, end: int) -> tuple[int, int, Fraction] | None:
    """Join the number at start..end with the Chinese places before it: `3亿2千万`, `1万2000`, `2万5`.

    Return the span and the value of the whole; None if no number with a place is directly before it.
    """
    if text[start - 1 : start] not in _BEFORE_PLACED:
        return None
    before = _PLACED.search(text[max(0, start - 24) : start])
    if not before:
        return None
    begin = start - len(before[0])
    places = _PLACES_AFTER.match(text, end)
    end = places.end() if places else end
    value = _place_value(text[begin:end])
    return None if value is None else (begin, end, value)


def _place_value(numeral: str) -> Fraction | None:
    """Return the value of a numeral of digits and Chinese places; None unless the places decrease."""
    total, section, lowest = Fraction(0), Fraction(0), 0
    for piece in _PIECE.finditer(numeral):
        value, places = Fraction(piece["digits"]), piece["places"]
        if not places:
            short = value < 10 and value.denominator == 1 and not piece["zero"]
            value *= lowest // 10 if short else 1  # 2万5 is 25,000, and 2万零5 is 20,005
            return total + section + value if value < lowest else None
        for place in places:
            factor = PLACE_VALUES[place]
            if factor < 10**4:
                value *= factor
                if section and value >= lowest:
                    return None
            elif factor == 10**4:
                section, value = (section + value) * factor, Fraction(0)
                total, section = total + section, Fraction(0)
            else:
                total, section, value = (total + section + value) * factor, Fraction(0), Fraction(0)
            lowest = factor
        section += value
    return total + section
