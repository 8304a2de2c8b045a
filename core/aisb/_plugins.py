"""Find the installed plugins, keep a broken one from harming the others, and make components by name."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, PackageMetadata, entry_points
from operator import eq, ge, gt, le, lt, ne
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import pluggy

from aisb import __version__
from aisb import _hookspecs as hookspecs
from aisb._data import DataFiles
from aisb._errors import AisbError, ConfigError, PluginError, UnknownName, UsageError, did_you_mean
from aisb._evaluator import Ask
from aisb._options import arguments, short

if TYPE_CHECKING:
    from pluggy import HookimplOpts

Kind: TypeAlias = Literal[
    "backend", "dataset", "postprocessor", "evaluator", "reporter", "launcher", "importer"
]
State: TypeAlias = Literal["loaded", "failed", "blocked"]

HOOKS: Mapping[str, Kind] = {
    "aisb_backends": "backend",
    "aisb_datasets": "dataset",
    "aisb_postprocessors": "postprocessor",
    "aisb_evaluators": "evaluator",
    "aisb_reporters": "reporter",
    "aisb_launchers": "launcher",
    "aisb_importers": "importer",
}
"""The hooks that name components, and the kind that each names; `aisb_configs` names folders."""

KINDS: tuple[Kind, ...] = tuple(HOOKS.values())
CONFIGS = "aisb_configs"
COMMANDS = "aisb_commands"
COMMANDS_GROUP = f"{hookspecs.PROJECT}.commands"

_CORE = re.compile(r"aisb[-_.]core\s*(?:\[.*?\])?\s*\(?([^;)]*)", re.IGNORECASE)
_CLAUSE = re.compile(r"([<>=~!]=|[<>])\s*(\d+(?:\.\d+)*)(\.\*)?.*")
_COMPARE = {">=": ge, "<=": le, ">": gt, "<": lt, "==": eq, "!=": ne}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PLACE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """One installed plugin: what it offers, by kind, or why it offers nothing."""

    name: str
    distribution: str
    version: str
    state: State
    reason: str | None = None
    offers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    configs: tuple[Path, ...] = ()
    traceback: str | None = None


@dataclass(frozen=True)
class Component:
    """A factory under a name, and who offers it.

    `offered` is the factory itself, or where it stands: `module:name`.
    """

    kind: Kind
    name: str
    offered: Callable[..., Any] | str
    plugin: str
    distribution: str

    @cached_property
    def factory(self) -> Callable[..., Any]:
        """The factory; one that is only named by its place is imported by its first use.

        Raises:
            PluginError: it cannot be imported, or is nothing that can be called.
        """
        if not isinstance(self.offered, str):
            return self.offered
        module, _, name = self.offered.partition(":")
        try:
            factory = getattr(import_module(module), name, None)
        except (Exception, SystemExit) as error:
            raise self._unusable(error_words(error)) from error
        if not callable(factory):
            what = "not there" if factory is None else f"{short(factory)}; it must be a function or a class"
            raise self._unusable(f"{self.offered} is {what}")
        return cast("Callable[..., Any]", factory)

    @property
    def place(self) -> str | None:
        """Where another process finds the factory: `module:name`; None where it cannot."""
        if isinstance(self.offered, str):
            return self.offered
        module, name = (getattr(self.offered, of, "") for of in ("__module__", "__qualname__"))
        there = module != "__main__" and getattr(sys.modules.get(module), name, None) is self.offered
        return f"{module}:{name}" if there else None

    def _unusable(self, why: str) -> PluginError:
        return PluginError(f"{self.kind} {self.name!r} of plugin {self.plugin} cannot be loaded: {why}")


class Plugins:
    """The plugins of one run. Loading is this call and never an effect of an import."""

    def __init__(self, explain: Callable[[str], str | None] | None = None) -> None:
        self._explain = explain
        self.infos: list[PluginInfo] = []
        self.notes: list[str] = []
        self._components: dict[tuple[Kind, str], list[Component]] = {}

    @classmethod
    def load(
        cls, block: Iterable[str] = (), *, explain: Callable[[str], str | None] | None = None
    ) -> Plugins:
        """Load every installed plugin but the blocked ones, those of `AISB_BLOCK` among them.

        `explain` gives a note on a name that nothing offers, such as what to install; None where it knows
        nothing.

        A plugin that fails is in `infos` with its reason, and offers nothing. `notes` has what else is to be
        said: names to block that no plugin has.
        """
        plugins = cls(explain)
        blocked = names_to_block(block)
        plugins.infos = read_entries(hookspecs.PROJECT, blocked, plugins._take)
        missing = blocked - {info.name for info in plugins.infos}
        if missing:
            names = {entry.name for entry in entry_points(group=COMMANDS_GROUP)}
            missing -= names
            names |= {info.name for info in plugins.infos}
            plugins.notes += [
                f"no plugin named {name!r} to block{did_you_mean(name, names)}" for name in sorted(missing)
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
            raise UnknownName(kind, name, self.names(kind), self.why_missing(name))
        if len(found) > 1:
            who = " and ".join(f"{c.plugin} ({c.distribution})" for c in found)
            raise PluginError(
                f"{kind} {name!r} is offered by {who}; block all but one, as in --block {found[-1].plugin}"
            )
        return found[0]

    def make(
        self,
        kind: Kind,
        name: str,
        options: Mapping[str, Any],
        /,
        *,
        where: str = "",
        files: DataFiles | None = None,
        ask: Ask | None = None,
    ) -> Any:
        """Check options against the factory's signature, call it, and return what it makes.

        `where` is the path of the options in the configuration, for errors. A parameter of the type
        `DataFiles` is passed `files`, one of the type `Ask` is passed `ask`, whatever their names.

        Raises:
            ConfigError: an option is unknown, missing, or has a wrong value.
            PluginError: the factory failed.
        """
        component = self.find(kind, name)
        factory = component.factory
        values = arguments(factory, options, {DataFiles: files, Ask: ask}, where=where)
        try:
            return factory(**values)
        except AisbError as error:
            if where and type(error) is UsageError:  # a value that only the component could judge
                raise ConfigError(where, str(error)) from error
            raise
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"{kind} {name!r} of plugin {component.plugin} cannot be made: {error_words(error)}"
            ) from error

    def config_folders(self) -> list[tuple[str, Path]]:
        """Return (plugin name, folder) for each folder with `tasks/` and `models/` that a plugin offers."""
        return [(info.name, folder) for info in self.infos for folder in info.configs]

    def components(self) -> list[Component]:
        """Return all components, by kind and name; one that two plugins offer stands there twice."""
        order = {kind: position for position, kind in enumerate(KINDS)}
        found = [component for same in self._components.values() for component in same]
        return sorted(found, key=lambda c: (order[c.kind], c.name, c.plugin))

    def why_missing(self, name: str) -> list[str]:
        """Return what may explain a missing name: plugins that offer nothing, and what to install."""
        notes = [f"plugin {i.name} did not load: {i.reason}" for i in self.infos if i.state == "failed"]
        notes += [f"plugin {i.name} is blocked" for i in self.infos if i.state == "blocked"]
        note = self._explain(name) if self._explain else None
        return [*notes, note] if note else notes

    def _take(self, info: PluginInfo, module: object) -> PluginInfo:
        components, configs = _offers(info, module)
        offers: dict[str, tuple[str, ...]] = {}
        for component in components:
            self._components.setdefault((component.kind, component.name), []).append(component)
            offers[component.kind] = (*offers.get(component.kind, ()), component.name)
        return replace(info, offers=offers, configs=configs)


def names_to_block(block: Iterable[str] = ()) -> set[str]:
    """Return the names of the plugins that are not to be loaded: these, and those of `AISB_BLOCK`."""
    texts = (*block, os.environ.get("AISB_BLOCK", ""))
    return {name for text in texts for name in re.split(r"[,\s]+", text) if name}


def read_entries(
    group: str, blocked: Iterable[str], take: Callable[[PluginInfo, object], PluginInfo]
) -> list[PluginInfo]:
    """Load the entry points of a group, and return what became of each.

    `take` gets a plugin and its module, and returns the plugin with what it offers. Whatever a plugin raises
    is the reason of its own failure.
    """
    first: dict[str, PluginInfo] = {}
    infos = []
    entries = [(e.name, *_distribution(e), e) for e in entry_points(group=group)]
    for name, distribution, version, unmet, entry in sorted(entries, key=lambda one: one[:3]):
        info = PluginInfo(name, distribution, version, "loaded")
        other = first.setdefault(name, info)
        if name in blocked:
            info = first[name] = replace(info, state="blocked")
        elif other is not info:
            taken = f"the name {name} is taken by {other.distribution} {other.version}"
            info = replace(info, state="failed", reason=taken)
        elif unmet:
            info = replace(info, state="failed", reason=unmet)
        else:
            info = _loaded(info, entry, take)
        infos.append(info)
    return infos


def _loaded(
    info: PluginInfo, entry: EntryPoint, take: Callable[[PluginInfo, object], PluginInfo]
) -> PluginInfo:
    try:
        return take(info, entry.load())
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a plugin does stays its own failure
        from traceback import format_exc

        reason = str(error) if isinstance(error, Broken) else error_words(error)
        return replace(info, state="failed", reason=reason, traceback=format_exc())


class _Marked(pluggy.PluginManager):
    """Looks for marks at functions only: of what else a module holds, most is dear to look at."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> HookimplOpts | None:
        """Return the options of a marked function; None for all else."""
        if isinstance(plugin, ModuleType) and not isinstance(vars(plugin).get(name), FunctionType):
            return None
        return super().parse_hookimpl_opts(plugin, name)


