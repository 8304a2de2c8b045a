"""The options of a component, read from its factory's signature, and the check of values against them."""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, cast, get_args, get_origin, get_type_hints

from aisb._data import DataFiles, Tokenizer
from aisb._errors import ConfigError, PluginError, UsageError, did_you_mean
from aisb._evaluator import Ask
from aisb._roles import Role

REQUIRED: Any = inspect.Parameter.empty
"""The default of an option that has none."""

GIVEN_TYPES: tuple[Any, ...] = (DataFiles, Ask)
"""A parameter of one of these types is no option: the engine passes the value, whatever the name."""

_RoleClass = type[Role]


class Option(NamedTuple):
    """One option of a component. `default` is `REQUIRED` for one that must be given.

    `roles` are those of its annotation. `tokenizer`: a configuration names a folder, and the factory takes
    the `Tokenizer` that is read from it.
    """

    name: str
    type: str
    default: Any
    required: bool
    help: str
    annotation: Any
    roles: tuple[_RoleClass, ...] = ()
    tokenizer: bool = False


def options(factory: Callable[..., Any]) -> list[Option]:
    """Return a factory's options in the order of its signature, without what the engine gives by type.

    Raises:
        PluginError: an annotation cannot be read.
    """
    return list(_read(factory).options.values())


def given_types(factory: Callable[..., Any]) -> dict[str, Any]:
    """Return the parameters that the engine gives, by name, each with its type: `DataFiles` or `Ask`.

    Raises:
        PluginError: an annotation cannot be read.
    """
    return _read(factory).given


def option_with(factory: Callable[..., Any], role: type[Role]) -> Option | None:
    """Return the option of a factory that has a role; None when none has it.

    Raises:
        PluginError: an annotation cannot be read.
    """
    return next((option for option in options(factory) if role in option.roles), None)


def summary(factory: Callable[..., Any]) -> str:
    """Return the first line of a factory's docstring, or an empty string."""
    function = _function(factory)
    text = (function.__doc__ or "").strip()
    if is_dataclass(function) and text.startswith(f"{getattr(function, '__name__', '')}("):
        return ""  # the signature that dataclass() writes where there is no docstring
    return text.split("\n", 1)[0]


def bind(factory: Callable[..., Any], values: Mapping[str, Any], *, where: str = "") -> dict[str, Any]:
    """Check values against a factory's signature, convert them to its types, and return them.

    Defaults are left to the factory. A factory with `**kwargs` is given what it does not name as it is. A
    tokenizer stays a path.

    Raises:
        ConfigError: a value is wrong, missing, or there is no such option; `where` begins its path.
    """
    return _bind(_read(factory), values, where)


