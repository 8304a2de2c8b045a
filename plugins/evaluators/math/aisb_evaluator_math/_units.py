r"""Split a value from its unit: `15\ \text{cm}^2`, `9 \frac{\text{m}}{\text{s}}`, `60 mph`."""

from __future__ import annotations

import re
from collections.abc import Mapping

_POWER = r"(?:\s*\^\s*(?:\{\s*-?\d\s*\}|-?\d))?"
WRAPPED = (
    r"\\(?:text|textrm|textbf|textit|textnormal|mathrm|mathbf|mathit|mbox|operatorname|rm)"
    r"\s*\{((?:[^{}]|\^\s*\{\s*-?\d\s*\})*)\}"
)
_WRAPPED_UNIT = re.compile(rf"{WRAPPED}{_POWER}\s*$")
_UNIT_FRACTION = re.compile(
    rf"\\frac\s*\{{\s*({WRAPPED}{_POWER})\s*\}}\s*\{{\s*({WRAPPED}{_POWER})\s*\}}\s*$"
)
_BARE_FRACTION = re.compile(
    rf"(?<=\d)\s*\\frac\s*\{{\s*([a-z]{{1,3}}){_POWER}\s*\}}\s*\{{\s*([a-z]{{1,3}}){_POWER}\s*\}}\s*$"
)
_GREEK = re.compile(r"(?<=[\d}\s])\s*\\(?:Omega|mu)(?![a-zA-Z])\s*$")
_DEGREE = re.compile(r"(?:\^\s*(?:\{\s*\\circ\s*\}|\\circ)|\\degree)\s*$")
_WORDS = re.compile(
    rf"(?<=[\d}})])(?:\s+|(?<=\d)(?=[a-z]{{2}}))((?:[A-Za-z]+\.?{_POWER}(?:\s*/\s*|\s+)?){{1,4}})$"
)
_HAN = re.compile(r"(?<=[\d})%])\s*([\u4e00-\u9fff]{1,6})$")
_ONLY_UNIT = re.compile(r"[A-Za-z'’\u4e00-\u9fff\s./*^{}\-\d()（）·\\]*")
_JOINS = re.compile(r"(?:\\cdot|/|\*|\s)+$")
_OPERATOR = re.compile(r"(?:[-+=<>,(\[{^_&|/]|\\(?:cdot|times|pm|le|ge|in|cup|cap|or|and))\s*$")
_TRIGONOMETRY = re.compile(r"\\?(?:sin|cos|tan|cot|sec|csc)\b")
_TOKEN = re.compile(r"[a-z]+|\^\s*\{?\s*(-?\d)\s*\}?|/")
_PROSE = re.compile(
    r"\b(?:all|and|any|are|as|at|base|but|by|even|except|false|for|from|if|in|infinite|is|least|less|mod|modulo|more"
    r"|most|no|none|not|odd|only|or|possible|real|such|than|that|then|to|true|undefined|where|which|with"
    r"|dozen|hundred|thousand|million|billion|trillion)\b",
    re.IGNORECASE,
)
"""Words that occur in no unit: text with one of them is a remark on the value."""
_HAN_PROSE = re.compile("[或和与且到至约以上下万亿千百十半多余不是无]")

_SPELLINGS = {
    "inch": "in inches",
    "foot": "ft feet",
    "yard": "yd yards",
    "mile": "mi miles",
    "meter": "m meters metre metres 米",
    "centimeter": "cm centimeters centimetre centimetres 厘米",
    "millimeter": "mm millimeters millimetre millimetres 毫米",
    "kilometer": "km kilometers kilometre kilometres 千米 公里",
    "gram": "g grams 克",
    "kilogram": "kg kilograms kilo kilos 千克 公斤",
    "pound": "lb lbs pounds",
    "ounce": "oz ounces",
    "liter": "l liters litre litres 升",
    "milliliter": "ml milliliters millilitre millilitres 毫升",
    "gallon": "gal gallons",
    "second": "s sec secs seconds 秒",
    "minute": "min mins minutes 分钟",
    "hour": "h hr hrs hours 小时",
    "day": "days 天",
    "week": "weeks",
    "month": "months",
    "year": "yr yrs years",
    "degree": "deg degrees 度",
    "radian": "rad radians",
    "dollar": "dollars usd",
    "cent": "cents",
    "newton": "newtons",
    "joule": "joules",
    "watt": "watts",
    "volt": "volts",
    "celsius": "",
    "fahrenheit": "",
}
_UNITS = {spelling: name for name, others in _SPELLINGS.items() for spelling in (name, *others.split())}
_COMPOUNDS = {
    "mph": {"mile": 1, "hour": -1},
    "kmh": {"kilometer": 1, "hour": -1},
    "kph": {"kilometer": 1, "hour": -1},
    "kmph": {"kilometer": 1, "hour": -1},
}


