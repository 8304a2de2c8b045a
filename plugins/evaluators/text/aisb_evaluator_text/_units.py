"""Text after a number that is part of its value: percent, 万, "million", $2B, "and a half"."""

from __future__ import annotations

import re
from fractions import Fraction

from aisb.helpers import pattern

AFTER = pattern(
    r"""(?P<percent>\s?(?:\\?%|per[ ]?cent\b|percentage\ points?\b))
      | (?P<unit>[kK](?![A-Za-z])
        |\s?(?:mil\smillones|mil|mio|mrd|bn|thousand|million|billion|trillion|hundred|dozen|lakhs?|crores?)(?![^\W\d_])
        |\s?(?:millones|milliards?|millions?|millionen|tausend|milliarden?)(?![^\W\d_])
        |\s?(?:млн|миллион\w{0,3}|тыс|тысяч\w?|млрд|миллиард\w{0,3})(?![^\W\d_])
        |\s?(?:千万|百万|万亿|[万萬]|[亿億]|百(?!分))
        |\s?千(?![克米瓦卡帕焦赫伏字]))
      | (?:(?:[ ](?:hours?|days?|weeks?|months?|years?|miles?|dollars?|cups?|pounds?|feet))?
        [ ]and[ ](?P<top>an?|one|two|three)[ -](?P<part>hal(?:f|ves)|thirds?|quarters?)\b|(?P<half>个半))
      | (?P<below>\s?(?:°\s?[CF]?|(?:degrees?|℃)(?:\s(?:Celsius|Fahrenheit))?)?\sbelow\szero\b)
      | (?P<letter>[mMbBtT])(?![A-Za-z0-9²³^/])""",
    re.VERBOSE | re.IGNORECASE,
)
_UNITS = {
    "k": 10**3, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "hundred": 100,
    "dozen": 12, "lakh": 10**5, "crore": 10**7, "mio": 10**6, "mrd": 10**9, "bn": 10**9,
    "миллион": 10**6, "миллиард": 10**9, "mil millones": 10**9,
    "tausend": 10**3, "millones": 10**6, "millionen": 10**6,
    "milliard": 10**9, "milliarde": 10**9, "milliarden": 10**9, "тыс": 10**3, "млн": 10**6, "млрд": 10**9,
    "百": 100, "千": 10**3, "万": 10**4, "萬": 10**4, "百万": 10**6, "千万": 10**7, "亿": 10**8, "億": 10**8,
    "万亿": 10**12,
}  # fmt: skip
_PARTS = {"hal": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "eighth": 8, "tenth": 10}
UNIT_LETTERS = {"m": "million", "b": "billion", "t": "trillion"}


def word_fraction(top: str, part: str) -> Fraction:
    """Return the value of a fraction in words: `a half`, `two thirds`."""
    count = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7}
    denominator = next(n for name, n in _PARTS.items() if part.lower().startswith(name))
    return Fraction(count[top.lower()], denominator)


def factors(unit: str) -> tuple[int, ...]:
    """Return the possible factors of a unit: mil is a thousand in Spanish, and a million in English."""
    if unit == "mil":
        return (10**3, 10**6)
    if unit in _UNITS:
        return (_UNITS[unit],)
    return (_UNITS[max((name for name in _UNITS if unit.startswith(name)), key=len)],)