class Broken(Exception):  # noqa: N818 - it never reaches a user: it is the reason of a failed plugin
    """Why a plugin that was imported cannot be used."""


def _offers(info: PluginInfo, module: object) -> tuple[list[Component], tuple[Path, ...]]:
    components: list[Component] = []
    configs: list[Path] = []
    for hook, returned in call_hooks(info.name, module, (*HOOKS, CONFIGS)):
        if hook == CONFIGS:
            configs += _folders(returned)
        else:
            components += [
                Component(HOOKS[hook], name, offered, info.name, info.distribution)
                for name, offered in _factories(hook, returned).items()
            ]
    return components, tuple(configs)


def call_hooks(name: str, module: object, hooks: Collection[str]) -> Iterator[tuple[str, object]]:
    """Register one plugin with a plugin manager of its own, and yield each of its hooks with what it returns.

    Raises:
        Broken: it has no hook of these, or one that cannot be called.
    """
    manager = _Marked(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    _check_marks(manager, module, hooks)
    try:
        manager.register(module, name)
    except pluggy.PluginValidationError as error:
        raise Broken(" ".join(str(error).split())) from error
    callers = manager.get_hookcallers(module)
    if not callers:
        what = getattr(module, "__name__", type(module).__name__)
        raise Broken(f"{what} has no function that is marked with @hookimpl")
    for caller in callers:
        if not caller.has_spec():
            raise Broken(
                f"{caller.name} is not a hook{did_you_mean(caller.name, (*HOOKS, CONFIGS, COMMANDS))}"
            )
        if caller.name not in hooks:
            group = COMMANDS_GROUP if caller.name == COMMANDS else hookspecs.PROJECT
            raise Broken(f"{caller.name} belongs in a module with an entry point in the group {group}")
        for impl in caller.get_hookimpls():
            yield caller.name, _returned(caller.name, impl)


def _check_marks(manager: pluggy.PluginManager, module: object, hooks: Iterable[str]) -> None:
    """Refuse what pluggy would pass over in silence or say in its own words."""
    import inspect

    for hook in hooks:
        function = getattr(module, hook, None)
        if function is None:
            continue
        if manager.parse_hookimpl_opts(module, hook) is None:
            raise Broken(f"{hook} is not marked with @hookimpl, so it would never be called")
        signature = inspect.signature(function)
        try:
            signature.bind()
        except TypeError:
            raise Broken(f"{hook}{signature} has a wrong signature: a hook takes no arguments") from None


def _returned(hook: str, impl: pluggy.HookImpl) -> object:
    if impl.hookwrapper or impl.wrapper:
        raise Broken(f"{hook} is marked as a wrapper; a hook only returns what its plugin offers")
    try:
        return impl.function()
    except Exception as error:
        raise Broken(f"{hook}() raised {error_words(error)}") from error


def _factories(hook: str, returned: object) -> Mapping[str, Callable[..., Any] | str]:
    if not isinstance(returned, Mapping):
        raise Broken(
            f"{hook}() returned {short(returned)}; it returns names with factories, as in {{'name': factory}}"
        )
    for key, value in returned.items():
        if not isinstance(key, str) or not _NAME.fullmatch(key):
            raise Broken(
                f"{hook}() offers the name {short(key)}; names are letters, digits, '-', '_' and '.'"
            )
        if isinstance(value, str) and not is_place(value):
            raise Broken(
                f"{hook}() has {short(value)} under {key!r}; the place of a function or a class is written "
                "'package.module:name'"
            )
        if not isinstance(value, str) and not callable(value):
            raise Broken(f"{hook}() has {short(value)} under {key!r}; it must be a function or a class")
    return cast("Mapping[str, Callable[..., Any] | str]", returned)


def is_place(text: str) -> bool:
    """Say whether a text is the place of a function or a class: `package.module:name`."""
    return bool(_PLACE.fullmatch(text))


def _folders(returned: object) -> list[Path]:
    if isinstance(returned, str) or not isinstance(returned, Iterable):
        raise Broken(
            f"{CONFIGS}() returned {short(returned)}; it returns a list of folders: [files('my_plugin')]"
        )
    folders = list(returned)
    for folder in folders:
        if not isinstance(folder, Path) or not folder.is_dir():
            raise Broken(f"{CONFIGS}() returned {short(folder)}, which is not a folder on disk")
    return folders


def _distribution(entry: EntryPoint) -> tuple[str, str, str | None]:
    """Return the name and version of an entry point's distribution, and why it does not fit this core.

    Metadata that cannot be read gives "?".
    """
    if entry.dist is None:
        return ("?", "?", None)
    try:
        metadata = entry.dist.metadata  # it is parsed anew each time it is asked for
        return (metadata["Name"] or "?", metadata["Version"] or "?", _unmet(metadata))
    except Exception:  # noqa: BLE001 - half-removed metadata of one plugin must not hide the others
        return ("?", "?", None)


def _unmet(metadata: PackageMetadata) -> str | None:
    """Return what a distribution needs of aisb-core and does not get; None where it fits."""
    for line in metadata.get_all("Requires-Dist") or ():
        match = _CORE.match(line)
        if match is None or "extra" in line:
            continue
        for clause in map(str.strip, match[1].split(",")):
            if not _holds(clause, __version__):
                return f"needs aisb-core{clause}, and {__version__} is installed: upgrade one of them"
    return None


def _holds(clause: str, version: str) -> bool:
    """Say whether a version fits one clause, such as `>=0.2`; numbers alone are compared."""
    match = _CLAUSE.fullmatch(clause)
    if match is None:
        return True
    sign, wanted = match[1], [int(number) for number in match[2].split(".")]
    ours = [int(number) for number in version.split(".")]
    if sign == "~=":
        return ours >= wanted and ours[: len(wanted) - 1] == wanted[:-1]
    if match[3]:  # as in ==0.2.*
        ours = ours[: len(wanted)]
    return bool(_COMPARE[sign](ours, wanted + [0] * (len(ours) - len(wanted))))


def error_words(error: BaseException) -> str:
    """Say in one line what went wrong, and where; an import or syntax error says that itself."""
    message = exception_message(error)
    if isinstance(error, ImportError):
        return message
    text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    place = "" if isinstance(error, SyntaxError) else exception_location(error)
    return f"{text} ({place})" if place else text


def exception_message(error: BaseException) -> str:
    """Return an exception's message in one line; an empty string where it cannot be printed."""
    try:
        return " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - a plugin wrote the exception, too
        return ""


def exception_location(error: BaseException) -> str:
    """Return the file and line where an exception was raised; an empty string where it was not raised."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno}" if trace else ""
