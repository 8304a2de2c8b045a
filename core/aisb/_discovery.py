"""Find installed plugins by their entry points and call their hooks; a broken one leaves the others alone."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, PackageMetadata, entry_points
from operator import eq, ge, gt, le, lt, ne
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Literal, TypeAlias

import pluggy

from aisb import __version__
from aisb import _hookspecs as hookspecs
from aisb._errors import did_you_mean, error_words

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
