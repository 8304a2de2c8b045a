"""Check an installed plugin completely: its declarations, and each component with the suite of its kind.

Some components need more for a check: a dataset needs its files, an importer a file of the other tool, and a
backend with its own API needs a dialect that simulates its service. The plugin's package has these in a
folder `conformance`, with a file `conformance.toml`:

    [backend.parrot]
    dialect = "aisb_parrot.conformance.dialect:Parrot"
    [dataset.dice]
    options = { count = 3 }
    [dataset.letters]
    files = ["letters.jsonl"]
    [evaluator.close-to]
    target = "7"
    right = "8"
    [evaluator.answer-key]
    sample = { keys = ["A", "C"] }
    [evaluator.most-likely]
    skip = "it compares log-likelihoods, and reads no answer"
    [environment.shop]
    sample = { goods = ["tea"] }
    [importer.sheet]
    file = "sheet.csv"
    foreign = "other.csv"
    [expected_failures]
    "backend parrot: 4 tokens a chunk" = "the service sends each word by itself"
"""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aisb import (
    AisbError,
    DataError,
    DataFile,
    DataFiles,
    Evaluator,
    HttpBackend,
    Prediction,
    Request,
    UsageError,
)
from aisb_testing._cases import CheckedCase, exception_case, require
from aisb_testing._conformance import plugin_cases
from aisb_testing._entry_points import entry_modules
from aisb_testing._environments import environment_cases
from aisb_testing._kinds import (
    NOTHING,
    command_cases,
    dataset_cases,
    evaluator_cases,
    importer_cases,
    postprocessor_cases,
    reporter_cases,
)

if TYPE_CHECKING:
    from aisb_engine import Component, DeclaredCommand, Plugins

FOLDER, FILE = "conformance", "conformance.toml"
SECTIONS = (
    *("backend", "dataset", "environment", "evaluator"),
    *("importer", "launcher", "postprocessor", "reporter"),
)
KEYS: Mapping[str, tuple[type, str]] = {
    **dict.fromkeys(("options", "sample"), (dict, "a table")),
    "files": (list, "a list of names"),
    "target": (object, "a value"),
    **dict.fromkeys(("dialect", "right", "file", "foreign", "skip"), (str, "a text")),
}
"""The keys of a component's table: the type of each value, and how a message calls it."""


class CheckedComponent(NamedTuple):
    """A component and its checks, or in `skipped` the reason why it cannot be checked."""

    name: str
    cases: tuple[CheckedCase, ...] = ()
    skipped: str = ""


class Setup(NamedTuple):
    """The settings of a plugin's components for the checks: the tables of its `conformance.toml`."""

    folder: Path
    tables: Mapping[str, Mapping[str, Any]]
    expected_failures: Mapping[str, str]

    def of(self, component: Component) -> Mapping[str, Any]:
        """Return the table of a component; it may be empty."""
        table: Mapping[str, Any] = self.tables.get(component.kind, {}).get(component.name, {})
        return table

    def path(self, name: str) -> Path:
        """Return the path of a file next to the tables.

        Raises:
            DataError: there is no such file.
        """
        path = self.folder / name
        if not path.is_file():
            raise DataError(f"{path}: {FILE} names this file, and it is not there")
        return path


def check_installed(name: str) -> list[str]:
    """Check an installed plugin, given as its module or distribution, with all of its components.

    Return the names of the checks, each with its component before it.

    Raises:
        AssertionError: the message has all problems.
        AisbError: the plugin's `conformance.toml` cannot be read.
    """
    setup = read_setup(name)
    cases = [
        case._replace(name=f"{component.name}: {case.name}")
        for component in checked_components(name, setup)
        for case in component.cases
    ]
    return require(f"plugin {name}", cases, setup.expected_failures)


