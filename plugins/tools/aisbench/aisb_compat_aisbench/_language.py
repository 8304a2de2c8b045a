"""The functions and operators that a config file may use, with bounded cost."""

from __future__ import annotations

import operator
import posixpath
import re
from collections.abc import Callable, Mapping
from typing import Any

from aisb_compat_aisbench._values import SCALARS, Budget, Opaque, Symbol, UnreadableError, is_key

FORMAT_SPEC = re.compile(r"[<>^=]?[+ -]?0?\d{0,3},?(\.\d{1,2})?[bcdeEfFgGnosxX%]?")
FORMAT_FIELD = re.compile(r"\{\{|\}\}|\{([A-Za-z_]\w*|\d*)(?::([^{}]*))?\}|[{}]")
POWER_BITS = 64
"""The longest exponent is a small number; bases and results are bounded by the budget."""


def _add(left: Any, right: Any, budget: Budget) -> Any:
    same = next((kind for kind in (str, list, tuple) if isinstance(left, kind)), None)
    if same is None:
        return _arithmetic(operator.add, left, right)
    if not isinstance(right, same):
        raise UnreadableError(f"{type_name(left)} + {type_name(right)}")
    budget.spend((len(left) + len(right)) // 16)
    budget.checked(left)
    return left + right


def _multiply(left: Any, right: Any, budget: Budget) -> Any:
    if isinstance(right, (str, list, tuple)):
        left, right = right, left
    if not isinstance(left, (str, list, tuple)):
        return _arithmetic(operator.mul, left, right)
    if not isinstance(right, int):
        raise UnreadableError(f"{type_name(left)} * {type_name(right)}")
    limit = budget.text if isinstance(left, str) else budget.size
    if len(left) * max(right, 0) > limit:
        raise UnreadableError(f"a repetition of more than {limit} items")
    budget.spend(len(left) * max(right, 0) // 16)
    return left * right


def _power(left: Any, right: Any, budget: Budget) -> Any:
    _numbers(left, right)
    if isinstance(left, int) and isinstance(right, int):
        if right > budget.bits or left.bit_length() * max(right, 1) > budget.bits:
            raise UnreadableError(f"a power of more than {budget.bits} bits")
        if right < 0 and left == 0:
            raise UnreadableError("a division by zero")
    result = _arithmetic(operator.pow, left, right)
    if isinstance(result, complex):
        raise UnreadableError("a complex number")
    return result


def _merge(left: Any, right: Any, budget: Budget) -> Any:
    if isinstance(left, Symbol) and isinstance(right, Symbol):
        return left  # types, such as list | str
    if isinstance(left, dict) and isinstance(right, dict):
        budget.spend(len(left) + len(right))
        return left | right
    raise UnreadableError(f"{type_name(left)} | {type_name(right)}")


def _remainder(left: Any, right: Any, _budget: Budget) -> Any:
    if isinstance(left, str):
        raise UnreadableError("text formatted with %; write an f-string")
    return _arithmetic(operator.mod, left, right)


def _arithmetic(operation: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    _numbers(left, right)
    try:
        return operation(left, right)
    except (ArithmeticError, ValueError) as error:
        raise UnreadableError(str(error.args[-1])) from error


def _numbers(*values: Any) -> None:
    for value in values:
        if not isinstance(value, (int, float)):
            raise UnreadableError(f"arithmetic with {type_name(value)}")


BINARY: Mapping[str, Callable[[Any, Any, Budget], Any]] = {
    "Add": _add,
    "Mult": _multiply,
    "Pow": _power,
    "BitOr": _merge,
    "Mod": _remainder,
    "Sub": lambda left, right, _: _arithmetic(operator.sub, left, right),
    "Div": lambda left, right, _: _arithmetic(operator.truediv, left, right),
    "FloorDiv": lambda left, right, _: _arithmetic(operator.floordiv, left, right),
}
"""Operators by the name of their syntax node."""


def _contains(item: Any, container: Any) -> bool:
    if isinstance(container, str) and not isinstance(item, str):
        raise UnreadableError(f"{type_name(item)} in a text")
    if not isinstance(container, (str, list, tuple, dict, range)):
        raise UnreadableError(f"in {type_name(container)}")
    return item in container


COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "Eq": operator.eq,
    "NotEq": operator.ne,
    "Lt": operator.lt,
    "LtE": operator.le,
    "Gt": operator.gt,
    "GtE": operator.ge,
    "In": _contains,
    "NotIn": lambda item, container: not _contains(item, container),
    "Is": operator.eq,
    "IsNot": operator.ne,
}


def compare_values(name: str, left: Any, right: Any, budget: Budget) -> bool:
    """Compare two values, whose size counts."""
    if name not in COMPARE:
        raise UnreadableError("this comparison")
    budget.weigh(left)
    budget.weigh(right)
    try:
        return COMPARE[name](left, right)
    except TypeError as error:
        raise UnreadableError(str(error)) from error


def format_value(value: Any, spec: str) -> str:
    """Format a scalar as in an f-string, with bounded width."""
    if isinstance(value, Symbol):
        raise UnreadableError(f"the text of {value.path}")
    if not isinstance(value, SCALARS):
        raise UnreadableError(f"the text of {type_name(value)}")
    if not FORMAT_SPEC.fullmatch(spec):
        raise UnreadableError(f"the format {spec!r}")
    try:
        return str(format(value, spec))
    except (ValueError, TypeError, OverflowError) as error:
        raise UnreadableError(str(error)) from error


def format_text(budget: Budget, text: str, /, *values: Any, **named: Any) -> str:
    """Fill in `{}`, `{0}` and `{name}`; attributes and indices of values are not read."""
    parts: list[str] = []
    end = count = 0
    for found in FORMAT_FIELD.finditer(text):
        parts.append(text[end : found.start()])
        end = found.end()
        mark, name = found.group(), found.group(1)
        if mark in ("{{", "}}"):
            parts.append(mark[0])
            continue
        if name is None:
            raise UnreadableError(f"the format {text!r}")
        try:
            value = named[name] if name and not name.isdigit() else values[int(name) if name else count]
        except (KeyError, IndexError):
            raise UnreadableError(f"{mark} has no value") from None
        count += not name
        parts.append(format_value(value, found.group(2) or ""))
        budget.spend(1 + len(parts[-1]) // 64)
    return "".join([*parts, text[end:]])


def _range(budget: Budget, *bounds: Any) -> list[int]:
    for bound in bounds:
        if not isinstance(bound, int):
            raise UnreadableError(f"range() of {type_name(bound)}")
    if not 1 <= len(bounds) <= 3 or (len(bounds) == 3 and bounds[2] == 0):
        raise UnreadableError("these bounds of range()")
    steps = range(*bounds)
    if (
        abs(bounds[-1] if len(bounds) == 1 else bounds[1] - bounds[0]) > budget.size * 1000
        or len(steps) > budget.size
    ):
        raise UnreadableError(f"a range of more than {budget.size} numbers")
    budget.spend(len(steps) // 16)
    return list(steps)


def items(budget: Budget, value: Any) -> list[Any]:
    """Return a list of the items of a value, and charge the copy to the budget."""
    if isinstance(value, (list, tuple, dict, str)):
        budget.spend(1 + len(value) // 16)
        return list(value)
    raise UnreadableError(f"the items of {type_name(value)}")


def _sum(budget: Budget, values: Any, start: Any = 0) -> Any:
    total = start
    for value in items(budget, values):
        budget.spend()
        total = budget.checked(_add(total, value, budget))
    return total


def list_of(budget: Budget, value: Any = ()) -> list[Any]:
    """Return the items of a value as a new list."""
    return items(budget, value)


def make_dict(budget: Budget, value: Any = (), /, **named: Any) -> dict[Any, Any]:
    """Make a dict as `dict()` does."""
    budget.spend(len(value) if isinstance(value, dict) else 1)
    if isinstance(value, dict):
        return {**value, **named}
    pairs: dict[Any, Any] = {}
    for pair in items(budget, value):
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not is_key(pair[0]):
            raise UnreadableError("dict() of something other than pairs")
        pairs[pair[0]] = pair[1]
    return {**pairs, **named}


def _number(kind: type[int | float]) -> Callable[..., Any]:
    def convert(_budget: Budget, value: Any = 0) -> Any:
        if not isinstance(value, (int, float, str)) or (isinstance(value, str) and len(value) > 100):
            raise UnreadableError(f"{kind.__name__}() of {type_name(value)}")
        try:
            return kind(value)
        except (ValueError, OverflowError) as error:
            raise UnreadableError(str(error)) from error

    return convert


def _ordered(choose: Callable[[list[Any]], Any]) -> Callable[..., Any]:
    def call(budget: Budget, *values: Any) -> Any:
        found = items(budget, values[0]) if len(values) == 1 else list(values)
        budget.weigh(found)
        try:
            return choose(found)
        except (TypeError, ValueError) as error:
            raise UnreadableError(str(error)) from error

    return call


def _rounded(_budget: Budget, value: Any, digits: Any = None) -> Any:
    _numbers(value)
    if digits is not None and (not isinstance(digits, int) or abs(digits) > 30):
        raise UnreadableError("these digits of round()")
    try:
        return round(value, digits)
    except (ValueError, OverflowError) as error:
        raise UnreadableError(str(error)) from error


def _length(budget: Budget, value: Any) -> int:
    return len(items(budget, value))


def _join_path(_budget: Budget, *parts: Any) -> str:
    if not parts or not all(isinstance(part, str) for part in parts):
        raise UnreadableError("os.path.join() of something other than texts")
    return str(posixpath.join(*parts))


def _absolute(_budget: Budget, path: Any) -> str:
    if not isinstance(path, str) or not posixpath.isabs(path):
        raise UnreadableError("os.path.abspath() of a path that is not absolute")
    return posixpath.normpath(path)


def _part_of_path(part: Callable[[str], str]) -> Callable[..., str]:
    def call(_budget: Budget, path: Any) -> str:
        if not isinstance(path, str):
            raise UnreadableError(f"a path that is {type_name(path)}")
        return part(path)

    return call


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "dict": make_dict,
    "list": list_of,
    "tuple": lambda budget, value=(): tuple(list_of(budget, value)),
    "str": lambda _, value="": format_value(value, ""),
    "int": _number(int),
    "float": _number(float),
    "bool": lambda _, value=False: bool(value),
    "len": _length,
    "range": _range,
    "sum": _sum,
    "round": _rounded,
    "abs": lambda _, value: abs(value) if isinstance(value, (int, float)) else _refuse("abs()"),
    "sorted": _ordered(sorted),
    "min": _ordered(min),
    "max": _ordered(max),
    "any": lambda budget, value: any(items(budget, value)),
    "all": lambda budget, value: all(items(budget, value)),
    "reversed": lambda budget, value: list_of(budget, value)[::-1],
    "enumerate": lambda budget, value, start=0: [
        (start + place, item) for place, item in enumerate(list_of(budget, value))
    ],
    "zip": lambda budget, *values: list(zip(*(list_of(budget, value) for value in values), strict=False)),
    "chr": lambda _, value: (
        chr(value) if isinstance(value, int) and 0 <= value < 0x110000 else _refuse("chr()")
    ),
    "ord": lambda _, value: ord(value) if isinstance(value, str) and len(value) == 1 else _refuse("ord()"),
    "print": lambda *_: None,
    "copy.copy": lambda budget, value: _copied(budget, value),
    "copy.deepcopy": lambda budget, value: budget.copied(value),
    "mmengine.ConfigDict": make_dict,
    "mmengine.config.ConfigDict": make_dict,
    "os.path.join": _join_path,
    "os.path.abspath": _absolute,
    "os.path.dirname": _part_of_path(posixpath.dirname),
    "os.path.basename": _part_of_path(posixpath.basename),
    "posixpath.join": _join_path,
}
"""Functions by their import path; names without a module are builtins."""


def _refuse(what: str) -> Any:
    raise UnreadableError(f"{what} of this value")


def _copied(budget: Budget, value: Any) -> Any:
    if isinstance(value, (list, dict)):
        budget.spend(len(value) // 16)
        return value.copy()
    return value


def type_name(value: Any) -> str:
    """Describe a value, for errors."""
    if isinstance(value, Symbol):
        return value.path
    if isinstance(value, Opaque):
        return value.what
    names = {
        str: "a text",
        list: "a list",
        tuple: "a tuple",
        dict: "a dict",
        bool: "a bool",
        type(None): "None",
    }
    return names.get(type(value), "a number")
