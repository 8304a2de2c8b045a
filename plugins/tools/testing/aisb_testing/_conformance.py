"""Contract suites for plugins, each called with one line in pytest.

    from aisb_testing import check_backend, check_plugin

    def test_the_plugin_keeps_the_contract():
        check_plugin("aisb_parrot")

    def test_the_backend_reads_what_services_send():
        check_backend(Parrot)

Both raise `AssertionError` with all problems, and return the names of the checks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from aisb import HttpBackend
from aisb_testing._cases import NONE_EXPECTED, CheckedCase, ExpectedFailures, require
from aisb_testing._entry_points import entry_modules, heavy_imports, plugin_entries

if TYPE_CHECKING:
    from aisb_engine import Component, DeclaredCommand, PluginInfo, Plugins
    from aisb_mock import Dialect


def check_plugin(
    target: ModuleType | str, *, expected_failures: ExpectedFailures = NONE_EXPECTED
) -> list[str]:
    """Check an installed plugin, given as its module or the name of its distribution.

    It must load, import nothing heavy to declare itself, have a help text for each component, option and
    command, and offer model and task files that fit its components: model files set parameters that their
    backends send. The class attributes of backends and reporters must hold values that aisb knows.

    Return the names of the checks.

    Raises:
        AssertionError: the plugin does not keep the contract; the message has a line for each problem.
    """
    name = target if isinstance(target, str) else target.__name__
    return require(f"plugin {name}", plugin_cases(name), expected_failures)


def plugin_cases(name: str) -> Iterator[CheckedCase]:
    """Yield the checks of an installed plugin, given by the name of its distribution or module.

    Raises:
        AssertionError: nothing of this name is installed.
    """
    from aisb_engine import Plugins

    entry_modules(name)  # reports an unknown name
    plugins = Plugins.load()
    entries, commands = plugin_entries(name, "aisb"), plugin_entries(name, "aisb.commands")
    yield from _command_cases(commands)
    for info in plugins.infos:
        if info.name not in entries:
            continue
        yield _loading_case(f"plugin {info.name}", info, entries[info.name])
        for component in plugins.components():
            if component.plugin == info.name:
                reason = "aisb plugins show prints what it is and what its options mean"
                named = f"{component.kind} {component.name}"
                yield CheckedCase(named, reason, tuple(_component(component)))
        for folder in info.configs:
            for file in sorted([*folder.glob("models/*.toml"), *folder.glob("tasks/*.toml")]):
                reason = "it has a summary, and sets what its component takes"
                yield CheckedCase(f"file {file.name}", reason, tuple(_file(file, plugins)))


def _loading_case(name: str, info: PluginInfo, module: str) -> CheckedCase:
    """Return whether a plugin loads, and is quick to import."""
    problems = []
    if info.state != "loaded":
        problems.append(f"{info.state}: {info.reason}")
    elif imported := heavy_imports([module]):
        problems.append(f"importing {module} imports {', '.join(imported)}")
    return CheckedCase(name, "every command loads every plugin: it loads, and quickly", tuple(problems))


def check_backend(
    factory: Callable[..., HttpBackend],
    *,
    dialect: Dialect | None = None,
    expected_failures: ExpectedFailures = NONE_EXPECTED,
    **options: Any,
) -> list[str]:
    """Check a backend over real sockets with every kind of stream and failure of services.

    The generation parameters that it declares must be those that it sends.

    `dialect` is the API of its service (a subclass of `aisb_mock.Dialect`); by default, it is found by the
    path of the backend's requests. `options` are passed to the factory with `url`. Call it from an ordinary
    test, not from a coroutine. Return the names of the cases that were tried.

    Raises:
        AssertionError: a case had another result; the message has the request and the reply.
    """
    import asyncio

    from aisb_testing._exchanges import run_exchanges

    cases = asyncio.run(run_exchanges(factory, dialect, options))
    return require("backend", cases, expected_failures)


def _command_cases(entries: Mapping[str, str]) -> Iterator[CheckedCase]:
    """Yield the checks of the commands that these entry points declare."""
    from aisb_engine import DeclaredCommands

    declared = DeclaredCommands()
    for info in declared.infos:
        if info.name in entries:
            yield _loading_case(f"commands of {info.name}", info, entries[info.name])
    for one in declared.all():
        if one.plugin in entries:
            reason = "it can be imported, and has a help text"
            yield CheckedCase(f"command {one.command.name}", reason, tuple(_command_problems(one)))


def _command_problems(one: DeclaredCommand) -> Iterator[str]:
    from aisb import PluginError

    try:
        command, _ = one.load(), one.run_options()
    except PluginError as error:
        yield str(error)
        return
    if not callable(getattr(command, "make_context", None)):
        yield f"{one.command.place} is not a click command"
    if not one.command.help or not getattr(command, "help", None):
        yield "it has no help text"


def _component(component: Component) -> list[str]:
    from aisb import PluginError
    from aisb_engine import factory_options as options
    from aisb_engine import factory_summary as summary

    wrong: list[str] = []
    try:
        if not summary(component.factory):
            wrong.append("it has no docstring, which is its help text")
        found = options(component.factory)
    except PluginError as error:
        return [*wrong, str(error)]
    wrong += _attributes(component.factory)
    return wrong + [
        f'the option {option.name} has no help text; write Annotated[…, "help"]'
        for option in found
        if not option.help
    ]


ONE_OF = {
    "prompt_form": ("chat", "text"),
    "stream_end": ("finish", "close", "final"),
    "stream_format": ("sse", "json"),
}
"""The allowed values of a backend's class attributes."""

KINDS_OF_RUN = {"accuracy", "performance", "several"}


def _attributes(factory: Callable[..., Any]) -> list[str]:
    """Return the problems of the class attributes of a backend or a reporter."""
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
    from aisb_engine import ENGINE_PARAMS, read_toml
    from aisb_engine import bind_options as bind

    try:
        table = read_toml(file)
        if not str(table.get("summary") or "").strip():
            return [f"{file} has no summary"]
        if file.parent.name == "models":
            factory = plugins.find("backend", str(table.get("backend"))).factory
            bind(factory, table.get("options") or {}, where=f"{file}: options")
            sent = getattr(factory, "params", "any")
            if sent != "any" and (unsent := sorted(table.get("params", {}).keys() - sent - ENGINE_PARAMS)):
                return [f"{file} sets {', '.join(unsent)}, which its backend does not send"]
    except AisbError as error:
        return [f"{file}: {error}"]
    return []
