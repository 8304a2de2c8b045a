r"""Write inequalities as the intervals that they describe: `0 \le x < 1` is `[0,1)`."""

from __future__ import annotations

import re
from typing import NamedTuple

_RELATION = re.compile(r"\s*(\\(?:leqslant|geqslant|leqq?|geqq?|neq?|le|ge|lt|gt)(?![a-zA-Z])|<=|>=|<|>)\s*")
_OPPOSITE = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "!=": "!="}
_VARIABLE = re.compile(r"[a-zA-Z]|\\(?:alpha|beta|gamma|theta|lambda|mu|phi|omega)")
_SIZE = re.compile(r"(?:\\left)?\|\s*([a-zA-Z])\s*(?:\\right)?\|")
_FAR = re.compile(
    _SIZE.pattern + r"\s*(\\(?:geqslant|geqq?|ge|gt)(?![a-zA-Z])|>=|>)\s*([^<>=|,]+)"
)  # the outside of an interval: two parts
_MEMBER = re.compile(r"^([a-zA-Z]|\\[a-z]+)\s*\\in(?![a-zA-Z])\s*")
_BUILDER = re.compile(
    r"^\\\{\s*([a-zA-Z])\s*(?:\\in\s*\\mathbb\s*(?:\{\s*R\s*\}|R)\s*)?(?:\\mid|\\vert|\||:|\\colon)\s*(.+?)\s*\\\}$"
)
_OR = re.compile(r"\s*,?\s*(?:\\text\s*\{\s*,?\s*or\s*\}|(?<![a-zA-Z\\])or(?![a-zA-Z])|\\lor|\\vee|\\cup)\s*")
_AND = re.compile(r"\s*,?\s*(?:\\text\s*\{\s*,?\s*and\s*\}|(?<![a-zA-Z\\])and(?![a-zA-Z])|\\land|\\wedge)\s*")
_ALL_REALS = re.compile(
    r"(?:\\mathbb\s*(?:\{\s*R\s*\}|R)|\\(?:text|mathrm|mbox)\s*\{\s*(?:all\s+(?:the\s+)?real(?:s|\s+numbers))\s*\}"
    r"|all\s+(?:the\s+)?real(?:s|\s+numbers))"
)
_EVERYTHING = r"(-\infty,\infty)"


class Described(NamedTuple):
    """The solution set of inequalities as intervals, and their variable."""

    intervals: str
    variable: str


def described(text: str) -> Described | None:
    """Return the set that inequalities in one variable describe; None if the text is something else."""
    text = text.strip()
    variable = ""
    if builder := _BUILDER.match(text):
        variable, text = builder[1], builder[2]
    elif not _RELATION.search(text):
        return None
    parts = [_conjunction(part) for part in _OR.split(text)]
    found = [part for part in parts if part]
    if len(found) < len(parts) or len({part.variable for part in found} | ({variable} - {""})) != 1:
        return None
    return Described(r"\cup".join(part.intervals for part in found), found[0].variable)


def plain_set(text: str) -> str:
    r"""Return a set without its variable: `(1,2)` for `x \in (1,2)`; for all reals, an interval."""
    text = _MEMBER.sub("", text.strip())
    return _EVERYTHING if _ALL_REALS.fullmatch(text) else text


def is_set(text: str) -> bool:
    """Return whether a text can be read as an interval or a union of intervals."""
    return re.match(r"[(\[].*,.*[)\]]$", text.strip(), re.DOTALL) is not None


class _Bound(NamedTuple):
    value: str
    closed: bool


class _Range(NamedTuple):
    low: _Bound | None
    high: _Bound | None
    variable: str
    hole: str = ""

    def written(self) -> str:
        if self.hole:
            return rf"(-\infty,{self.hole})\cup({self.hole},\infty)"
        low = f"{'[' if self.low.closed else '('}{self.low.value}" if self.low else r"(-\infty"
        return (
            low + "," + (f"{self.high.value}{']' if self.high.closed else ')'}" if self.high else r"\infty)")
        )


def _conjunction(text: str) -> Described | None:
    if far := _FAR.fullmatch(text.strip()):
        variable, relation, value = far.groups()
        if not _has_variable(value, variable):
            closing, opening = ("]", "[") if _sign(relation).endswith("=") else (")", "(")
            return Described(rf"(-\infty,-({value}){closing}\cup{opening}{value},\infty)", variable)
    ranges = [_range(part) for part in _AND.split(text)]
    found = [one for one in ranges if one]
    if len(found) < len(ranges) or len({one.variable for one in found}) != 1 or len(found) > 2:
        return None
    both = found[0]
    if len(found) == 2:
        low, high = sorted(found, key=lambda one: one.low is None)
        if both.hole or found[1].hole or low.high or high.low or not low.low or not high.high:
            return None
        both = _Range(low.low, high.high, both.variable)
    return Described(both.written(), both.variable)


def _range(text: str) -> _Range | None:
    pieces = _RELATION.split(text.strip().rstrip(",").strip())
    values, relations = pieces[::2], [_sign(relation) for relation in pieces[1::2]]
    if any(not value or "," in value or "=" in value for value in values):
        return None
    if len(relations) == 1:
        size = _SIZE.fullmatch(values[0])
        if size and relations[0] in {"<", "<="} and not _has_variable(values[1], size[1]):
            closed = relations[0] == "<="
            return _Range(_Bound(f"-({values[1]})", closed), _Bound(values[1], closed), size[1])
        if not _VARIABLE.fullmatch(values[0]):
            values, relations = values[::-1], [_OPPOSITE[relations[0]]]
        return _one_sided(values[0], relations[0], values[1])
    if len(relations) != 2 or "!=" in relations or relations[0][0] != relations[1][0]:
        return None
    if relations[0][0] == ">":
        values, relations = values[::-1], [_OPPOSITE[relation] for relation in relations[::-1]]
    if not _VARIABLE.fullmatch(values[1]) or any(_has_variable(values[n], values[1]) for n in (0, 2)):
        return None
    low, high = (_Bound(values[n], relations[n // 2] == "<=") for n in (0, 2))
    return _Range(low, high, values[1])


def _one_sided(variable: str, relation: str, value: str) -> _Range | None:
    if not _VARIABLE.fullmatch(variable) or _has_variable(value, variable):
        return None
    if relation == "!=":
        return _Range(None, None, variable, value)
    bound = _Bound(value, relation.endswith("="))
    return _Range(bound, None, variable) if relation[0] == ">" else _Range(None, bound, variable)


def _has_variable(value: str, variable: str) -> bool:
    """Return whether a bound depends on any variable: `x < y` describes no interval."""
    names = re.findall(r"(?<![\\a-zA-Z])[a-zA-Z](?![a-zA-Z])", re.sub(r"\\[a-zA-Z]+", " ", value))
    return variable in value.split() or any(name not in {"e", "a", "b", "k", "m", "n"} for name in names)


def _sign(relation: str) -> str:
    if relation.startswith(r"\n"):
        return "!="
    return ("<" if relation[0] == "<" or relation.startswith(r"\l") else ">") + (
        "" if relation in {"<", ">", r"\lt", r"\gt"} else "="
    )
