"""Read the options of a component from its factory's signature, and validate values against them."""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, cast, get_args, get_origin, get_type_hints

from aisb._data import DataFiles, Tokenizer
from aisb._errors import ConfigError, PluginError, UsageError, did_you_mean
from aisb._evaluator import Ask
from aisb._roles import Role

REQUIRED: Any = inspect.Parameter.empty
"""The default of a required option."""

INJECTED_TYPES: tuple[Any, ...] = (DataFiles, Ask)
"""A parameter of one of these types is not an option: the engine passes its value, whatever its name is."""

_RoleClass = type[Role]


class Option(NamedTuple):
    """One option of a component. `default` is `REQUIRED` if it has none.

    `roles` are the role classes in its annotation. With `tokenizer`, a configuration sets the path of a
    folder, and the factory gets the `Tokenizer` that is loaded from it.
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
    """Return a factory's options in the order of its signature, without the parameters that are injected.

    Raises:
        PluginError: an annotation cannot be read.
    """
    return list(_read_signature(factory).options.values())


def injected_types(factory: Callable[..., Any]) -> dict[str, Any]:
    """Return the names of the parameters that the engine injects, each with its type: `DataFiles` or `Ask`.

    Raises:
        PluginError: an annotation cannot be read.
    """
    return _read_signature(factory).injected


def option_with(factory: Callable[..., Any], role: type[Role]) -> Option | None:
    """Return the option of a factory that has a role, or None.

    Raises:
        PluginError: an annotation cannot be read.
    """
    return next((option for option in options(factory) if role in option.roles), None)


def summary(factory: Callable[..., Any]) -> str:
    """Return the first line of a factory's docstring, or an empty string."""
    function = _function(factory)
    text = (function.__doc__ or "").strip()
    if is_dataclass(function) and text.startswith(f"{getattr(function, '__name__', '')}("):
        return ""  # a class without a docstring gets its signature from dataclass()
    return text.split("\n", 1)[0]


def bind(factory: Callable[..., Any], values: Mapping[str, Any], *, where: str = "") -> dict[str, Any]:
    """Validate values against a factory's signature, and return them converted to its types.

    Defaults are not filled in. A factory with `**kwargs` gets other values unchanged. A tokenizer stays a
    path.

    Raises:
        ConfigError: a value is invalid or missing, or there is no such option; its path begins with `where`.
    """
    return _bind(_read_signature(factory), values, where)


