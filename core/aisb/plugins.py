"""Find the installed plugins, keep a broken one from harming the others, and make components by name."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import pluggy

from aisb import hookspecs
from aisb.errors import AisbError, PluginError, UnknownName, did_you_mean
from aisb.known import install_line

Kind: TypeAlias = Literal["backend", "dataset", "postprocessor", "evaluator", "reporter"]
State: TypeAlias = Literal["loaded", "failed", "blocked"]

HOOKS: Mapping[str, Kind] = {
    "aisb_backends": "backend",
    "aisb_datasets": "dataset",
    "aisb_postprocessors": "postprocessor",
    "aisb_evaluators": "evaluator",
    "aisb_reporters": "reporter",
}
"""The hooks that name components, and the kind that each names; `aisb_configs` names folders."""

KINDS: tuple[Kind, ...] = tuple(HOOKS.values())
CONFIGS = "aisb_configs"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """One installed plugin: what it offers, or why it offers nothing."""

    name: str
    distribution: str
    version: str
    state: State
    reason: str | None = None
    offers: Mapping[Kind, tuple[str, ...]] = field(default_factory=dict)
    configs: tuple[Path, ...] = ()


class Component(NamedTuple):
    """A factory under a name, and who offers it."""

    kind: Kind
    name: str
    factory: Callable[..., Any]
    plugin: str
    distribution: str


class Plugins:
    """The plugins of one run. Loading is this call and never an effect of an import."""

    def __init__(self) -> None:
        self.infos: list[PluginInfo] = []
        self.notes: list[str] = []
        self._components: dict[tuple[Kind, str], list[Component]] = {}

    @classmethod
    def load(cls, block: Iterable[str] = ()) -> Plugins:
        """Load every installed plugin but the blocked ones, those of `AISB_BLOCK` among them.

        A plugin that fails is in `infos` with its reason, and offers nothing. `notes` has what else is to be
        said: names to block that no plugin has.
        """
        plugins = cls()
        blocked = {
            name for text in (*block, os.environ.get("AISB_BLOCK", "")) for name in re.split(r"[,\s]+", text)
        }
        blocked.discard("")
        first: dict[str, PluginInfo] = {}
        for entry in sorted(entry_points(group=hookspecs.PROJECT), key=lambda e: (e.name, _distribution(e))):
            info = plugins._add(entry, entry.name in blocked, first.get(entry.name))
            first.setdefault(entry.name, info)
            plugins.infos.append(info)
        plugins.notes += [
            f"no plugin named {name!r} to block{did_you_mean(name, first)}"
            for name in sorted(blocked - set(first))
        ]
        return plugins

    def names(self, kind: Kind) -> list[str]:
        """Return the names of one kind, sorted."""
        return sorted(name for of, name in self._components if of == kind)

    def find(self, kind: Kind, name: str) -> Component:
        """Return the component of a kind under a name.

        Raises:
            UnknownName: no loaded plugin offers it; plugins that failed or are blocked are named again.
            PluginError: more than one plugin offers it.
        """
        found = self._components.get((kind, name), [])
        if not found:
            raise UnknownName(kind, name, self.names(kind), self._why_missing(name))
        if len(found) > 1:
            who = " and ".join(f"{c.plugin} ({c.distribution})" for c in found)
            raise PluginError(
                f"{kind} {name!r} is offered by {who}; block all but one, as in --block {found[-1].plugin}"
            )
        return found[0]

    def make(
        self, kind: Kind, name: str, options: Mapping[str, Any], /, *, where: str = "", **context: Any
    ) -> Any:
        """Check options against the factory's signature, call it, and return what it makes.

        `where` is the path of the options in the configuration, for errors. A value of `context` is passed to
        the factory that has a parameter of its name, and is no option.

        Raises:
            ConfigError: an option is unknown, missing, or has a wrong value.
            PluginError: the factory failed.
        """
        from aisb.options import bind, parameters

        component = self.find(kind, name)
        factory = component.factory
        values = bind(factory, options, where=where, context=context)
        given = {key: value for key, value in context.items() if key in parameters(factory)}
        try:
            return factory(**values, **given)
        except AisbError:
            raise
        except Exception as error:
            raise PluginError(
                f"{kind} {name!r} of plugin {component.plugin} cannot be made: {_words(error)}"
            ) from error

    def config_folders(self) -> list[tuple[str, Path]]:
        """Return (plugin name, folder) for each folder with `tasks/` and `models/` that a plugin offers."""
        return [(info.name, folder) for info in self.infos for folder in info.configs]

    def _add(self, entry: EntryPoint, blocked: bool, first: PluginInfo | None) -> PluginInfo:
        name, distribution, version = entry.name, _distribution(entry), _version(entry)
        if blocked:
            return PluginInfo(name, distribution, version, "blocked")
        try:
            if first:
                raise _Broken(f"the name is taken by {first.distribution} {first.version}")
            components, configs = _offers(name, distribution, entry.load())
        except _Broken as broken:
            return PluginInfo(name, distribution, version, "failed", str(broken))
        except (Exception, SystemExit) as error:
            return PluginInfo(name, distribution, version, "failed", _words(error))
        for component in components:
            self._components.setdefault((component.kind, component.name), []).append(component)
        offers = {kind: tuple(c.name for c in components if c.kind == kind) for kind in KINDS}
        return PluginInfo(
            name,
            distribution,
            version,
            "loaded",
            None,
            {k: names for k, names in offers.items() if names},
            configs,
        )

    def _why_missing(self, name: str) -> Iterator[str]:
        for info in self.infos:
            if info.state == "failed":
                yield f"plugin {info.name} did not load: {info.reason}"
            elif info.state == "blocked":
                yield f"plugin {info.name} is blocked"
        if line := install_line(name):
            yield line


class _Broken(Exception):  # noqa: N818 - it never leaves this module: it is the reason of a failed plugin
    """Why a plugin that was imported cannot be used."""


def _offers(name: str, distribution: str, module: object) -> tuple[list[Component], tuple[Path, ...]]:
    """Register one plugin with a plugin manager of its own, call its hooks, and check what they return."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    _check_marks(manager, module)
    try:
        manager.register(module, name)
    except pluggy.PluginValidationError as error:
        raise _Broken(" ".join(str(error).split())) from error
    components: list[Component] = []
    configs: list[Path] = []
    callers = manager.get_hookcallers(module) or []
    for caller in callers:
        if not caller.has_spec():
            raise _Broken(f"{caller.name} is not a hook{did_you_mean(caller.name, (*HOOKS, CONFIGS))}")
        for impl in caller.get_hookimpls():
            if impl.hookwrapper or impl.wrapper:
                raise _Broken(
                    f"{caller.name} is marked as a wrapper; a hook only returns what its plugin offers"
                )
            try:
                returned = impl.function()
            except Exception as error:
                raise _Broken(
                    f"{caller.name}() raised {type(error).__name__}: {error}{_place(error)}"
                ) from error
            if caller.name == CONFIGS:
                configs += _folders(returned)
            else:
                kind = HOOKS[caller.name]
                made = _factories(caller.name, returned)
                components += [Component(kind, key, made[key], name, distribution) for key in made]
    if not callers:
        raise _Broken(f"it has none of the hooks {', '.join((*HOOKS, CONFIGS))}")
    return components, tuple(configs)