def split_unit(text: str) -> tuple[str, str]:
    """Return a value and its unit as written; the unit may be empty."""
    value, found = text.rstrip(), ""
    for _ in range(6):
        piece = _last_piece(value)
        if piece is None:
            break
        rest = _JOINS.sub("", value[:piece])
        if not rest or _OPERATOR.search(rest) or not re.search(r"[0-9a-zA-Z)]", rest):
            break
        value, found = rest, value[piece:] + found if rest == value[:piece] else value[len(rest) :] + found
    return value, found


def measure_of(unit: str) -> Mapping[str, int] | None:
    """Return the exponents of the base units of a unit, `{"centimeter": 2}` for `cm^2`; None if unknown."""
    unit = re.sub(
        rf"\\frac\s*\{{(\s*{WRAPPED}{_POWER}\s*)\}}\s*\{{(\s*{WRAPPED}{_POWER}\s*)\}}", r"\1/\3", unit
    )
    unit = re.sub(r"\\frac\s*\{([^{}]*)\}\s*\{((?:[^{}]|\{-?\d\})*)\}", r"\1/\2", unit)
    unit = _DEGREE.sub(" degree", re.sub(WRAPPED, r" \1 ", unit))
    unit = re.sub(r"\^\s*\{?\s*\\circ\s*\}?", " degree ", unit)
    if han := re.search(r"[\u4e00-\u9fff]+", unit):
        return _han_measure(han[0])
    powers: dict[str, int] = {}
    sign, ahead, last = 1, 1, ""
    for token in _TOKEN.finditer(unit.replace(r"\cdot", " ").casefold().replace(".", "")):
        word = token[0]
        if word in {"/", "per"}:
            sign = -1
        elif word in {"square", "sq", "cubic", "cu"}:
            ahead = 2 if word.startswith("s") else 3
        elif token[1] or word in {"squared", "cubed"}:
            if last:
                powers[last] *= int(token[1] or (2 if word == "squared" else 3))
        else:
            parts = _COMPOUNDS.get(word) or ({_UNITS[word]: 1} if word in _UNITS else None)
            if word in {"c", "f"} and last == "degree":
                parts = {{"c": "celsius", "f": "fahrenheit"}[word]: 1}
            if parts is None:
                return None
            for last, power in parts.items():
                powers[last] = powers.get(last, 0) + power * sign * ahead
            ahead = 1
    if {"celsius", "fahrenheit"} & powers.keys():
        powers.pop("degree", None)
    return {name: power for name, power in powers.items() if power} or None


def different_units(one: str, other: str) -> bool:
    """Return whether both units are known and differ: cm is not inches."""
    first, second = measure_of(one), measure_of(other)
    return first is not None and second is not None and first != second


def _han_measure(word: str) -> Mapping[str, int] | None:
    power = 1
    for prefix, of in (("平方", 2), ("立方", 3)):
        if word.startswith(prefix):
            word, power = word[2:], of
    return {_UNITS[word]: power} if word in _UNITS else None


def _last_piece(value: str) -> int | None:
    """Return the beginning of the last factor of the unit at the end of a text, or None."""
    if found := _UNIT_FRACTION.search(value) or _WRAPPED_UNIT.search(value):
        return found.start() if _is_unit(" ".join(re.findall(WRAPPED, found[0]))) else None
    if found := _BARE_FRACTION.search(value):
        is_unit = found[1] in _UNITS and found[2] in _UNITS
    elif found := _DEGREE.search(value):
        is_unit = not _TRIGONOMETRY.search(value)
    elif found := _WORDS.search(value):
        is_unit = _is_unit(found[1]) and not _is_variable(found[1])
    elif found := _HAN.search(value):
        is_unit = not _HAN_PROSE.search(found[1])
    else:
        found = _GREEK.search(value)
        is_unit = True
    return found.start() if found and is_unit else None


def _is_unit(text: str) -> bool:
    """Return whether a text can be a unit: a few words, none of them a remark on the value."""
    words = re.findall(r"[a-z]+", text.casefold())
    if re.search(r"[\u4e00-\u9fff]", text):
        return not _HAN_PROSE.search(text) and _ONLY_UNIT.fullmatch(text) is not None
    if not words or len(words) > 8 or not _ONLY_UNIT.fullmatch(text) or re.search(r"(?<![\^\d{-])\d", text):
        return False
    return not _PROSE.search(text) and not text.strip().startswith("(")


def _is_variable(text: str) -> bool:
    """Return whether bare letters are factors rather than a unit, as in `3 xy`."""
    words = re.findall(r"[A-Za-z]+", text)
    return any(
        len(word) < 3 and word.casefold() not in _UNITS and word.casefold() not in {"per", "sq", "cu"}
        for word in words
    )