def _bind(signature: _Signature, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    declared = signature.options
    bound: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{where}.{name}" if where else name
        if option := declared.get(name):
            bound[name] = _validate(option, value, path)
        elif signature.takes_more and name not in signature.injected:
            bound[name] = value
        else:
            known = ", ".join(declared) or "none"
            raise ConfigError(path, f"no such option{did_you_mean(name, declared)}\n  known: {known}")
    for option in declared.values():
        if option.required and option.name not in values:
            path = f"{where}.{option.name}" if where else option.name
            raise ConfigError(path, f"must be set: {_expectation(option)}")
    return bound


def arguments(
    factory: Callable[..., Any], values: Mapping[str, Any], injected: Mapping[Any, Any], *, where: str = ""
) -> dict[str, Any]:
    """Return the keyword arguments for a factory: validated options, tokenizers, and injected values by type.

    Raises:
        ConfigError: as `bind`, or a tokenizer cannot be loaded.
        PluginError: the library that loads a tokenizer is not installed.
    """
    signature = _read_signature(factory)
    bound = _bind(signature, values, where)
    for option in signature.options.values():
        if option.tokenizer and isinstance(path := bound.get(option.name), str | Path):
            bound[option.name] = _load_tokenizer(path, f"{where}.{option.name}" if where else option.name)
    return bound | {name: injected[kind] for name, kind in signature.injected.items() if kind in injected}


def _load_tokenizer(path: str | Path, where: str) -> Tokenizer:
    """Load a tokenizer with the engine, which core finds by an entry point since it cannot import it."""
    from importlib.metadata import entry_points

    if not (loaders := list(entry_points(group="aisb.engine", name="load_tokenizer"))):
        raise PluginError(f"{where}: the engine loads tokenizers: install aisb-engine")
    try:
        return cast("Tokenizer", loaders[0].load()(path))
    except UsageError as error:
        raise ConfigError(where, str(error)) from error


def parameters(factory: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the parameters that can be passed by keyword.

    Raises:
        PluginError: the factory is built in and has no signature to read.
    """
    try:
        signature = inspect.signature(factory)
    except ValueError as error:
        raise PluginError(
            f"the options of {short_repr(factory)} cannot be read: {error}; wrap it in a function"
        ) from None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)
    return {name: one for name, one in signature.parameters.items() if one.kind not in positional}


class _Signature(NamedTuple):
    """The parameters of a factory: options, injected ones by type, and whether it has `**kwargs`."""

    options: dict[str, Option]
    injected: dict[str, Any]
    takes_more: bool


def _read_signature(factory: Callable[..., Any]) -> _Signature:
    return (_known_signature if isinstance(factory, Hashable) else _signature)(factory)


def _signature(factory: Callable[..., Any]) -> _Signature:
    keywords = parameters(factory)
    signature = _Signature({}, {}, any(one.kind is one.VAR_KEYWORD for one in keywords.values()))
    for name, parameter in keywords.items():
        if parameter.kind is not parameter.VAR_KEYWORD:
            annotation = _annotation(factory, parameter)
            members = _members(annotation)
            if injected := next((one for one in INJECTED_TYPES if one in members), None):
                signature.injected[name] = injected
            else:
                signature.options[name] = _option(factory, parameter, annotation)
    return signature


# A run reads the signatures of some factories eight times.
_known_signature = functools.lru_cache(1000)(_signature)


def _option(factory: Callable[..., Any], parameter: inspect.Parameter, annotation: Any) -> Option:
    function, default = _function(factory), parameter.default
    if is_dataclass(function) and type(default).__module__ == "dataclasses":  # marks a default_factory
        member = next(member for member in fields(function) if member.name == parameter.name)
        default = cast("Callable[[], Any]", member.default_factory)()
    metadata = getattr(annotation, "__metadata__", ())
    help_text = " ".join(item for item in metadata if isinstance(item, str))
    classes = [item if isinstance(item, type) else type(item) for item in metadata]
    roles = tuple(cls for cls in classes if issubclass(cls, Role))
    text, members = type_text(annotation), _members(annotation)
    if tokenizer := Tokenizer in members:
        annotation = str | Path | None if type(None) in members else str | Path
        text = "path | None" if type(None) in members else "path"
    return Option(parameter.name, text, default, default is REQUIRED, help_text, annotation, roles, tokenizer)


def _annotation(factory: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """Return a parameter's type with its `Annotated` metadata, evaluated in the module that defines it.

    `get_type_hints` on the whole function would fail if a return type is imported under TYPE_CHECKING.
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
    """Return the function or class under the partials and decorators of a factory."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    return inspect.unwrap(factory)


def _scope(function: Any) -> dict[str, Any]:
    if isinstance(function, type):
        function = function.__init__  # type: ignore[misc]
    elif not hasattr(function, "__globals__"):
        function = type(function).__call__
    return cast("dict[str, Any]", getattr(inspect.unwrap(function), "__globals__", {}))


def type_text(annotation: Any) -> str:
    """Return a type in source notation: `int | None`, `list[str]`, `"chat" | "text"`."""
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
    inside = ", ".join("..." if a is ... or isinstance(a, list) else type_text(a) for a in arguments)
    return f"{name}[{inside}]"


def _validate(option: Option, value: Any, path: str) -> Any:
    """Convert one value to an option's type with pydantic."""
    from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

    accepted = _members(option.annotation)
    # pydantic would accept true and false as the numbers 1 and 0
    if isinstance(value, bool) and bool not in accepted and (int in accepted or float in accepted):
        raise ConfigError(path, f"{short_repr(value)} is invalid: {_expectation(option)}")
    try:
        try:
            adapter = TypeAdapter(option.annotation, config=ConfigDict(arbitrary_types_allowed=True))
        except PydanticUserError:  # models and dataclasses have their own configuration
            adapter = TypeAdapter(option.annotation)
        return adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        inner = "".join(f".{part}" for part in first["loc"]) if error.error_count() == 1 else ""
        reason = f"; {first['msg'][0].lower()}{first['msg'][1:]}" if error.error_count() == 1 else ""
        raise ConfigError(
            f"{path}{inner}",
            f"{short_repr(first['input'] if inner else value)} is invalid: {_expectation(option)}{reason}",
        ) from None


def _members(annotation: Any) -> list[Any]:
    """Return the members of a union, or the type itself."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [member for argument in get_args(annotation) for member in _members(argument)]
    return [annotation]


def _expectation(option: Option) -> str:
    return f"{option.name} takes {option.type}" + (f" ({option.help})" if option.help else "")


def short_repr(value: object) -> str:
    """Return the `repr` of a value for a message, with at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
