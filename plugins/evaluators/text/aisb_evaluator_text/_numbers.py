r"""Find the numbers that a text holds, and read what each is worth, exactly.

Read are thousands separators, decimals (also `.5`), fractions (`3/4`, `2 1/2`, `\frac{3}{4}`, `¾`), powers,
scientific notation, percent, `70k` and `1.5 million` and `3万`, signs in every usual dash, currency, and
digits of any script, full-width ones too. All patterns take time in proportion to the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from aisb.helpers import pattern
from aisb_evaluator_text._compounds import joined

MOST_DIGITS = 400
"""Numbers with more digits, or of a higher power of ten, are kept as text: no answer is that long."""


class Number(NamedTuple):
    """A number in a text: as plain text (ASCII digits, no separators, no currency), its place, its readings.

    `readings` has the value first. For percent and for `70 thousand` the bare number is a second reading,
    since answers often repeat the unit that the question asked for. None for a time, a date, a ratio.
    """

    text: str
    start: int
    end: int
    readings: tuple[Fraction, ...] = ()


_FOLD = str.maketrans("．％－﹣−／：＋＝（）＄￥　", ".%---/:+=()$¥ ")
_INT = (
    r"(?:\d{1,3}(?:(?:,\\!|,|\{,\}|\\,|\\!|[\u00a0\u202f\u2009]|，(?=[０-９]))\d{3})++(?!\d)"
    r"|\d{1,2}(?:,\d{2}(?=,))++,\d{3}(?!\d)|(?<=[$€£¥])\d{1,3}(?:[ ]\d{3})++(?![\d/])|\d++)"
)
_DEC = rf"(?:{_INT}(?:\.\d++)?|\.\d++)"
_VULGAR = "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
_TOKEN = pattern(
    rf"""(?=[\d.\\{_VULGAR}])(?:
    (?P<eu>\d{{1,3}}(?:\.\d{{3}})++,\d{{1,2}})(?![\d,])
  | (?P<odd>\d++(?::\d++)++ | \d++(?:/\d++){{2,}}+
      | \d{{4}}-\d{{1,2}}-\d{{1,2}}(?!\d) | \d++(?:\.\d++){{2,}}+)
  | (?:(?P<lw>\d++)\s?)?\\[dtc]?frac\s?(?:\{{\s?(?P<ln>-?\s?{_DEC})\s?\}}|(?P<ln1>\d))\s?
    (?:\{{\s?(?P<ld>{_DEC})\s?\}}|(?P<ld1>\d))
  | (?P<mw>\d++)(?:[ ]|-(?=\d{{1,2}}/\d{{1,3}}(?![\d/]|\s?[-+*=^])))(?P<mn>\d++)/(?P<md>\d++)
  | (?:(?P<vw>\d++)[ ]?)?(?P<v>[{_VULGAR}])
  | (?P<fn>{_DEC})\s?/\s?(?P<fd>{_DEC})
  | (?P<n>{_DEC})(?:[eE](?P<e>[+-]?\d++)(?![A-Za-z])
    | \s?(?:\\times|\\cdot|[x×*·])\s?10\s?(?:\^|\*\*)\s?\{{?(?P<p>[+-]?\d++)\}}?
    | \s?[x×]\s?10(?P<s>[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]++))?
    )""",
    re.VERBOSE,
)
_POWER = pattern(r"\s?(?:\^|\*\*)\s?(?:\{\s?(-?\d{1,3})\s?\}|(-?\d{1,3})(?!\d))")
_CURRENCY = r"(?:(?:US|HK|NZ|CA|AU|A|C|S)?\\?[$€£¥₹₩฿]|(?<![A-Za-z])(?:USD|RMB|CNY|EUR|GBP|INR|Rs\.?|RM))"
_BEFORE = pattern(
    rf"(?P<sign>-[ ]?|–|负|(?<![A-Za-z])(?:negative|minus)[ ])?"
    rf"(?P<currency>{_CURRENCY}[ ]?)?(?P<inner>-[ ]?)?$",
    re.IGNORECASE,
)
_OF_HUNDRED = pattern(r"百分之[ ]?$")
_EXPECTS_VALUE = pattern(
    r"(?:[=:(≈~{*$>]|\b(?:is|are|was|be|equals|get|gives|makes|of|to)|为|是|得|等于)$", re.IGNORECASE
)
_AFTER = pattern(
    r"""(?P<percent>\s?(?:\\?%|per[ ]?cent\b|percentage\ points?\b))
      | (?P<unit>[kK](?![A-Za-z])|\s?(?:thousand|million|billion|trillion|hundred|dozen)\b
        |\s?(?:千万|百万|万亿|万|亿)
        |\s?千(?![克米瓦卡帕焦赫伏字]))""",
    re.VERBOSE | re.IGNORECASE,
)
_UNITS = {
    "k": 10**3, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "hundred": 100,
    "dozen": 12, "千": 10**3, "万": 10**4, "百万": 10**6, "千万": 10**7, "亿": 10**8, "万亿": 10**12,
}  # fmt: skip
_COMMAND = pattern(r"\\[A-Za-z]+$")
_SUPERSCRIPTS = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")


def fold(text: str) -> str:
    """Write full-width signs and brackets as ASCII, one for one, so that places stay the same."""
    return text if text.isascii() else text.translate(_FOLD)


def find(text: str) -> Iterator[Number]:
    """Yield the numbers of a text in order."""
    folded = fold(text)
    held: Number | None = None
    for match in _TOKEN.finditer(folded):
        number = _number(folded, match)
        if number:
            if held and held.start < number.start:
                yield held  # unless the number after it is the rest of it: "3 hours 20 minutes"
            held = number
    if held:
        yield held


def find_last(text: str, most: int = 64) -> Iterator[Number]:
    """Yield the last numbers of a text, the last one first; cheaper than `find` where one is wanted."""
    folded = fold(text)
    before = len(text)
    for match in reversed(deque(_TOKEN.finditer(folded), maxlen=most)):
        number = _number(folded, match)
        if number and number.end <= before:
            yield number
            before = number.start


def _number(text: str, match: re.Match[str]) -> Number | None:
    """Return the number of a token with its sign and unit; None for an exponent, or a part of a name."""
    start, end = match.span()
    if match["odd"]:
        return Number(_plain(match[0]), start, end)
    if text[start] == "." and start and (text[start - 1].isalnum() or text[start - 1] in ".)"):
        start += 1  # the end of a sentence or "No.5", not a decimal
    before = text[max(0, start - 24) : start]
    prefix = _BEFORE.search(before)
    if before.endswith(("^", "_", "^{", "_{")) or _in_name(before, prefix):
        return None
    read = _read(match, "." if start > match.start() else "")
    if read is None:
        return Number(_plain(match[0]), start, end)
    plain, value = read
    power = _POWER.match(text, end)
    if power:
        exponent = int(power[1] or power[2])
        if abs(exponent) > 99 or len(plain) > 9 or (value == 0 and exponent < 0):
            return Number(text[start : power.end()], start, power.end())
        plain, value, end = f"{plain}^{exponent}", value**exponent, power.end()
    sign = _sign(start, before, prefix)
    if sign is not None:
        plain, value, start = f"-{plain}", -value, sign
    if _OF_HUNDRED.search(before):
        return Number(f"{plain}%", start, end, (value / 100, value))
    return _with_unit(text, Number(plain, start, end, (value,)), alone=sign is not None)


def _in_name(before: str, prefix: re.Match[str] | None) -> bool:
    """Say whether what stands before makes a number a part of a name (`x1`), unlike a currency."""
    last = before[-1:]
    attached = last.isascii() and (last.isalpha() or last == "_")
    return attached and not (prefix and prefix["currency"]) and not _COMMAND.search(before)


def _with_unit(text: str, number: Number, *, alone: bool) -> Number:
    """Return a number with its unit; unless it is `alone`, also as the rest of "3 hours 20 minutes"."""
    whole = None if alone else joined(text, number.start, number.end, number.readings[0])
    if whole:
        start, end, readings = whole
        return Number(text[start:end], start, end, readings)
    after = _AFTER.match(text, number.end)
    if not after:
        return number
    value = number.readings[0]
    if after["percent"]:
        return Number(f"{number.text}%", number.start, after.end(), (value / 100, value))
    unit = after["unit"].strip().lower()
    space = " " if unit.isascii() and unit != "k" else ""
    return Number(f"{number.text}{space}{unit}", number.start, after.end(), (value * _UNITS[unit], value))


def _sign(start: int, before: str, prefix: re.Match[str] | None) -> int | None:
    """Return where the minus sign of the number at `start` stands; None for a hyphen, a range, a bullet."""
    if not prefix:
        return None
    inner = bool(prefix["inner"])
    group = "inner" if inner else "sign"
    if not prefix[group]:
        return None
    left = before[: prefix.start(group)]
    word = prefix[group].lower()
    if (inner and prefix["currency"]) or word.strip() in ("负", "negative"):
        negative = True
    elif word.endswith(" "):
        # "16 - 7" and "16 eggs minus 7" subtract, and "- 7" at the start of a line is a bullet.
        opens = word == "minus " and not left and start == len(before)
        negative = opens or bool(_EXPECTS_VALUE.search(left.rstrip(" ")))
    elif left[-1:].isascii() and left[-1:].isalnum():
        negative = False
    else:
        context = left.rstrip(" ")[-1:]
        negative = not (context.isdigit() or context in (")", "%", "]", "}"))
    return start - len(before) + prefix.start(group) if negative else None


def _read(match: re.Match[str], lost: str) -> tuple[str, Fraction] | None:
    """Return a token as plain text and as a value; None for one too long, or with a denominator of 0."""
    if len(match[0]) > MOST_DIGITS:
        return None
    if match["v"]:
        whole = int(match["vw"] or 0)
        part = Fraction(unicodedata.numeric(match["v"])).limit_denominator(10)
        return (f"{whole} {part}" if whole else str(part)), whole + part
    if match["n"] or match["eu"]:
        return _read_decimal(match, lost)
    top, bottom, whole_text = (
        (match["fn"].removeprefix(lost), match["fd"], None)
        if match["fn"]
        else (match["mn"], match["md"], match["mw"])
        if match["mn"]
        else (match["ln"] or match["ln1"], match["ld"] or match["ld1"], match["lw"])
    )
    top, bottom = _plain(top).replace(" ", ""), _plain(bottom)
    if Fraction(bottom) == 0:
        return None
    value = Fraction(top) / Fraction(bottom)
    plain = f"{top}/{bottom}"
    if whole_text is None:
        return plain, value
    return f"{_plain(whole_text)} {plain}", int(whole_text) + value


def _read_decimal(match: re.Match[str], lost: str) -> tuple[str, Fraction] | None:
    if match["eu"]:  # 1.234,50
        plain = _plain(match["eu"]).replace(".", "").replace(",", ".")
        return plain, Fraction(plain)
    plain = _plain(match["n"].removeprefix(lost))
    power = match["e"] or match["p"] or (match["s"] or "").translate(_SUPERSCRIPTS)
    if not power:
        return plain, Fraction(plain)
    exponent = int(power)
    if abs(exponent) > MOST_DIGITS:
        return None
    return f"{plain}e{exponent}", Fraction(plain) * Fraction(10) ** exponent


def _plain(text: str) -> str:
    """Return digits of any script as ASCII, without what groups thousands."""
    if text.isascii() and text.isdigit():
        return text
    ascii_digits = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)
    return re.sub(r"(?<=\d)(?:,\\!|,|\{,\}|\\,|\\!|[ \u00a0\u202f\u2009，])(?=\d{3}|\d\d,)", "", ascii_digits)
