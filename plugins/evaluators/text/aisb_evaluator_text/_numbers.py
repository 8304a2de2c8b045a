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
from math import factorial
from typing import NamedTuple

from aisb.helpers import pattern
from aisb_evaluator_text._compounds import joined, placed

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


_FOLD = str.maketrans("．％－﹣−／⁄：＋＝（）＄￥　٫٬", ".%---//:+=()$¥ .,")
_INT = (
    r"(?:\d{1,3}(?:(?:,\\!|,|\{,\}|\\,|\\!|[\u00a0\u202f\u2009]|，(?=[０-９]))\d{3})++(?!\d)"
    r"|\d{1,2}(?:,\d{2}(?=,))++,\d{3}(?!\d)|(?<=[$€£¥])\d{1,3}(?:[ ]\d{3})++(?![\d/])|\d++)"
)
_DEC = rf"(?:{_INT}(?:(?:\.|\{{[.,]\}}(?=\d{{1,2}}(?!\d)))\d++)?|\.\d++)"
_VULGAR = "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
_TOKEN = pattern(
    rf"""(?=[\d.\\{_VULGAR}])(?:
    (?P<eu>\d{{1,3}}(?:\.\d{{3}})++,\d{{1,2}})(?![\d,])
  | (?P<odd>(?!\d{{1,2}}:00(?![\d:]))\d++(?::\d++)++ | \d++(?:/\d++){{2,}}+
      | \d{{4}}-\d{{1,2}}-\d{{1,2}}(?!\d) | \d++(?:\.\d++){{2,}}+)
  | (?:(?P<lw>\d++)(?:\s|又)?)?\\[dtc]?frac\s?(?:\{{\s?(?P<ln>-?\s?{_DEC})\s?\}}|(?P<ln1>\d))\s?
    (?:\{{\s?(?P<ld>{_DEC})\s?\}}|(?P<ld1>\d))
  | (?P<mw>\d++)(?:[ ]|又|-(?=\d{{1,2}}/\d{{1,3}}(?![\d/]|\s?[-+*=^])))(?P<mn>\d++)/(?P<md>\d++)
  | (?:(?P<cw>\d++)又)?(?P<cd>(?!100分)\d++)分之(?P<cn>\d++)
  | (?P<hour>\d{{1,2}}):00(?![\d:])
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
    rf"(?P<sign>-[ ]?|–|负|零下[ ]?|(?<![A-Za-z])(?:negative|minus)[ ])?"
    rf"(?P<currency>{_CURRENCY}[ ]?)?(?P<inner>-[ ]?)?$",
    re.IGNORECASE,
)
_OF_HUNDRED = pattern(r"百分之[ ]?$")
_EXPECTS_VALUE = pattern(
    r"(?:[=:(≈~{*$>]|\b(?:is|are|was|be|equals|get|gives|makes|of|to)|为|是|得|等于)$", re.IGNORECASE
)
_AFTER = pattern(
    r"""(?P<percent>\s?(?:\\?%|per[ ]?cent\b|percentage\ points?\b))
      | (?P<unit>[kK](?![A-Za-z])
        |\s?(?:thousand|million|billion|trillion|hundred|dozen|lakhs?|crores?|mil(?=\s|$)|mio|mrd|bn)(?![A-Za-z])
        |\s?(?:millones|mil\smillones|milliards?|millions?|millionen|tausend|milliarden?)(?![^\W\d_])
        |\s?(?:млн|миллион\w{0,3}|тыс|тысяч\w?|млрд|миллиард\w{0,3})(?![^\W\d_])
        |\s?(?:千万|百万|万亿|[万萬]|[亿億]|百(?!分))
        |\s?千(?![克米瓦卡帕焦赫伏字]))
      | (?:[ ]and[ ](?P<top>an?|one|two|three)[ -](?P<part>hal(?:f|ves)|thirds?|quarters?)\b|(?P<half>个半))
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
    "百": 100, "千": 10**3, "万": 10**4, "萬": 10**4, "百万": 10**6, "千万": 10**7, "亿": 10**8, "億": 10**8, "万亿": 10**12,
}  # fmt: skip
_PARTS = {"hal": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "eighth": 8, "tenth": 10}
_LETTERS = {"m": "million", "b": "billion", "t": "trillion"}
_FACTORIAL = pattern(r"!(?!!)(?=\s?(?:\$|\\\)|\\\]|\}|[=+*/×]))")
_UNCERTAIN = pattern(r"(?:±|\\pm|\+/-)\s?(?:[$€£¥]\s?)?$")
_COMMAND = pattern(r"\\[A-Za-z]+$")
_SUPERSCRIPTS = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")


_GROUPED = pattern(r"(?<![\w.,'’])[1-9]\d{0,2}(?P<mark>['’_،]|\\[ ])\d{3}(?:(?P=mark)\d{3})*+(?![\w'’])")
_SUM_OF_MONEY = r"(?:€|\$(?!\d)|£|¥|₽|руб|(?:euros?|dollars?|francs?|pesos?|rubles?|roubles?|kr|USD|EUR|CHF)\b)"
_SPACED = pattern(
    rf"(?<![\w.,])(?<!\d[ ])[1-9]\d{{0,2}}(?:[ ]\d{{3}})++(?=(?:[.,]\d++)?[ ]?{_SUM_OF_MONEY})"
    r"|(?<=[=≈][ ])[1-9]\d{0,2}(?:[ ]\d{3})++(?![\d/]|[ ]?[-+*×/]|[.,]\d)",
    re.IGNORECASE,
)
_ALONE = pattern(r"(?<![\w.,，])[1-9]\d{0,2}(?P<mark>[ ~，])\d{3}(?:(?P=mark)\d{3})*+(?![\d/:~]|[.,，]\d|[ ~]\d|-\w)")
_SINGULAR_MEASURE = pattern(
    r"[ -](?:meter|metre|mile|yard|foot|gram|calorie|page|piece|dollar|watt|liter|litre|gallon|pound|seat|word)\b",
    re.IGNORECASE,
)
"""What shows that a number counts things of a size: "3 400 meter races" are three."""


