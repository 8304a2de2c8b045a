"""Find the components of the installed plugins by name, and create them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, cast

from aisb import _discovery as discovery
from aisb import _hookspecs as hookspecs
from aisb._data import DataFiles
from aisb._discovery import CONFIGS, HOOKS, KINDS, Broken, ComponentKind, PluginInfo
from aisb._errors import (
    AisbError,
    ConfigError,
    PluginError,
    UnknownName,
    UsageError,
    did_you_mean,
    error_words,
)  # fmt: skip
from aisb._evaluator import Ask
from aisb._options import arguments, short_repr

_PLACE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Component:
    """The factory that a plugin offers under a name.

    `offered` is the factory itself, or its place: `module:name`.
    """

    kind: ComponentKind
    name: str
    offered: Callable[..., Any] | str
    plugin: str
    distribution: str

    @cached_property
    def factory(self) -> Callable[..., Any]:
        """The factory. If the plugin offers its place, it is imported at its first use.

        Raises:
            PluginError: it cannot be imported, or is not callable.
        """
        if not isinstance(self.offered, str):
            return self.offered
        module, _, name = self.offered.partition(":")
        try:
            factory = getattr(import_module(module), name, None)
        except (Exception, SystemExit) as error:
            raise self._unusable(error_words(error)) from error
        if not callable(factory):
            value = "undefined" if factory is None else short_repr(factory)
            raise self._unusable(f"{self.offered} is {value}; it must be a function or a class")
        return cast("Callable[..., Any]", factory)

    @property
    def place(self) -> str | None:
        """The place from which another process can import the factory: `module:name`; None if it cannot."""
        if isinstance(self.offered, str):
            return self.offered
        module, name = (getattr(self.offered, key, "") for key in ("__module__", "__qualname__"))
        importable = module != "__main__" and getattr(sys.modules.get(module), name, None) is self.offered
        return f"{module}:{name}" if importable else None

    def _unusable(self, reason: str) -> PluginError:
        return PluginError(f"{self.kind} {self.name!r} of plugin {self.plugin} cannot be loaded: {reason}")


class Plugins:
    """The installed plugins and their components. `Plugins.load` loads them; no import does."""

    def __init__(self, explain: Callable[[str], str | None] | None = None) -> None:
        self._explain = explain
        self.infos: list[PluginInfo] = []
        self.notes: list[str] = []
        self._components: dict[tuple[ComponentKind, str], list[Component]] = {}

    @classmethod
    def load(
        cls, block: Iterable[str] = (), *, explain: Callable[[str], str | None] | None = None
    ) -> Plugins:
        """Load every installed plugin, except those that `block` or the variable `AISB_BLOCK` names.

        A plugin that fails is in `infos` with its reason, and offers nothing. `notes` lists blocked names
        that no plugin has. `explain` returns a note on the name of a missing component, such as what to
        install, or None.
        """
        plugins = cls(explain)
        blocked = discovery.names_to_block(block)
        plugins.infos = discovery.read_entries(hookspecs.PROJECT, blocked, plugins._take)
        if missing := blocked - {info.name for info in plugins.infos}:
            names = {entry.name for entry in entry_points(group=discovery.COMMANDS_GROUP)}
            missing -= names
            names |= {info.name for info in plugins.infos}
            plugins.notes += [
                f"no plugin named {name!r} to block{did_you_mean(name, names)}" for name in sorted(missing)
            ]
        return plugins

    def names(self, kind: ComponentKind) -> list[str]:
        """Return the names of one kind, sorted."""
        return sorted(name for component_kind, name in self._components if component_kind == kind)

    def find(self, kind: ComponentKind, name: str) -> Component:
        """Return the component of a kind under a name.

        Raises:
            UnknownName: no loaded plugin offers it; the message lists plugins that failed or are blocked.
            PluginError: more than one plugin offers it.
        """
        if not (matches := self._components.get((kind, name), [])):
            raise UnknownName(kind, name, self.names(kind), self.why_missing(name))
        if len(matches) > 1:
            who = " and ".join(f"{c.plugin} ({c.distribution})" for c in matches)
            last = matches[-1].plugin
            raise PluginError(f"{kind} {name!r} is offered by {who}; block all but one, as in --block {last}")
        return matches[0]

    def make(
        self,
        kind: ComponentKind,
        name: str,
        options: Mapping[str, Any],
        /,
        *,
        where: str = "",
        files: DataFiles | None = None,
        ask: Ask | None = None,
    ) -> Any:
        """Validate options against the factory's signature, call it, and return the component.

        `where` is the path of the options in the configuration, for errors. A parameter of the type
        `DataFiles` gets `files`, one of the type `Ask` gets `ask`, whatever their names are.

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
            if where and type(error) is UsageError:  # the component itself refused the value of an option
                raise ConfigError(where, str(error)) from error
            raise
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"{kind} {name!r} of plugin {component.plugin} cannot be created: {error_words(error)}"
            ) from error

    def config_folders(self) -> list[tuple[str, Path]]:
        """Return (plugin name, folder) for each folder with `tasks/` and `models/` that a plugin offers."""
        return [(info.name, folder) for info in self.infos for folder in info.configs]

    def components(self) -> list[Component]:
        """Return all components, sorted by kind, name and plugin."""
        order = {kind: position for position, kind in enumerate(KINDS)}
        components = [component for same_name in self._components.values() for component in same_name]
        return sorted(components, key=lambda c: (order[c.kind], c.name, c.plugin))

    def why_missing(self, name: str) -> list[str]:
        """Return notes that may explain a missing name: failed and blocked plugins, and what to install."""
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


def _offers(info: PluginInfo, module: object) -> tuple[list[Component], tuple[Path, ...]]:
    components: list[Component] = []
    configs: list[Path] = []
    for hook, returned in discovery.call_hooks(info.name, module, (*HOOKS, CONFIGS)):
        if hook == CONFIGS:
            configs += _folders(returned)
        else:
            components += [
                Component(HOOKS[hook], name, offered, info.name, info.distribution)
                for name, offered in _factories(hook, returned).items()
            ]
    return components, tuple(configs)


def _factories(hook: str, returned: object) -> Mapping[str, Callable[..., Any] | str]:
    if not isinstance(returned, Mapping):
        raise Broken(f"{hook}() returned {short_repr(returned)}; it returns a mapping: {{'name': factory}}")
    for key, value in returned.items():
        if not isinstance(key, str) or not _NAME.fullmatch(key):
            raise Broken(
                f"{hook}() offers the name {short_repr(key)}; names are letters, digits, '-', '_' and '.'"
            )
        if isinstance(value, str) and not is_place(value):
            raise Broken(
                f"{hook}() has {short_repr(value)} under {key!r}; the place of a function or a class "
                "is written 'package.module:name'"
            )
        if not isinstance(value, str) and not callable(value):
            raise Broken(f"{hook}() has {short_repr(value)} under {key!r}; it must be a function or a class")
    return cast("Mapping[str, Callable[..., Any] | str]", returned)


def is_place(text: str) -> bool:
    """Return whether a text has the form of a place: `package.module:name`."""
    return bool(_PLACE.fullmatch(text))


def _folders(returned: object) -> list[Path]:
    if isinstance(returned, str) or not isinstance(returned, Iterable):
        raise Broken(
            f"{CONFIGS}() returned {short_repr(returned)}; it returns a list of folders: [files('my_plugin')]"
        )
    folders = list(returned)
    for folder in folders:
        if not isinstance(folder, Path) or not folder.is_dir():
            raise Broken(f"{CONFIGS}() returned {short_repr(folder)}, which is not a folder on disk")
    return folders
