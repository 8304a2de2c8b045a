"""Contract suites for plugins: what an author runs with one line in pytest.

    from aisb_testing import check_backend, check_plugin

    def test_the_plugin_keeps_the_contract():
        check_plugin("aisb_parrot")

    def test_the_backend_reads_what_services_send():
        check_backend(Parrot)

Both raise `AssertionError` with everything that is wrong, and return what they looked at.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from aisb import HttpBackend

if TYPE_CHECKING:
    from aisb_engine import Component, Plugins
    from aisb_mock import Dialect

HEAVY = ("torch", "transformers", "pydantic", "httpx", "numpy", "pandas", "sympy", "plotly")
"""What declaring a plugin must not import: every command loads every plugin."""


def check_plugin(target: ModuleType | str) -> list[str]:
    """Check an installed plugin, given as its module or the name of its distribution.

    It must load, import nothing heavy to declare itself, have a help text for each component, option and
    command, and offer model and task files that fit its components: model files set parameters that their
    backends send. The class attributes of backends and reporters must hold values that aisb knows.

    Return what was checked, a line each.

    Raises:
        AssertionError: the plugin does not keep the contract, with a line for all that is wrong.
    """
    from aisb_engine import Plugins

    name = target if isinstance(target, str) else target.__name__
    plugins = Plugins.load()
    entries, commands = _entries(name, "aisb"), _entries(name, "aisb.commands")
    if not entries and not commands:
        raise AssertionError(
            f"no installed distribution or module {name!r} has an entry point in the group aisb"
            " or aisb.commands"
        )
    looked, wrong = _check_commands(commands)
    for info in plugins.infos:
        if info.name not in entries:
            continue
        looked.append(f"plugin {info.name}")
        if info.state != "loaded":
            wrong.append(f"plugin {info.name} {info.state}: {info.reason}")
        if imported := _heavy_imports(entries[info.name]):
            wrong.append(f"importing {entries[info.name]} imports {', '.join(imported)}")
        for component in plugins.components():
            if component.plugin == info.name:
                looked.append(f"{component.kind} {component.name}")
                wrong += _component(component)
        for folder in info.configs:
            for file in sorted([*folder.glob("models/*.toml"), *folder.glob("tasks/*.toml")]):
                looked.append(f"file {file.name}")
                wrong += _file(file, plugins)
    if wrong:
        raise AssertionError("\n".join([f"{name} does not keep the contract:", *wrong]))
    return looked


def check_backend(
    factory: Callable[..., HttpBackend], *, dialect: Dialect | None = None, **options: Any
) -> list[str]:
    """Check a backend over real sockets: every kind of stream that services send, and every failure.

    The generation parameters that it declares must be those that it sends.

    `dialect` says how its service speaks (a subclass of `aisb_mock.Dialect`); left out, it is
    found by the path that the backend asks. `options` are given to the factory beside `url`. Call it from an
    ordinary test, not from a coroutine. Return the names of the cases that were tried.

    Raises:
        AssertionError: a case came out otherwise, with what was asked and what came back.
    """
    import asyncio

    from aisb_testing._exchanges import run_cases

    return asyncio.run(run_cases(factory, dialect, options))


def _check_commands(entries: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return what was looked at among the commands that these entry points declare, and what is wrong."""
    from aisb import PluginError
    from aisb_engine import DeclaredCommands

    looked: list[str] = []
    wrong: list[str] = []
    declared = DeclaredCommands()
    for info in declared.infos:
        if info.name in entries:
            looked.append(f"commands of {info.name}")
            if info.state != "loaded":
                wrong.append(f"commands of {info.name} {info.state}: {info.reason}")
            if imported := _heavy_imports(entries[info.name]):
                wrong.append(f"importing {entries[info.name]} imports {', '.join(imported)}")
    for one in declared.all():
        if one.plugin in entries:
            looked.append(f"command {one.command.name}")
            try:
                command, _ = one.load(), one.run_options()
            except PluginError as error:
                wrong.append(str(error))
                continue
            if not callable(getattr(command, "make_context", None)):
                wrong.append(f"command {one.command.name}: {one.command.place} is no click command")
            if not one.command.help or not getattr(command, "help", None):
                wrong.append(f"command {one.command.name} has no help text")
    return looked, wrong


def _entries(name: str, group: str) -> dict[str, str]:
    """Return entry-point names and modules of a distribution, or of the plugin that is this module."""
    from importlib.metadata import entry_points

    return {
        entry.name: entry.module
        for entry in entry_points(group=group)
        if name in (entry.module, entry.module.partition(".")[0])
        or (entry.dist is not None and entry.dist.name == name)
    }


def _heavy_imports(module: str) -> list[str]:
    import subprocess

    code = f"import sys, {module}; print(*(set({HEAVY!r}) & sys.modules.keys()))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603 - this very Python, and a module that is installed
    if ran.returncode:
        return [f"(it fails: {ran.stderr.strip().rpartition(chr(10))[2]})"]
    return sorted(ran.stdout.split())


def _component(component: Component) -> list[str]:
    from aisb import PluginError
    from aisb_engine import factory_options as options
    from aisb_engine import factory_summary as summary

    where = f"{component.kind} {component.name}"
    wrong: list[str] = []
    try:
        if not summary(component.factory):
            wrong.append(f"{where} has no docstring, which is its help text")
        found = options(component.factory)
    except PluginError as error:
        return [*wrong, f"{where}: {error}"]
    wrong += [f"{where}: {line}" for line in _attributes(component.factory)]
    return wrong + [
        f'{where}: the option {option.name} has no help text; write Annotated[…, "help"]'
        for option in found
        if not option.help
    ]


ONE_OF = {
    "takes": ("chat", "text"),
    "stream_end": ("finish", "close", "final"),
    "stream_format": ("sse", "json"),
}
"""Which words the class attributes of a backend may hold."""

KINDS_OF_RUN = {"accuracy", "performance"}


def _attributes(factory: Callable[..., Any]) -> list[str]:
    """Return what is wrong with the class attributes that a backend or a reporter declares."""
    wrong = [
        f"{name} is {getattr(factory, name)!r}; it must be one of {', '.join(map(repr, words))}"
        for name, words in ONE_OF.items()
        if getattr(factory, name, words[0]) not in words
    ]
    params = getattr(factory, "params", "any")
    if params != "any" and not isinstance(params, frozenset | set):
        wrong.append(f'params is {params!r}; it must be a frozenset of names, or "any"')
    kinds: Collection[str] = getattr(factory, "default_for", ())
    if isinstance(kinds, str) or not KINDS_OF_RUN.issuperset(kinds):
        wrong.append(f"default_for is {kinds!r}; it must be a frozenset of {sorted(KINDS_OF_RUN)}, or empty")
    return wrong


def _file(file: Path, plugins: Plugins) -> list[str]:
    from aisb import AisbError
    from aisb_engine import NEVER_SENT, read_toml
    from aisb_engine import bind_options as bind

    try:
        table = read_toml(file)
        if not str(table.get("summary") or "").strip():
            return [f"{file} has no summary"]
        if file.parent.name == "models":
            factory = plugins.find("backend", str(table.get("backend"))).factory
            bind(factory, table.get("options") or {}, where=f"{file}: options")
            sent = getattr(factory, "params", "any")
            if sent != "any" and (unsent := sorted(table.get("params", {}).keys() - sent - NEVER_SENT)):
                return [f"{file} sets {', '.join(unsent)}, which its backend does not send"]
    except AisbError as error:
        return [f"{file}: {error}"]
    return []
