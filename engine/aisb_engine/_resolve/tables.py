"""Merge plain tables, and set keys in them by path (`--set PATH=VALUE`)."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from aisb._errors import ConfigError, did_you_mean

M = TypeVar("M", bound=BaseModel)


class Setting(NamedTuple):
    """One `--set PATH=VALUE`; `unset` is true if there is no value."""

    path: tuple[str, ...]
    value: Any
    unset: bool

    @classmethod
    def parse(cls, text: str) -> Setting:
        """Parse `PATH=VALUE`: the value is TOML, or else a string; `PATH=` unsets the key.

        Keys with dots need quotes: `models."qwen2.5".url=…`.
        """
        path, equals, value = text.partition("=")
        if not equals or not path.strip():
            raise ConfigError(f"--set {text}", "is not PATH=VALUE")
        return cls(split_path(path.strip()), _value(value), not value)


def launcher_options(sets: Iterable[str]) -> dict[str, Any]:
    """Return the options of a launcher that settings give: `launcher.address=auto` is `{"address": "auto"}`.

    Raises:
        ConfigError: a setting is no `launcher.OPTION=VALUE`.
    """
    options: dict[str, Any] = {}
    for setting in map(Setting.parse, sets):
        if setting.path[0] != "launcher" or len(setting.path) < 2:
            raise ConfigError(f"--set {'.'.join(setting.path)}", "is not launcher.OPTION=VALUE")
        value = setting.value
        for key in reversed(setting.path[2:]):
            value = {key: value}
        options = overlay(options, {setting.path[1]: value})
    return options


def split_path(path: str) -> tuple[str, ...]:
    """Split a dotted path; parts in double quotes may contain dots.

    Raises:
        ConfigError: the path is not a TOML key.
    """
    try:
        table: Any = tomllib.loads(f"{path} = 0")
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(path, "is not a path of keys with dots between them") from error
    parts = []
    while isinstance(table, dict):
        ((key, table),) = table.items()
        parts.append(key)
    return tuple(parts)


def as_key(name: str) -> str:
    """Return a name as one part of a dotted path: in double quotes if it has dots or other characters."""
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def overlay(*tables: Mapping[str, Any]) -> dict[str, Any]:
    """Merge tables, later ones over earlier ones: tables merge, other values and lists are replaced."""
    result: dict[str, Any] = {}
    for table in tables:
        for key, value in table.items():
            if isinstance(value, Mapping):
                below = result.get(key)
                result[key] = overlay(below if isinstance(below, Mapping) else {}, value)
            else:
                result[key] = value
    return result


def put(table: dict[str, Any], path: Sequence[str], value: Any, *, unset: bool = False) -> None:
    """Set or unset the key at a path; missing tables on the path are created.

    Raises:
        ConfigError: a key on the path is not a table.
    """
    *way, last = path
    for depth, key in enumerate(way):
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise ConfigError(".".join(path), f"{'.'.join(path[: depth + 1])} is a value, not a table")
    if unset:
        table.pop(last, None)
    else:
        table[last] = value


def validate(model: type[M], table: Mapping[str, Any], where: str) -> M:
    """Create a model from a table.

    Raises:
        ConfigError: all errors, each with the path of its key; for an unknown key with the nearest name.
    """
    try:
        return model.model_validate(table)
    except ValidationError as error:
        problems = [_problem(model, problem, where) for problem in error.errors()]
    (path, first), *rest = problems
    raise ConfigError(path, "\n".join([first, *(f"{path}: {message}" for path, message in rest)]))


def _problem(model: type[BaseModel], problem: Any, where: str) -> tuple[str, str]:
    location: tuple[str | int, ...] = problem["loc"]
    path = where
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f"{'.' if path else ''}{part}"
    if problem["type"] == "extra_forbidden":
        name = str(location[-1])
        near = did_you_mean(name, _fields(model, location[:-1]))
        return path, f"there is no such key{near}"
    if problem["type"] == "missing":
        return path, "this key is required"
    message = problem["msg"].removeprefix("Value error, ")
    value = problem["input"]
    detail = "" if isinstance(value, Mapping) else f" (it is {value!r})"
    near = _near_key_for(model, location, value)
    return path, f"{message[0].lower()}{message[1:]}{detail}{near}"


def _near_key_for(model: type[BaseModel], location: tuple[str | int, ...], value: Any) -> str:
    """Return a question for a key of nearly the same name that takes this value, such as shots for shot."""
    if not location or not isinstance(location[-1], str):
        return ""
    table = _table_at(model, location[:-1])
    others = {} if table is None else {**table.model_fields}
    others.pop(location[-1], None)
    fitting = [key for key, field in others.items() if _takes(field.annotation, value)]
    return did_you_mean(location[-1], get_close_matches(location[-1], fitting, 1, cutoff=0.8))


def _takes(annotation: Any, value: Any) -> bool:
    try:
        TypeAdapter(annotation).validate_python(value, strict=True)
    except (ValidationError, PydanticSchemaGenerationError):
        return False
    return True


def _fields(model: type[BaseModel], location: Iterable[str | int]) -> list[str]:
    """Return the possible keys of the table at a location."""
    table = _table_at(model, location)
    return [] if table is None else list(table.model_fields)


def _table_at(model: type[BaseModel], location: Iterable[str | int]) -> type[BaseModel] | None:
    """Return the model of the table at a location; None if there is none."""
    here: Any = model
    for part in location:
        if isinstance(part, int):
            continue
        field = here.model_fields.get(part) if _is_model(here) else None
        if field is None:
            return None
        here = _inner_model(field.annotation)
    return here if _is_model(here) else None


def _inner_model(annotation: Any) -> Any:
    """Return the model in an annotation such as `list[Use]` or `dict[str, FieldTable]`."""
    if _is_model(annotation):
        return annotation
    return next(
        (found for part in getattr(annotation, "__args__", ()) if (found := _inner_model(part))), None
    )


def _is_model(thing: Any) -> bool:
    return isinstance(thing, type) and issubclass(thing, BaseModel)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