def checked_components(name: str, setup: Setup) -> Iterator[CheckedComponent]:
    """Check a plugin's declarations, then each of its components, and yield the results.

    Raises:
        AssertionError: nothing of this name is installed.
    """
    from aisb_engine import DeclaredCommands, Plugins

    yield CheckedComponent("declarations", tuple(plugin_cases(name)))
    plugins, entries = Plugins.load(), entry_modules(name)
    for component in plugins.components():
        if component.plugin in entries:
            yield _checked(component, plugins, setup)
    for one in DeclaredCommands().all():
        if one.plugin in entries:
            yield _checked_command(one)


def _checked_command(declared: DeclaredCommand) -> CheckedComponent:
    name = f"command {declared.command.name}"
    cases: list[CheckedCase] = []
    try:
        cases.extend(command_cases(declared.load()))
    except AisbError as error:
        cases.append(CheckedCase("loads", "it can be called", (str(error),)))
    except Exception as error:  # noqa: BLE001 - whatever a command raises is a finding
        cases.append(exception_case(error))
    return CheckedComponent(name, tuple(cases))


def read_setup(name: str) -> Setup:
    """Read the `conformance.toml` of a plugin; without one, everything has its defaults.

    Raises:
        UsageError: it is not TOML, or has an unknown table or key.
    """
    for module in entry_modules(name).values():
        folder = _package_folder(module) / FOLDER
        file = folder / FILE
        if not file.is_file():
            continue
        try:
            table = tomllib.loads(file.read_text("utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{file} is not TOML: {error}") from error
        expected = table.pop("expected_failures", {})
        for kind, components in table.items():
            _check_keys(file, kind, components)
        return Setup(folder, table, expected)
    return Setup(Path(), {}, {})


def _package_folder(module: str) -> Path:
    """Return the folder of a module's package without importing it: it may be what does not load."""
    spec = find_spec(module.partition(".")[0])
    locations = spec.submodule_search_locations if spec else None
    return Path(next(iter(locations), "")) if locations else Path()


def _check_keys(file: Path, kind: str, components: Any) -> None:
    if kind not in SECTIONS or not isinstance(components, Mapping):
        raise UsageError(f"{file}: [{kind}] is unknown; tables are {', '.join(SECTIONS)}.NAME")
    for name, table in components.items():
        if unknown := sorted(set(table) - set(KEYS)):
            known = ", ".join(sorted(KEYS))
            raise UsageError(f"{file}: {kind}.{name}.{unknown[0]} is unknown; keys are {known}")
        for key, value in table.items():
            expected, words = KEYS[key]
            if not isinstance(value, expected):
                raise UsageError(f"{file}: {kind}.{name}.{key} is {value!r}; it must be {words}")


class _Skipped(Exception):  # noqa: N818 - it is not an error
    """The component cannot be checked; the message has the reason."""


def _checked(component: Component, plugins: Plugins, setup: Setup) -> CheckedComponent:
    name = f"{component.kind} {component.name}"
    checks: Mapping[str, Callable[..., Iterator[CheckedCase]]] = {
        "backend": _backend,
        "dataset": _dataset,
        "environment": _environment,
        "evaluator": _evaluator,
        "importer": _importer,
        "launcher": _launcher,
        "postprocessor": lambda c, p, s: postprocessor_cases(_made(c, p, s)),
        "reporter": lambda c, p, s: reporter_cases(_made(c, p, s)),
    }
    if reason := setup.of(component).get("skip"):
        return CheckedComponent(name, skipped=reason)
    cases: list[CheckedCase] = []
    try:
        cases.extend(checks[component.kind](component, plugins, setup))
    except _Skipped as error:
        return CheckedComponent(name, skipped=str(error))
    except AisbError as error:
        cases.append(CheckedCase("can be made", "a user can name it", (str(error),)))
    except Exception as error:  # noqa: BLE001 - whatever a component raises is a finding
        cases.append(exception_case(error))
    return CheckedComponent(name, tuple(cases))


def _made(component: Component, plugins: Plugins, setup: Setup, **context: Any) -> Any:
    """Create a component with its options from `conformance.toml`."""
    from aisb_engine import factory_options

    options = setup.of(component).get("options", {})
    for option in factory_options(component.factory):
        if option.required and option.name not in options:
            raise _Skipped(
                f"its option {option.name} has no default: write [{component.kind}.{component.name}] "
                f"options = {{ {option.name} = … }} into {FOLDER}/{FILE} of the plugin's package"
            )
    return plugins.make(component.kind, component.name, options, where="options", **context)


def _backend(component: Component, plugins: Plugins, setup: Setup) -> Iterator[CheckedCase]:
    from aisb_testing._exchanges import NoDialectError, run_exchanges

    table = setup.of(component)
    factory = component.factory
    if not (isinstance(factory, type) and issubclass(factory, HttpBackend)):
        raise _Skipped("it is not an HTTP backend, and there is no suite for others")
    _made(component, plugins, setup)  # reports a missing option
    dialect = _dialect(table["dialect"]) if "dialect" in table else None
    try:
        yield from asyncio.run(run_exchanges(factory, dialect, table.get("options", {})))
    except NoDialectError as error:
        text = f'write [backend.{component.name}] dialect = "package.module:Class" into {FOLDER}/{FILE}'
        raise _Skipped(f"{error} ({text})") from error


def _dialect(place: str) -> Any:
    module, _, name = place.partition(":")
    try:
        return getattr(import_module(module), name)()
    except (ImportError, AttributeError) as error:
        raise UsageError(f"{FILE}: the dialect {place!r} cannot be imported: {error}") from error


def _dataset(component: Component, plugins: Plugins, setup: Setup) -> Iterator[CheckedCase]:
    from aisb_engine import reads_files

    names = setup.of(component).get("files", ())
    if reads_files(plugins, component.name) and not names:
        raise _Skipped(
            f'it reads files: write [dataset.{component.name}] files = ["NAME"] into {FOLDER}/{FILE}, '
            "and put a small file next to it"
        )

    paths = [setup.path(name) for name in names]

    def rows() -> Any:
        given = DataFiles([DataFile(path) for path in paths]) if paths else None
        return _made(component, plugins, setup, files=given)

    yield from dataset_cases(rows)


def _environment(component: Component, plugins: Plugins, setup: Setup) -> Iterator[CheckedCase]:
    table = setup.of(component)
    sample = replace(NOTHING, fields={**NOTHING.fields, **table.get("sample", {})})
    yield from environment_cases(_made(component, plugins, setup, ask=_answer_a), sample)


def _evaluator(component: Component, plugins: Plugins, setup: Setup) -> Iterator[CheckedCase]:
    table = setup.of(component)
    evaluator: Evaluator = _made(component, plugins, setup, ask=_answer_a)
    sample = replace(
        NOTHING,
        fields={**NOTHING.fields, **table.get("sample", {})},
        target=table.get("target", NOTHING.target),
    )
    for case in evaluator_cases(evaluator, sample, table.get("right")):
        if case.name != "the right answer" or {"target", "right"} & table.keys():
            yield case


async def _answer_a(request: Request) -> Prediction:
    """Answer in place of a model that a component uses."""
    return Prediction(request.sample_id, text="A")


def _importer(component: Component, plugins: Plugins, setup: Setup) -> Iterator[CheckedCase]:
    table = setup.of(component)
    if not {"file", "foreign"} <= table.keys():
        raise _Skipped(
            f'write [importer.{component.name}] file = "…" and foreign = "…" into {FOLDER}/{FILE}: '
            "a file that it reads, and one of another tool"
        )
    importer = _made(component, plugins, setup)
    yield from importer_cases(importer, setup.path(table["file"]), setup.path(table["foreign"]))


def _launcher(component: Component, plugins: Plugins, setup: Setup) -> Iterator[CheckedCase]:
    from aisb_testing._launching import launcher_cases

    _made(component, plugins, setup)
    yield from launcher_cases(component.factory, setup.of(component).get("options", {}))
