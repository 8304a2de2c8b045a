r"""Parse the notations of numbers: mixed, grouped, repeating (`0.1\overline{6}`), and long decimals."""

from __future__ import annotations

import re
from fractions import Fraction

MIN_DIGITS = 6
"""Decimal places and significant digits from which a decimal may stand for a value that it approximates."""
_NOISE = Fraction(1, 10**12)
"""The relative error of floating-point results: 0.30000000000000004 is 0.3."""

_DECIMAL = re.compile(r"(-?)\s*(?:(\d{1,3}(?:,\d{3})+|\d+)?\.(\d+)|(\d{1,3}(?:,\d{3})+|\d+)\.?)")
_RATIO = re.compile(
    r"(-?)\s*(?:(\d+)\s*)??"
    r"(?:\\frac\s*\{\s*(-?\d+)\s*\}\s*\{\s*(\d+)\s*\}|\\frac\s*(\d)\s*(\d)|\\frac\s*\{\s*(\d+)\s*\}\s*(\d)"
    r"|\\frac\s*(\d)\s*\{\s*(\d+)\s*\})"
)
_SLASH = re.compile(r"(-?)\s*(\d+)\s*/\s*(\d+)")
_GROUPED = re.compile(r"(?<![\d.])\d{1,3}(?: \d{3})+(?![\d ])")

_WHOLE = r"(?<![\w.])(\d*)\.(\d*)"
_ONE = r"(?:\{\s*(\d+)\s*\}|(\d))"
_OVERLINE = re.compile(rf"{_WHOLE}\s*\{{?\\(?:overline|bar|overbar)\s*{_ONE}\}}?")
_DOTTED = re.compile(rf"{_WHOLE}\\dot\s*{_ONE}(?:(\d*)\\dot\s*{_ONE})?(?![\d\\])")
_PARENTHESES = re.compile(r"(-?)(\d*)\.(\d*)\((\d+)\)")
_GOES_ON = re.compile(rf"{_WHOLE}(?:\s|\\,)*(?:\\[lc]?dots\b|…|⋯|\.{{3,}})")
_COMBINING = ((re.compile(r"((?:\d[\u0304\u0305])+)"), r"\overline"), (re.compile(r"(\d\u0307)"), r"\dot"))


def parse_rational(text: str) -> Fraction | None:
    r"""Parse a rational number: `3`, `1,000.5`, `-3/4`, `4\frac{2}{3}`; None if the text is not one."""
    text = text.strip()
    if not text or len(text) > 200:
        return None
    text = _GROUPED.sub(lambda match: match[0].replace(" ", ""), text)
    if _DECIMAL.fullmatch(text):
        return Fraction(re.sub(r"[,\s]", "", text).rstrip("."))
    ratio = _RATIO.fullmatch(text) or _SLASH.fullmatch(text)
    if not ratio:
        return None
    *whole, numerator, denominator = [part for part in ratio.groups()[1:] if part is not None]
    if not int(denominator) or (whole and numerator.startswith("-")):
        return None
    value = Fraction(int(numerator), int(denominator)) + (int(whole[0]) if whole else 0)
    return -value if ratio[1] else value


def same_number(one: str, other: str) -> bool | None:
    """Return whether two texts are the same rational number; None if one of them is not a number.

    A decimal with enough digits equals a number from which it is truncated or rounded: 0.3333333333 is 1/3,
    but 0.33 is not. Two decimals must be equal.
    """
    first, second = parse_rational(one), parse_rational(other)
    if first is None or second is None:
        return None
    if first == second:
        return True
    decimals = [_DECIMAL.fullmatch(text.strip()) for text in (one, other)]
    places = [len(found[3] or "") if found else 0 for found in decimals]
    if abs(first - second) <= _NOISE * max(abs(first), abs(second)) and max(places) > 12:
        return True
    if all(places) or not any(places):
        return False
    found = decimals[0] if places[0] else decimals[1]
    return found is not None and stands_for(found, abs(first - second))


def stands_for(decimal: re.Match[str], error: Fraction) -> bool:
    """Return whether a decimal has enough digits, and its error is below one unit of the last digit."""
    places = len(decimal[3] or "")
    digits = len(((decimal[2] or "").replace(",", "") + (decimal[3] or "")).lstrip("0"))
    return places >= MIN_DIGITS and digits >= MIN_DIGITS and error < Fraction(1, 10**places)


def decimal_of(text: str) -> re.Match[str] | None:
    """Match a decimal and its parts: sign, integer part, fractional part; None if the text is not one."""
    found = _DECIMAL.fullmatch(text.strip()) if len(text) < 200 else None
    return found if found and found[3] else None


def as_fractions(text: str) -> str:
    r"""Replace each repeating decimal by its fraction: `0.1\overline{6}` by `\frac{1}{6}`."""
    if "." not in text:
        return text
    for combining, command in _COMBINING:
        text = combining.sub(lambda match: f"{command}{{{re.sub(r'[^0-9]', '', match[0])}}}", text)  # noqa: B023
    text = _OVERLINE.sub(lambda m: _fraction(m[1], m[2], m[3] or m[4]), text)
    text = _DOTTED.sub(_dotted, text)
    if bracketed := _PARENTHESES.fullmatch(text.strip()):
        return bracketed[1] + _fraction(bracketed[2], bracketed[3], bracketed[4])
    return text


def continued(text: str) -> list[str]:
    """Return the readings of a text with a decimal that continues ("0.1666…"); otherwise the text alone.

    If the digits repeat, it is a fraction; if they do not, or barely (2.718281828…), the digits.
    """
    match = _GOES_ON.search(text)
    if not match or not match[2]:
        return [text]
    readings = []
    period, repeats = _period(match[2])
    if period:
        readings.append(_fraction(match[1], match[2][: len(match[2]) - period], match[2][-period:]))
    if not period or repeats < 3:
        readings.append(f"{match[1] or 0}.{match[2]}")
    return [text[: match.start()] + reading + text[match.end() :] for reading in readings]


def _period(digits: str) -> tuple[int, int]:
    """Return the length and the count of the block that repeats at the end of the digits; or zeros."""
    for period in range(1, len(digits) // 2 + 1):
        block = digits[-period:]
        repeats = 1
        while digits.endswith(block * (repeats + 1)):
            repeats += 1
        if repeats >= 2:
            return period, repeats
    return 0, 0


def _dotted(match: re.Match[str]) -> str:
    first = match[3] or match[4]
    last = match[6] or match[7] or ""
    if last:
        return _fraction(match[1], match[2], first + (match[5] or "") + last)
    return _fraction(match[1], match[2], first)


def _fraction(whole: str, fixed: str, block: str) -> str:
    """Return the fraction equal to `whole.fixed` followed by an endlessly repeated block."""
    scale = 10 ** len(fixed)
    value = Fraction(int((whole or "0") + fixed), scale) + Fraction(
        int(block), (10 ** len(block) - 1) * scale
    )
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"
