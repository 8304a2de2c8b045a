r"""Find the numbers in a text, and their exact values.

Supported are thousands separators, decimals (also `.5`), fractions (`3/4`, `2 1/2`, `\frac{3}{4}`, `¾`),
powers, scientific notation, percent, `70k`, `1.5 million` and `3万`, every usual minus sign, currencies, and
digits of any script, including full-width ones. All patterns take time linear in the length of the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from math import factorial, isqrt
from typing import NamedTuple

from aisb.helpers import pattern
from aisb_evaluator_text._compounds import join_compound, placed
from aisb_evaluator_text._groups import fold
from aisb_evaluator_text._units import AFTER, UNIT_LETTERS, factors, word_fraction

MAX_DIGITS = 400
"""Numbers with more digits, or with a larger exponent, are kept as text: no answer is that long."""


class FoundNumber(NamedTuple):
    """A number in a text: its plain form (ASCII digits, no separators, no currency), span, and readings.

    `readings` begins with the value. For percent and for `70 thousand` the bare number is a second reading,
    since answers often repeat the unit of the question. A time, a date or a ratio has no value.
    """

    text: str
    start: int
    end: int
    readings: tuple[Fraction, ...] = ()


_INT = (
    r"(?:\d{1,3}(?:(?:,\\!|,|\{,\}|\\,|\\!|[\u00a0\u202f\u2009]|，(?=[０-９]))\d{3})++(?!\d)"
    r"|\d{1,2}(?:,\d{2}(?=,))++,\d{3}(?!\d)|(?<=[$€£¥])\d{1,3}(?:[ ]\d{3})++(?![\d/])|\d++)"
)
_DEC = rf"(?:{_INT}(?:(?:\.|\{{[.,]\}}(?=\d{{1,2}}(?!\d)))\d++)?|\.\d++)"
_VULGAR = "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
_TOKEN = pattern(
    rf"""(?=[\d.\\{_VULGAR}])(?:
    (?P<eu>\d{{1,3}}(?:\.\d{{3}})++,\d{{1,2}})(?![\d,])
  | (?P<dots>\d{{1,3}}(?:\.\d{{3}}){{2,}}+)(?![\d.]\d)
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
_POWER = pattern(r"\s?(?:\^|\*\*)\s?(?:\{\s?(-?\d{1,3})\s?\}|(-?\d{1,3})(?!\d))|(⁻?[⁰²³⁴⁵⁶⁷⁸⁹][⁰¹²³⁴⁵⁶⁷⁸⁹]?)")
_ROOT = pattern(r"(?<![\d)}\]])(?:√\s?(?P<open>[({])?|\\sqrt\s?(?P<brace>\{))\s?$")
_CURRENCY = r"(?:(?:US|HK|NZ|CA|AU|A|C|S)?\\?[$€£¥₹₩฿]|(?<![A-Za-z])(?:USD|RMB|CNY|EUR|GBP|INR|Rs\.?|RM))"
_BEFORE = pattern(
    rf"(?P<sign>-[ ]?|–|负|負|零下[ ]?|(?<![A-Za-z])(?:negative|minus|menos|moins|минус)[ ])?"
    rf"(?P<currency>{_CURRENCY}[ ]?)?(?P<inner>-[ ]?)?$",
    re.IGNORECASE,
)
_OF_HUNDRED = pattern(r"百分之[ ]?$")
_EXPECTS_VALUE = pattern(
    r"(?:[=:(≈~{*$>]|\b(?:is|are|was|be|equals|get|gives|makes|of|to)|为|是|得|等于)$", re.IGNORECASE
)
_FACTORIAL = pattern(r"!(?!!)(?=\s?(?:\$|\\\)|\\\]|\}|[=+*/×]))")
_UNCERTAIN = pattern(r"(?:±|\\pm|\+/-)\s?(?:[$€£¥]\s?)?$")
_COMMAND = pattern(r"\\[A-Za-z]+$")
_SUPERSCRIPTS = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")


def find_numbers(text: str) -> Iterator[FoundNumber]:
    """Yield the numbers of a text in order."""
    folded = fold(text)
    pending: FoundNumber | None = None
    for match in _TOKEN.finditer(folded):
        number = _number(folded, match)
        if number:
            if pending and pending.start < number.start:
                yield pending  # unless the next number completes it: "3 hours 20 minutes"
            pending = number
    if pending:
        yield pending


def find_last(text: str, count: int = 64) -> Iterator[FoundNumber]:
    """Yield the last numbers of a text in reverse order; cheaper than `find_numbers`."""
    folded = fold(text)
    before = len(text)
    for match in reversed(deque(_TOKEN.finditer(folded), maxlen=count)):
        number = _number(folded, match)
        if number and number.end <= before:
            yield number
            before = number.start


def _number(text: str, match: re.Match[str]) -> FoundNumber | None:
    """Return the number of a token with its sign and unit; None for an exponent or a part of a name."""
    start, end = match.span()
    if match["odd"]:
        return FoundNumber(_plain(match[0]), start, end)
    if text[start] == "." and start and (text[start - 1].isalnum() or text[start - 1] in ".)"):
        start += 1  # the end of a sentence or "No.5", not a decimal
    before = text[max(0, start - 24) : start]
    prefix = _BEFORE.search(before)
    if before.endswith(("^", "_", "^{", "_{")) or _in_name(before, prefix):
        return None
    if ("±" in before or "pm" in before or "+/-" in before) and (uncertain := _UNCERTAIN.search(before)):
        begin = start - len(before) + uncertain.start()
        return FoundNumber(f"±{_plain(match[0])}", begin, end)
    read = _read(match, "." if start > match.start() else "")
    if read is None:
        return FoundNumber(_plain(match[0]), start, end)
    plain, value = read
    if whole := placed(text, start, end):
        start, end, value = whole
        plain = text[start:end]
        before = text[max(0, start - 24) : start]
        sign = _sign(start, before, _BEFORE.search(before))
        return (
            FoundNumber(plain, start, end, (value,)) if sign is None else _negative(plain, value, sign, end)
        )
    return _evaluate(text, FoundNumber(plain, start, end, (value,)), before, prefix)


def _negative(plain: str, value: Fraction, start: int, end: int) -> FoundNumber:
    return FoundNumber(f"-{plain}", start, end, (-value,))


def _evaluate(text: str, number: FoundNumber, before: str, prefix: re.Match[str] | None) -> FoundNumber:
    """Return a number with its factorial sign, power, sign, percent and unit."""
    plain, start, end, (value,) = number
    if _FACTORIAL.match(text, end) and value.denominator == 1 and 0 <= value <= 20:
        value, end = Fraction(factorial(int(value))), end + 1
        plain = str(value)
    if root := _root_of(text, number, before):
        return root
    power = _POWER.match(text, end)
    if power:
        exponent = int(power[1] or power[2] or power[3].translate(_SUPERSCRIPTS))
        if abs(exponent) > 99 or len(plain) > 9 or (value == 0 and exponent < 0):
            return FoundNumber(text[start : power.end()], start, power.end())
        plain, value, end = f"{plain}^{exponent}", value**exponent, power.end()
    sign = _sign(start, before, prefix)
    number = FoundNumber(plain, start, end, (value,)) if sign is None else _negative(plain, value, sign, end)
    if "百分之" in before and _OF_HUNDRED.search(before):
        (value,) = number.readings
        return FoundNumber(f"{number.text}%", number.start, end, (value / 100, value))
    has_currency = bool(prefix and prefix["currency"])
    return _with_unit(text, number, signed=sign is not None, has_currency=has_currency)


def _root_of(text: str, number: FoundNumber, before: str) -> FoundNumber | None:
    r"""Return the square root of a number after `√` or `\\sqrt{`, without a value if it is not rational."""
    if "√" not in before and "sqrt" not in before:
        return None
    found = _ROOT.search(before)
    closing = {"(": ")", "{": "}", None: ""}[found["open"] or found["brace"]] if found else ""
    if not found or not text.startswith(closing, number.end):
        return None
    start, end = number.start - len(before) + found.start(), number.end + len(closing)
    (value,) = number.readings
    top, bottom = isqrt(value.numerator), isqrt(value.denominator)
    if Fraction(top**2, bottom**2) != value:
        return FoundNumber(text[start:end], start, end)
    return FoundNumber(str(Fraction(top, bottom)), start, end, (Fraction(top, bottom),))


def _in_name(before: str, prefix: re.Match[str] | None) -> bool:
    """Return whether the preceding text makes a number part of a name (`x1`), unlike a currency."""
    last = before[-1:]
    attached = last.isascii() and (last.isalpha() or last == "_")
    return attached and not (prefix and prefix["currency"]) and not _COMMAND.search(before)


def _with_unit(text: str, number: FoundNumber, *, signed: bool, has_currency: bool) -> FoundNumber:
    """Return a number with its unit; without a sign, it may complete a quantity like "3 hours 20 minutes".

    `has_currency`: a currency precedes it, so that a letter is a unit: $2B, but not 2B.
    """
    compound = None if signed else join_compound(text, number.start, number.end, number.readings[0])
    if compound:
        start, end, readings = compound
        return FoundNumber(text[start:end], start, end, readings)
    after = AFTER.match(text, number.end)
    if after is None:
        return number
    value = number.readings[0]
    if after["percent"]:
        return FoundNumber(f"{number.text}%", number.start, after.end(), (value / 100, value))
    if after["half"] or after["part"]:  # 3 and a half, 3个半
        part = Fraction(1, 2) if after["half"] else word_fraction(after["top"], after["part"])
        total = value - part if signed else value + part
        plain = f"{number.text} {part}" if value.denominator == 1 else number.text
        return FoundNumber(plain, number.start, after.end(), (total,))
    if after["below"]:
        return number if signed else _negative(number.text, value, number.start, after.end())
    return _multiplied(number, after, has_currency=has_currency)


def _multiplied(number: FoundNumber, after: re.Match[str], *, has_currency: bool) -> FoundNumber:
    """Return a number with the unit that multiplies it: `70k`, `3万`, `$2B`."""
    letter = after["letter"]
    if letter and not has_currency and letter != "M":
        return number
    unit = UNIT_LETTERS[letter.lower()] if letter else after["unit"].strip().lower()
    space = " " if unit.isascii() and unit != "k" else ""
    value = number.readings[0]
    readings = (*(value * factor for factor in factors(unit)), value)
    return FoundNumber(f"{number.text}{space}{unit}", number.start, after.end(), readings)


def _sign(start: int, before: str, prefix: re.Match[str] | None) -> int | None:
    """Return the position of the minus sign of the number at `start`; None for a hyphen, range or bullet."""
    if not prefix:
        return None
    inner = bool(prefix["inner"])
    group = "inner" if inner else "sign"
    if not prefix[group]:
        return None
    left = before[: prefix.start(group)]
    word = prefix[group].lower()
    if (inner and prefix["currency"]) or word.strip() in ("负", "負", "零下", "negative"):
        negative = True
    elif word.endswith(" "):
        # "16 - 7" and "16 eggs minus 7" subtract, and "- 7" at the start of a line is a bullet.
        opens = word != "- " and not left and start == len(before)
        negative = opens or bool(_EXPECTS_VALUE.search(left.rstrip(" ")))
    elif left[-1:].isascii() and left[-1:].isalnum():
        negative = False
    else:
        context = left.rstrip(" ")[-1:]
        negative = not (context.isdigit() or context in (")", "%", "]", "}"))
    return start - len(before) + prefix.start(group) if negative else None


def _read(match: re.Match[str], dropped: str) -> tuple[str, Fraction] | None:
    """Return a token's plain form and value; None if it is too long, or has a denominator of 0.

    `dropped` is the point at its start if that ends a sentence instead of beginning a decimal.
    """
    if len(match[0]) > MAX_DIGITS:
        return None
    if match["dots"]:  # 1.000.000
        plain = _plain(match["dots"].replace(".", ""))
        return plain, Fraction(plain)
    if match["hour"]:
        return _plain(match[0]), Fraction(int(match["hour"]))
    if match["v"]:
        whole = int(match["vw"] or 0)
        part = Fraction(unicodedata.numeric(match["v"])).limit_denominator(10)
        return (f"{whole} {part}" if whole else str(part)), whole + part
    return _read_decimal(match, dropped) if match["n"] or match["eu"] else _read_fraction(match, dropped)


def _read_fraction(match: re.Match[str], dropped: str) -> tuple[str, Fraction] | None:
    if match["fn"]:
        top, bottom, whole = match["fn"].removeprefix(dropped), match["fd"], None
    elif match["mn"]:
        top, bottom, whole = match["mn"], match["md"], match["mw"]
    elif match["cn"]:
        top, bottom, whole = match["cn"], match["cd"], match["cw"]
    else:
        top, bottom, whole = match["ln"] or match["ln1"], match["ld"] or match["ld1"], match["lw"]
    top, bottom = _plain(top).replace(" ", ""), _plain(bottom)
    if Fraction(bottom) == 0:
        return None
    value = Fraction(top) / Fraction(bottom)
    if whole is None:
        return f"{top}/{bottom}", value
    return f"{_plain(whole)} {top}/{bottom}", int(whole) + value


def _read_decimal(match: re.Match[str], dropped: str) -> tuple[str, Fraction] | None:
    if match["eu"]:  # 1.234,50
        plain = _plain(match["eu"]).replace(".", "").replace(",", ".")
        return plain, Fraction(plain)
    plain = _plain(match["n"].removeprefix(dropped))
    power = match["e"] or match["p"] or (match["s"] or "").translate(_SUPERSCRIPTS)
    if not power:  # of an integer, `Fraction` parses a text in ten times the time of a number
        return plain, Fraction(int(plain) if plain.isdecimal() else plain)
    exponent = int(power)
    if abs(exponent) > MAX_DIGITS:
        return None
    return f"{plain}e{exponent}", Fraction(plain) * Fraction(10) ** exponent


def _plain(text: str) -> str:
    """Return digits of any script as ASCII, without thousands separators."""
    if text.isascii() and text.isdigit():
        return text
    ascii_digits = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)
    ascii_digits = re.sub(r"(?<=\d)\{[.,]\}(?=\d{1,2}(?!\d))", ".", ascii_digits)  # 3{,}5
    return re.sub(r"(?<=\d)(?:,\\!|,|\{,\}|\\,|\\!|[ \u00a0\u202f\u2009，])(?=\d{3}|\d\d,)", "", ascii_digits)
