"""The methods of texts, lists and dicts that a config file may call, with bounded cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aisb_compat_aisbench._language import format_text, items, list_of, make_dict, type_name
from aisb_compat_aisbench._values import Budget, UnreadableError, is_key


def _text(method: str) -> Callable[..., Any]:
    """Return a method of texts whose arguments are scalars, checked before the call."""

    def call(budget: Budget, text: str, *values: Any) -> Any:
        for value in values:
            good = isinstance(value, (str, int)) or (
                isinstance(value, tuple) and all(isinstance(part, str) for part in value)
            )
            if not good:
                raise UnreadableError(f"{method}() with {type_name(value)}")
        budget.spend(len(text) // 16)
        if method == "replace" and len(values) >= 2 and isinstance(values[1], str):
            found = text.count(values[0]) if isinstance(values[0], str) else 0
            if len(text) + found * len(values[1]) > budget.text:
                raise UnreadableError(f"a text of more than {budget.text} characters")
        try:
            return getattr(text, method)(*values)
        except (TypeError, ValueError) as error:
            raise UnreadableError(str(error)) from error

    return call


def _joined(budget: Budget, text: str, values: Any) -> str:
    parts = items(budget, values)
    if not all(isinstance(part, str) for part in parts):
        raise UnreadableError("join() of something other than texts")
    length = sum(map(len, parts)) + len(text) * max(len(parts) - 1, 0)
    if length > budget.text:
        raise UnreadableError(f"a text of more than {budget.text} characters")
    budget.spend(length // 16)
    return text.join(parts)


TEXT_METHODS: Mapping[str, Callable[..., Any]] = {
    name: _text(name)
    for name in (
        "startswith", "endswith", "replace", "lower", "upper", "title", "capitalize", "strip", "lstrip",
        "rstrip", "split", "rsplit", "splitlines", "removeprefix", "removesuffix", "isdigit", "count", "find",
    )
} | {"format": format_text, "join": _joined}  # fmt: skip


def extend(budget: Budget, target: list[Any], values: Any) -> None:
    """Add the items of a value to a list."""
    found = items(budget, values)
    target.extend(found)
    budget.checked(target)


def _appended(budget: Budget, target: list[Any], value: Any) -> None:
    target.append(value)
    budget.checked(target)


def _inserted(budget: Budget, target: list[Any], place: Any, value: Any) -> None:
    if not isinstance(place, int):
        raise UnreadableError(f"insert() at {type_name(place)}")
    target.insert(place, value)
    budget.checked(target)


def _list_pop(_budget: Budget, target: list[Any], place: Any = -1) -> Any:
    if not isinstance(place, int) or not -len(target) <= place < len(target):
        raise UnreadableError("pop() of an item that is not there")
    return target.pop(place)


LIST_METHODS: Mapping[str, Callable[..., Any]] = {
    "append": _appended,
    "extend": extend,
    "insert": _inserted,
    "pop": _list_pop,
    "copy": lambda budget, target: list_of(budget, target),
    "reverse": lambda _, target: target.reverse(),
}


def _updated(budget: Budget, target: dict[Any, Any], value: Any = (), /, **named: Any) -> None:
    target.update(make_dict(budget, value, **named))
    budget.checked(target)


def _key(value: Any) -> Any:
    if not is_key(value):
        raise UnreadableError(f"{type_name(value)} as a key")
    return value


def _dict_pop(_budget: Budget, target: dict[Any, Any], key: Any, *default: Any) -> Any:
    if _key(key) not in target and not default:
        raise UnreadableError(f"there is no key {key!r}")
    return target.pop(key, *default[:1])


DICT_METHODS: Mapping[str, Callable[..., Any]] = {
    "update": _updated,
    "copy": lambda budget, target: make_dict(budget, target),
    "items": lambda budget, target: [*zip(list_of(budget, target), target.values(), strict=True)],
    "keys": lambda budget, target: list_of(budget, target),
    "values": lambda budget, target: [*target.values()] if not budget.spend(len(target) // 16) else [],
    "get": lambda _, target, key, default=None: target.get(_key(key), default),
    "pop": _dict_pop,
    "setdefault": lambda _, target, key, default=None: target.setdefault(_key(key), default),
}


def method(value: Any, name: str) -> Callable[..., Any] | None:
    """Return a method that a file may call on a value, with the budget and the value as first arguments."""
    for kind, methods in ((str, TEXT_METHODS), (list, LIST_METHODS), (dict, DICT_METHODS)):
        if isinstance(value, kind):
            return methods.get(name)
    return None