def fold(text: str) -> str:
    """Write full-width signs and marks of thousands as ASCII does, one for one, so that places stay the same."""
    folded = text if text.isascii() else text.translate(_FOLD)
    folded = _SPACED.sub(lambda match: match[0].replace(" ", ","), folded)
    return _GROUPED.sub(_with_commas, folded)


def join_groups(text: str) -> str:
    """Write `1 200`, `1，200` and `1~200` as `1,200`, one for one, in a piece that states one number.

    Elsewhere these may be two numbers: "he runs 3 400 meter races", 得到100，200.
    """

    def rewrite(match: re.Match[str]) -> str:
        if match["mark"] == " " and _SINGULAR_MEASURE.match(text, match.end()):
            return match[0]
        return match[0].replace(match["mark"], ",")

    return _ALONE.sub(rewrite, text)


def _with_commas(match: re.Match[str]) -> str:
    mark = match["mark"]
    return match[0].replace(mark, "\\," if len(mark) == 2 else ",")


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
    if ("±" in before or "pm" in before or "+/-" in before) and (uncertain := _UNCERTAIN.search(before)):
        begin = start - len(before) + uncertain.start()
        return Number(f"±{_plain(match[0])}", begin, end)
    read = _read(match, "." if start > match.start() else "")
    if read is None:
        return Number(_plain(match[0]), start, end)
    plain, value = read
    if whole := placed(text, start, end):
        start, end, value = whole
        before = text[max(0, start - 24) : start]
        sign = _sign(start, before, _BEFORE.search(before))
        if sign is None:
            return Number(text[start:end], start, end, (value,))
        return Number(f"-{text[start:end]}", sign, end, (-value,))
    if value.denominator == 1 and 0 <= value <= 20 and _FACTORIAL.match(text, end):
        value, end = Fraction(factorial(int(value))), end + 1
        plain = str(value)
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
    paid = bool(prefix and prefix["currency"])
    return _with_unit(text, Number(plain, start, end, (value,)), signed=sign is not None, paid=paid)


def _in_name(before: str, prefix: re.Match[str] | None) -> bool:
    """Say whether what stands before makes a number a part of a name (`x1`), unlike a currency."""
    last = before[-1:]
    attached = last.isascii() and (last.isalpha() or last == "_")
    return attached and not (prefix and prefix["currency"]) and not _COMMAND.search(before)


def _with_unit(text: str, number: Number, *, signed: bool, paid: bool) -> Number:
    """Return a number with its unit; unless it has a sign, also as the rest of "3 hours 20 minutes".

    `paid` says that a currency stands before it, so that a letter is a unit: $2B, and no 2B.
    """
    whole = None if signed else joined(text, number.start, number.end, number.readings[0])
    if whole:
        start, end, readings = whole
        return Number(text[start:end], start, end, readings)
    after = _AFTER.match(text, number.end)
    if not after:
        return number
    value = number.readings[0]
    if after["percent"]:
        return Number(f"{number.text}%", number.start, after.end(), (value / 100, value))
    if after["half"] or after["part"]:  # 3 and a half, 3个半
        part = Fraction(1, 2) if after["half"] else word_fraction(after["top"], after["part"])
        said = f"{number.text} {part}" if value.denominator == 1 and value > 0 else number.text
        return Number(said, number.start, after.end(), (value + part,))
    if after["below"]:
        return number if signed else Number(f"-{number.text}", number.start, after.end(), (-value,))
    if after["letter"]:
        if not paid and after["letter"] != "M":
            return number
        unit = _LETTERS[after["letter"].lower()]
    else:
        unit = after["unit"].strip().lower()
    space = " " if unit.isascii() and unit != "k" else ""
    readings = (*(value * factor for factor in _factors(unit)), value)
    return Number(f"{number.text}{space}{unit}", number.start, after.end(), readings)


def word_fraction(top: str, part: str) -> Fraction:
    """Return the value of a fraction in words: `a half`, `two thirds`."""
    count = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7}
    whole = next(n for name, n in _PARTS.items() if part.lower().startswith(name))
    return Fraction(count[top.lower()], whole)


def _factors(unit: str) -> tuple[int, ...]:
    """Return what a unit may stand for: mil is a thousand in Spanish, and short for a million in English."""
    if unit == "mil":
        return (10**3, 10**6)
    if unit in _UNITS:
        return (_UNITS[unit],)
    return (_UNITS[max((name for name in _UNITS if unit.startswith(name)), key=len)],)


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
    if (inner and prefix["currency"]) or word.strip() in ("负", "零下", "negative"):
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
    if match["hour"]:
        return _plain(match[0]), Fraction(int(match["hour"]))
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
        else (match["cn"], match["cd"], match["cw"])
        if match["cn"]
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
    ascii_digits = re.sub(r"(?<=\d)\{[.,]\}(?=\d{1,2}(?!\d))", ".", ascii_digits)  # 3{,}5
    return re.sub(r"(?<=\d)(?:,\\!|,|\{,\}|\\,|\\!|[ \u00a0\u202f\u2009，])(?=\d{3}|\d\d,)", "", ascii_digits)
