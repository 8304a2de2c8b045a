"""Find installed plugins by their entry points and call their hooks; a broken one leaves the others alone."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, PackageMetadata, entry_points
from operator import eq, ge, gt, le, lt, ne
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Literal, TypeAlias, get_args

import pluggy

from aisb import __version__
from aisb import _hookspecs as hookspecs
from aisb._errors import did_you_mean, error_words

ComponentKind: TypeAlias = Literal[
    "backend", "dataset", "postprocessor", "environment", "evaluator", "reporter", "launcher", "importer"
]
PluginState: TypeAlias = Literal["loaded", "failed", "blocked"]

KINDS: tuple[ComponentKind, ...] = get_args(ComponentKind)
"""The kinds of components."""
HOOKS: Mapping[str, ComponentKind] = {f"aisb_{kind}s": kind for kind in KINDS}
"""The hooks that offer components, and the kind of component that each offers."""

CONFIGS = "aisb_configs"
COMMANDS = "aisb_commands"
COMMANDS_GROUP = f"{hookspecs.PROJECT}.commands"

_CORE = re.compile(r"aisb[-_.]core\s*(?:\[.*?\])?\s*\(?([^;)]*)", re.IGNORECASE)
_CLAUSE = re.compile(r"([<>=~!]=|[<>])\s*(\d+(?:\.\d+)*)(\.\*)?.*")
_COMPARE = {">=": ge, "<=": le, ">": gt, "<": lt, "==": eq, "!=": ne}


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """One installed plugin: the names that it offers by kind, or the reason why it offers nothing."""

    name: str
    distribution: str
    version: str
    state: PluginState
    reason: str | None = None
    offers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    configs: tuple[Path, ...] = ()
    traceback: str | None = None


Take: TypeAlias = Callable[[PluginInfo, object], PluginInfo]


def names_to_block(block: Iterable[str] = ()) -> set[str]:
    """Return the names of the plugins not to load: those given, and those in the variable `AISB_BLOCK`."""
    texts = (*block, os.environ.get("AISB_BLOCK", ""))
    return {name for text in texts for name in re.split(r"[,\s]+", text) if name}


def read_entries(group: str, blocked: Iterable[str], take: Take) -> list[PluginInfo]:
    """Load the entry points of a group, and return the state of each plugin.

    `take` is called with a plugin and its module, and returns the plugin with what it offers. An exception of
    a plugin becomes the reason of its failure.
    """
    first: dict[str, PluginInfo] = {}
    infos = []
    installed = _installed(tuple(sys.path)).select(group=group)
    entries = [(entry.name, *_distribution(entry), entry) for entry in installed]
    for name, distribution, version, unmet, entry in sorted(entries, key=lambda one: one[:3]):
        info = PluginInfo(name, distribution, version, "loaded")
        other = first.setdefault(name, info)
        if name in blocked:
            info = first[name] = replace(info, state="blocked")
        elif other is not info:
            reason = f"the name {name} is taken by {other.distribution} {other.version}"
            info = replace(info, state="failed", reason=reason)
        elif unmet:
            info = replace(info, state="failed", reason=unmet)
        else:
            info = _loaded(info, entry, take)
        infos.append(info)
    return infos


# A command reads two groups. Each reading opens a file of every installed distribution.
_installed = functools.lru_cache(1)(lambda _path: entry_points())


def _loaded(info: PluginInfo, entry: EntryPoint, take: Take) -> PluginInfo:
    try:
        return take(info, entry.load())
    except (Exception, SystemExit) as error:  # noqa: BLE001 - no exception of a plugin may end the command
        from traceback import format_exc

        reason = str(error) if isinstance(error, Broken) else error_words(error)
        return replace(info, state="failed", reason=reason, traceback=format_exc())


class _HookManager(pluggy.PluginManager):
    """Looks for hooks among functions only: pluggy would read the attributes of everything in a module."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        """Return the options of a function that is marked as a hook; None for anything else."""
        if isinstance(plugin, ModuleType) and not isinstance(vars(plugin).get(name), FunctionType):
            return None
        return super().parse_hookimpl_opts(plugin, name)


@functools.cache
def _manager() -> _HookManager:
    manager = _HookManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


class Broken(Exception):  # noqa: N818 - it becomes the reason of a failed plugin, and is never printed itself
    """An imported plugin cannot be used."""


def call_hooks(name: str, module: object, hooks: Collection[str]) -> Iterator[tuple[str, object]]:
    """Yield the name and the result of each hook that a plugin implements.

    A plugin leaves the manager before its hooks are called, so that its errors do not affect other plugins.

    Raises:
        Broken: it implements none of the hooks, or one that cannot be called.
    """
    manager = _manager()
    _check_marks(manager, module, hooks)
    try:
        manager.register(module, name)
        found = [(hook, hook.get_hookimpls()) for hook in manager.get_hookcallers(module) or ()]
        manager.unregister(name=name)
    except pluggy.PluginValidationError as error:
        _manager.cache_clear()  # some versions of pluggy register the plugin in part
        raise Broken(" ".join(str(error).split())) from error
    if not found:
        module_name = getattr(module, "__name__", type(module).__name__)
        raise Broken(f"{module_name} has no function that is marked with @hookimpl")
    for hook, implementations in found:
        if not hook.has_spec():
            raise Broken(f"{hook.name} is not a hook{did_you_mean(hook.name, (*HOOKS, CONFIGS, COMMANDS))}")
        if hook.name not in hooks:
            group = COMMANDS_GROUP if hook.name == COMMANDS else hookspecs.PROJECT
            raise Broken(f"{hook.name} belongs in a module with an entry point in the group {group}")
        for impl in implementations:
            yield hook.name, _call(hook.name, impl)


def _check_marks(manager: pluggy.PluginManager, module: object, hooks: Iterable[str]) -> None:
    """Raise for mistakes that pluggy ignores, or reports in terms that plugin authors do not know."""
    import inspect

    for hook in hooks:
        if (function := getattr(module, hook, None)) is None:
            continue
        if manager.parse_hookimpl_opts(module, hook) is None:
            raise Broken(f"{hook} is not marked with @hookimpl, so it would never be called")
        signature = inspect.signature(function)
        try:
            signature.bind()
        except TypeError:
            raise Broken(f"{hook}{signature} has a wrong signature: a hook takes no arguments") from None


def _call(hook: str, impl: pluggy.HookImpl) -> object:
    if impl.hookwrapper or impl.wrapper:
        raise Broken(f"{hook} is marked as a wrapper; a hook only returns what its plugin offers")
    try:
        return impl.function()
    except Exception as error:
        raise Broken(f"{hook}() raised {error_words(error)}") from error


def _distribution(entry: EntryPoint) -> tuple[str, str, str | None]:
    """Return the name and version of an entry point's distribution, and the requirement that is not met.

    Name and version are "?" if the metadata cannot be read.
    """
    if entry.dist is None:
        return ("?", "?", None)
    try:
        metadata = entry.dist.metadata  # this property parses the file at every access
        return (metadata["Name"] or "?", metadata["Version"] or "?", _unmet_requirement(metadata))
    except Exception:  # noqa: BLE001 - half-removed metadata of one plugin must not hide the others
        return ("?", "?", None)


def _unmet_requirement(metadata: PackageMetadata) -> str | None:
    """Return a message if this version of aisb-core does not meet the distribution's requirement."""
    for line in metadata.get_all("Requires-Dist") or ():
        match = None if "extra" in line else _CORE.match(line)
        for clause in map(str.strip, match[1].split(",") if match else ()):
            if not _holds(clause, __version__):
                return f"needs aisb-core{clause}, and {__version__} is installed: upgrade one of them"
    return None


def _holds(clause: str, version: str) -> bool:
    """Return whether a version meets one clause, such as `>=0.2`; suffixes such as `rc1` are ignored."""
    if (match := _CLAUSE.fullmatch(clause)) is None:
        return True
    operator, bound = match[1], [int(number) for number in match[2].split(".")]
    installed = [int(number) for number in version.split(".")]
    if operator == "~=":
        return installed >= bound and installed[: len(bound) - 1] == bound[:-1]
    if match[3]:  # as in ==0.2.*
        installed = installed[: len(bound)]
    return bool(_COMPARE[operator](installed, bound + [0] * (len(installed) - len(bound))))
