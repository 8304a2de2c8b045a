"""Compare a call with the expected one by the rules of the Berkeley Function Calling Leaderboard.

Source: ast_checker.py of bfcl-eval. A value must have the declared type, or that of the accepted values (such
as a variable's name instead of a number). Only strings are compared without case, white space and
punctuation; in lists and dicts, those on the first level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aisb_evaluator_calls._foreign import converted
from aisb_evaluator_calls._reading import Call
from aisb_evaluator_calls._texts import normalize


def _by_name(names: Mapping[type, str]) -> dict[str, type]:
    return {name: kind for kind, listed in names.items() for name in listed.split()}


SCHEMA_TYPES: Mapping[str, Mapping[str, type]] = {
    "python": _by_name(
        {
            str: "string any",
            int: "integer",
            float: "float",
            bool: "boolean",
            list: "array tuple",
            dict: "dict",
        }
    ),
    "java": _by_name(
        {
            str: "String char any",
            int: "byte short integer long",
            float: "float double",
            bool: "boolean",
            list: "Array ArrayList Queue Stack",
            dict: "HashMap Hashtable",
        }
    ),
    "javascript": _by_name(
        {
            str: "String any",
            int: "integer Bigint",
            float: "float",
            bool: "Boolean",
            list: "array",
            dict: "dict",
        }
    ),
}
"""The type of a value, by language and declared type."""

_NESTED = ("array", "tuple", "Array", "ArrayList")


def call_problem(
    call: Call, name: str, parameters: Mapping[str, Sequence[Any]], function: Mapping[str, Any], language: str
) -> str | None:
    """Return why a call differs from the expected one; None if it matches."""
    names = (name, name.replace(".", "_")) if call.is_json else (name,)
    if call.name not in names:
        return f"{call.name} instead of {name}"
    declared = function.get("parameters", {})
    properties = declared.get("properties", {})
    arguments = {key: value for key, value in call.arguments.items() if isinstance(key, str)}
    for key in declared.get("required", ()):
        if key not in arguments:
            return f"{name} lacks {key}"
    for key, value in arguments.items():
        if key not in properties or key not in parameters:
            return f"{name} has no parameter {key!r}"
        if not _fits(value, parameters[key], properties[key], language):
            return f"{key} = {value!r}"[:200]
    missing = (key for key, fitting in parameters.items() if key not in arguments and "" not in fitting)
    return next((f"{name} lacks {key}" for key in missing), None)


def _fits(value: Any, fitting: Sequence[Any], declared: Mapping[str, Any], language: str) -> bool:
    types = SCHEMA_TYPES[language]
    kind = str(declared.get("type", ""))
    type_ = types.get(kind)
    nested = declared.get("items", {}).get("type", "any") if kind in _NESTED else "any"
    inner = None if nested == "any" else types.get(nested)
    if language != "python" and isinstance(value, str):
        value = converted(value, kind, nested, language)
    if kind == "tuple" and isinstance(value, tuple):
        value = list(value)
    if type_ is float and type(value) is int and (kind == "float" or language != "python"):
        value = float(value)
    valid, is_variable = _has_type(value, fitting, type_, inner)
    if is_variable or type_ not in (str, list, dict):
        return valid and value in fitting
    return valid and any(_is_like(value, one, inner) for one in fitting if type(one) is type_)


def _is_like(value: Any, reference: Any, nested: type | None) -> bool:
    """Compare a text, list or table with an accepted one."""
    if isinstance(reference, dict):
        return _table_fits(value, reference)
    if nested is dict:
        return len(value) == len(reference) and all(map(_table_fits, value, reference))
    return bool(
        _plain_item(value) == _plain_item(reference)
        if isinstance(reference, str)
        else _plain_items(value) == _plain_items(reference)
    )


def _has_type(value: Any, fitting: Any, type_: type | None, nested: type | None) -> tuple[bool, bool]:
    """Return whether a value has the declared type, and whether it represents a value of another type."""
    of_fitting = next((type(one) for one in fitting if one != ""), None)
    is_variable = of_fitting is not None and of_fitting is not type_
    kind = type(value)
    if kind is not type_:
        return kind is of_fitting, True
    if nested is None:
        return True, is_variable
    each: bool = any(
        not isinstance(some, list) or all(_has_type(item, some, nested, None)[0] for item in value)
        for some in fitting
    )
    return each, is_variable


def _table_fits(value: Any, reference: Any) -> bool:
    """Compare a dict with a dict of accepted values, each a list or a single value."""
    if not isinstance(reference, Mapping) or not isinstance(value, Mapping):
        return False
    fitting = {key: one if isinstance(one, list) else [one] for key, one in reference.items()}
    known = all(
        key in fitting and _plain_item(one) in _plain_items(fitting[key]) for key, one in value.items()
    )
    return known and all(key in value or "" in some for key, some in fitting.items())


def _plain_items(values: Any) -> list[Any]:
    return [_plain_item(one) for one in values]


def _plain_item(value: Any) -> Any:
    return normalize(value) if isinstance(value, str) else value