def _bind(signature: _Signature, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    declared = signature.options
    bound: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{where}.{name}" if where else name
        if option := declared.get(name):
            bound[name] = _checked(option, value, path)
        elif signature.takes_more and name not in signature.given:
            bound[name] = value
        else:
            known = ", ".join(declared) or "none"
            raise ConfigError(path, f"no such option{did_you_mean(name, declared)}\n  known: {known}")
    for option in declared.values():
        if option.required and option.name not in values:
            path = f"{where}.{option.name}" if where else option.name
            raise ConfigError(path, f"must be given: {_wanted(option)}")
    return bound


def arguments(
    factory: Callable[..., Any], values: Mapping[str, Any], given: Mapping[Any, Any], *, where: str = ""
) -> dict[str, Any]:
    """Return what a factory is called with: checked values, tokenizers, and what is given by type.

    Raises:
        ConfigError: as `bind`, or a tokenizer cannot be read.
        PluginError: the library that reads a tokenizer is not installed.
    """
    signature = _read(factory)
    bound = _bind(signature, values, where)
    for option in signature.options.values():
        if option.tokenizer and isinstance(path := bound.get(option.name), str | Path):
            bound[option.name] = _load_tokenizer(path, f"{where}.{option.name}" if where else option.name)
    return bound | {name: given[kind] for name, kind in signature.given.items() if kind in given}


def _load_tokenizer(path: str | Path, where: str) -> Tokenizer:
    """Read a tokenizer with the engine, which declares its reader as an entry point."""
    from importlib.metadata import entry_points

    readers = list(entry_points(group="aisb.engine", name="load_tokenizer"))
    if not readers:
        raise PluginError(f"{where}: the engine reads tokenizers: install aisb-engine")
    try:
        return cast("Tokenizer", readers[0].load()(path))
    except UsageError as error:
        raise ConfigError(where, str(error)) from error


def parameters(factory: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the parameters that can be given by keyword.

    Raises:
        PluginError: the factory is built in and has no signature to read.
    """
    try:
        signature = inspect.signature(factory)
    except ValueError as error:
        raise PluginError(
            f"the options of {short(factory)} cannot be read: {error}; wrap it in a function"
        ) from None
    passed_over = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)
    return {
        name: parameter
        for name, parameter in signature.parameters.items()
        if parameter.kind not in passed_over
    }


class _Signature(NamedTuple):
    """What a factory takes: options, what is given by type, and whether it takes options it does not name."""

    options: dict[str, Option]
    given: dict[str, Any]
    takes_more: bool


def _read(factory: Callable[..., Any]) -> _Signature:
    found = parameters(factory)
    signature = _Signature({}, {}, any(one.kind is one.VAR_KEYWORD for one in found.values()))
    for name, parameter in found.items():
        if parameter.kind is not parameter.VAR_KEYWORD:
            annotation = _annotation(factory, parameter)
            members = _members(annotation)
            if given := next((one for one in GIVEN_TYPES if one in members), None):
                signature.given[name] = given
            else:
                signature.options[name] = _option(factory, parameter, annotation)
    return signature


def _option(factory: Callable[..., Any], parameter: inspect.Parameter, annotation: Any) -> Option:
    function, default = _function(factory), parameter.default
    if is_dataclass(function) and type(default).__module__ == "dataclasses":  # the mark of a default_factory
        made = next(made for made in fields(function) if made.name == parameter.name)
        default = cast("Callable[[], Any]", made.default_factory)()
    marks = getattr(annotation, "__metadata__", ())
    words = " ".join(mark for mark in marks if isinstance(mark, str))
    classes = [mark if isinstance(mark, type) else type(mark) for mark in marks]
    roles = tuple(cls for cls in classes if issubclass(cls, Role))
    text, members = type_text(annotation), _members(annotation)
    if tokenizer := Tokenizer in members:
        annotation = str | Path | None if type(None) in members else str | Path
        text = "path | None" if type(None) in members else "path"
    return Option(parameter.name, text, default, default is REQUIRED, words, annotation, roles, tokenizer)


def _annotation(factory: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """Return a parameter's type with what `Annotated` adds, looked up in the module where it was written.

    One parameter at a time: the return type may well be imported for type checks only.
    """
    function = _function(factory)
    annotation, scope = parameter.annotation, _scope(function)
    for cls in inspect.getmro(function) if isinstance(function, type) else ():
        own = inspect.get_annotations(cls)
        if parameter.name in own:
            annotation, scope = own[parameter.name], vars(sys.modules[cls.__module__])
            break
    if annotation is parameter.empty:
        return Any

    def holder() -> None: ...

    holder.__annotations__ = {"it": annotation}
    try:
        return get_type_hints(holder, globalns=scope, include_extras=True)["it"]
    except Exception as error:
        raise PluginError(
            f"option {parameter.name!r} of {getattr(function, '__name__', function)}: the annotation "
            f"{annotation!r} cannot be read ({error}); import what it names outside TYPE_CHECKING"
        ) from error


def _function(factory: Callable[..., Any]) -> Any:
    """Return the function or class that a factory stands for, beneath partials and decorators."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    return inspect.unwrap(factory)


def _scope(function: Any) -> dict[str, Any]:
    if isinstance(function, type):
        function = function.__init__  # type: ignore[misc]
    elif not hasattr(function, "__globals__"):
        function = type(function).__call__
    scope: dict[str, Any] = getattr(inspect.unwrap(function), "__globals__", {})
    return scope


def type_text(annotation: Any) -> str:
    """Write a type as an author would: `int | None`, `list[str]`, `"chat" | "text"`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_text(arguments[0])
    if origin is Literal:
        return " | ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in arguments)
    if origin in (Union, types.UnionType):
        return " | ".join(type_text(argument) for argument in arguments)
    name = getattr(origin or annotation, "__name__", None) or str(annotation)
    if annotation in (None, type(None)):
        return "None"
    if not arguments or origin is None:
        return str(name)
    inside = ", ".join(
        "..." if a is ... else type_text(a) if not isinstance(a, list) else "..." for a in arguments
    )
    return f"{name}[{inside}]"


def _checked(option: Option, value: Any, path: str) -> Any:
    """Convert one value to an option's type with pydantic."""
    from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

    wanted = _members(option.annotation)
    if isinstance(value, bool) and bool not in wanted and (int in wanted or float in wanted):
        raise ConfigError(path, f"{short(value)} is not right: {_wanted(option)}")
    try:
        try:
            adapter = TypeAdapter(option.annotation, config=ConfigDict(arbitrary_types_allowed=True))
        except PydanticUserError:  # a model or a dataclass has a configuration of its own
            adapter = TypeAdapter(option.annotation)
        return adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        inner = "".join(f".{part}" for part in first["loc"]) if error.error_count() == 1 else ""
        reason = f" ({first['msg'][0].lower()}{first['msg'][1:]})" if error.error_count() == 1 else ""
        raise ConfigError(
            f"{path}{inner}",
            f"{short(first['input'] if inner else value)} is not right: {_wanted(option)}{reason}",
        ) from None


def _members(annotation: Any) -> list[Any]:
    """Return the types that a union joins, or the one type that it is."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [member for argument in get_args(annotation) for member in _members(argument)]
    return [annotation]


def _wanted(option: Option) -> str:
    return f"{option.name} takes {option.type}" + (f", {option.help}" if option.help else "")


def short(value: object) -> str:
    """Write a value for a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