def _check_marks(manager: pluggy.PluginManager, module: object) -> None:
    """Refuse what pluggy would pass over in silence or say in its own words."""
    import inspect

    for hook in (*HOOKS, CONFIGS):
        function = getattr(module, hook, None)
        if function is None:
            continue
        if manager.parse_hookimpl_opts(module, hook) is None:
            raise _Broken(f"{hook} is not marked with @hookimpl, so it would never be called")
        signature = inspect.signature(function)
        try:
            signature.bind()
        except TypeError:
            raise _Broken(f"{hook}{signature} has a wrong signature: a hook takes no arguments") from None


def _factories(hook: str, returned: object) -> Mapping[str, Callable[..., Any]]:
    if not isinstance(returned, Mapping):
        raise _Broken(
            f"{hook}() returned {_short(returned)}; it returns names with factories, as in {{'name': factory}}"
        )
    for key, value in returned.items():
        if not isinstance(key, str) or not _NAME.fullmatch(key):
            raise _Broken(
                f"{hook}() offers the name {_short(key)}; a name has letters, digits, '-', '_' and '.', no more"
            )
        if not callable(value):
            raise _Broken(f"{hook}() has {_short(value)} under {key!r}; it must be a function or a class")
    return cast("Mapping[str, Callable[..., Any]]", returned)


def _folders(returned: object) -> list[Path]:
    if isinstance(returned, str) or not isinstance(returned, Iterable):
        raise _Broken(
            f"{CONFIGS}() returned {_short(returned)}; it returns a list of folders, as in [files('my_plugin')]"
        )
    folders = list(returned)
    for folder in folders:
        if not isinstance(folder, Path) or not folder.is_dir():
            raise _Broken(f"{CONFIGS}() returned {_short(folder)}, which is not a folder on disk")
    return folders


def _distribution(entry: EntryPoint) -> str:
    return str(entry.dist.name) if entry.dist else "?"


def _version(entry: EntryPoint) -> str:
    return str(entry.dist.version) if entry.dist else "?"


def _words(error: BaseException) -> str:
    """Say in one line what went wrong; an import error says it itself."""
    if isinstance(error, ImportError) and error.msg:
        return error.msg
    return f"{type(error).__name__}: {error}{_place(error)}"


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})" if trace else ""


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
