"""The twelve rules of a plugin's quality, in three levels: what `aisb plugins quality` checks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from importlib.metadata import Distribution, distribution
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from aisb_engine import QUALITY_LEVELS as LEVELS
from aisb_engine import declared_quality
from aisb_testing._entry_points import entry_modules, heavy_imports, installed_entries
from aisb_testing._installed import checked_components, read_setup

if TYPE_CHECKING:
    from aisb_engine import Component, DeclaredCommand, PluginInfo, Plugins


class Plugged(NamedTuple):
    """One installed distribution with what it declares."""

    dist: Distribution
    modules: tuple[str, ...]
    infos: tuple[PluginInfo, ...]
    components: tuple[Component, ...]
    commands: tuple[DeclaredCommand, ...]
    light: frozenset[str]

    @property
    def name(self) -> str:
        """The name of the distribution."""
        return self.dist.name


class Rule(NamedTuple):
    """One rule: its level, its name, what it asks, and a function that yields the problems of a plugin."""

    level: str
    name: str
    asks: str
    problems: Callable[[Plugged], Iterable[str]]


class PluginQuality(NamedTuple):
    """The highest level whose rules a plugin keeps with those of the levels below, and its problems by rule.

    `declared` is the level that its keywords declare.
    """

    name: str
    level: str | None
    missing: dict[str, list[str]]
    declared: str | None = None

    @property
    def promises_too_much(self) -> bool:
        """Whether it declares a higher level than it reaches."""
        if self.declared is None:
            return False
        return self.level is None or LEVELS.index(self.declared) > LEVELS.index(self.level)


def _loads(plugged: Plugged) -> Iterator[str]:
    for info in plugged.infos:
        if info.state != "loaded":
            yield f"{info.name}: {info.state}: {info.reason}"


def _light(plugged: Plugged) -> Iterator[str]:
    for module in plugged.modules:
        if module not in plugged.light and (heavy := heavy_imports([module])):
            yield f"importing {module} imports {', '.join(heavy)}"


def _licence(plugged: Plugged) -> Iterator[str]:
    if not any(plugged.dist.metadata.json.get(key) for key in ("license_expression", "license")):
        yield "pyproject.toml has no license"


def _core_versions(plugged: Plugged) -> Iterator[str]:
    wanted = [need for need in plugged.dist.requires or [] if re.match(r"aisb(-core|-engine)?\b(?!-)", need)]
    if not wanted:
        yield "it requires neither aisb-core nor aisb-engine"
    for need in wanted:
        if "<" not in need:
            yield f"{need!r} has no upper limit: write a range such as aisb-core>=0.2,<0.3"


def _summary(plugged: Plugged) -> Iterator[str]:
    if not plugged.dist.metadata.json.get("summary"):
        yield "pyproject.toml has no description"


def _described(plugged: Plugged) -> Iterator[str]:
    from aisb_engine import factory_summary

    for one in plugged.components:
        if not factory_summary(one.factory):
            yield f"{one.kind} {one.name} has no docstring, which is its help text"
    for command in plugged.commands:
        if not command.command.help:
            yield f"command {command.command.name} has no help text"


def _options(plugged: Plugged) -> Iterator[str]:
    from aisb import PluginError
    from aisb_engine import factory_options

    for one in plugged.components:
        try:
            options = factory_options(one.factory)
        except PluginError as error:
            yield str(error)
            continue
        for option in options:
            if not option.help:
                yield f'the option {option.name} of {one.name} has no help text; write Annotated[…, "help"]'


def _sources(plugged: Plugged) -> Iterator[str]:
    from aisb_engine import read_toml

    for file in (file for info in plugged.infos for folder in info.configs for file in _tasks(folder)):
        table = read_toml(file)
        if absent := [key for key in ("source", "licence") if not table.get(key)]:
            yield f"the task {file.stem} has no {' and no '.join(absent)}"


def _tasks(folder: Path) -> list[Path]:
    return sorted(folder.glob("tasks/*.toml"))


def _typed(plugged: Plugged) -> Iterator[str]:
    for package in sorted({module.partition(".")[0] for module in plugged.modules}):
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            yield f"{package} is not a package, so it cannot have py.typed"
        elif not any((Path(folder) / "py.typed").is_file() for folder in spec.submodule_search_locations):
            yield f"{package} has no py.typed"


def _page(plugged: Plugged) -> Iterator[str]:
    if not str(plugged.dist.metadata.json.get("description") or "").strip():
        yield "pyproject.toml names no readme"


def _parameters(plugged: Plugged) -> Iterator[str]:
    from aisb import Backend

    for one in plugged.components:
        made = one.factory
        if one.kind != "backend" or not isinstance(made, type):
            continue
        if not any("params" in vars(base) for base in made.__mro__ if base is not Backend):
            yield f'the backend {one.name} declares no parameters: set params to their names, or to "any"'


def _kit(plugged: Plugged) -> Iterator[str]:
    setup = read_setup(plugged.name)
    with redirect_stdout(StringIO()):  # reporters print
        components = list(checked_components(plugged.name, setup))
    for component in components:
        for case in component.cases:
            name = f"{component.name}: {case.name}"
            if case.problems and name not in setup.expected_failures:
                yield name


KIT = "conformance kit"
RULES = (
    Rule("bronze", "loads", "it loads without an error", _loads),
    Rule("bronze", "light", "its declaration imports no heavy package", _light),
    Rule("bronze", "licence", "it names its licence", _licence),
    Rule("bronze", "core versions", "it requires a range of versions of aisb-core", _core_versions),
    Rule("silver", "summary", "it has a description of one line", _summary),
    Rule("silver", "described", "each component and command has a help text", _described),
    Rule("silver", "options", "each option has a help text", _options),
    Rule("silver", "sources", "each task names the source and the licence of its data", _sources),
    Rule("gold", "typed", "its package has py.typed", _typed),
    Rule("gold", "page", "it has a README", _page),
    Rule("gold", "parameters", "each backend declares the parameters that it sends", _parameters),
    Rule("gold", KIT, "it passes the conformance kit", _kit),
)


def installed_plugins() -> list[str]:
    """Return the names of the distributions with components or commands, sorted."""
    return sorted({entry.distribution for entry in installed_entries() if entry.distribution is not None})


def qualities(names: Sequence[str], plugins: Plugins, *, kit: bool) -> list[PluginQuality]:
    """Check several installed distributions as `plugin_quality` does, in less time.

    Raises:
        AssertionError: one of them is not installed.
    """
    # One process imports all modules: what imports nothing heavy together needs no process of its own.
    modules = frozenset(module for name in names for module in entry_modules(name).values())
    light = frozenset() if heavy_imports(sorted(modules)) else modules
    return [plugin_quality(name, plugins, kit=kit, light=light) for name in names]


def plugin_quality(
    name: str, plugins: Plugins, *, kit: bool, light: frozenset[str] = frozenset()
) -> PluginQuality:
    """Check one installed distribution against the rules; without `kit`, the conformance kit is not run.

    `light` are modules that are known to import nothing heavy.

    Raises:
        AssertionError: no such plugin is installed.
    """
    plugged = _plugged(name, plugins, light)
    rules = [rule for rule in RULES if kit or rule.name != KIT]
    missing = {rule.name: found for rule in rules if (found := list(rule.problems(plugged)))}
    failed = {rule.level for rule in rules if rule.name in missing}
    reached = None
    for level in LEVELS:
        if level in failed:
            break
        reached = level
    return PluginQuality(plugged.name, reached, missing, declared_quality(plugged.name))


def _plugged(name: str, plugins: Plugins, light: frozenset[str]) -> Plugged:
    from aisb_engine import DeclaredCommands

    entries = entry_modules(name)
    modules = set(entries.values())
    dists = {entry.distribution for entry in installed_entries()
             if entry.distribution is not None and entry.module in modules}  # fmt: skip
    dist = distribution(min(dists))
    declared = DeclaredCommands()
    infos = (*plugins.infos, *declared.infos)
    return Plugged(
        dist,
        tuple(sorted(modules)),
        tuple(info for info in infos if info.distribution == dist.name),
        tuple(one for one in plugins.components() if one.distribution == dist.name),
        tuple(one for one in declared.all() if one.distribution == dist.name),
        light,
    )
