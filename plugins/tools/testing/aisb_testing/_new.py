"""`aisb plugins new`: write a distribution with a component of each kind that is asked for, and its tests."""

from __future__ import annotations

import keyword
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import NamedTuple

import click

from aisb import RunError, UsageError

PLUGIN_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
TEMPLATES = files("aisb_testing") / "templates"


class SkeletonKind(NamedTuple):
    """The files and lines for one kind of component.

    `hook` and `place` declare it: the component is `place` in the module of its kind. `setup` is its part of
    `conformance.toml`. `imports` are the lines that its tests need.
    """

    hook: str
    place: str
    setup: str = ""
    imports: str = ""


SKELETONS: Mapping[str, SkeletonKind] = {
    "backend": SkeletonKind(
        "aisb_backends",
        "$class_name",
        '[backend.$name]\ndialect = "$package.conformance.dialect:ServiceDialect"\n',
        "from aisb import Request\nfrom $package.backend import $class_name as $backend_class\n",
    ),
    "dataset": SkeletonKind(
        "aisb_datasets", "rows", "[dataset.$name]\noptions = { count = 3 }\n",
        "from $package.dataset import rows\n",
    ),
    "postprocessor": SkeletonKind(
        "aisb_postprocessors", "last_word", "",
        "from aisb import Sample\nfrom $package.postprocessor import last_word\n",
    ),
    "evaluator": SkeletonKind(
        "aisb_evaluators", "$class_name", '[evaluator.$name]\ntarget = "42"\nright = "42.0"\n',
        "from aisb import Sample\nfrom $package.evaluator import $class_name as $evaluator_class\n",
    ),
    "environment": SkeletonKind(
        "aisb_environments", "environment", "[environment.$name]\nsample = { number = 7 }\n",
        "import asyncio\nfrom aisb import Prediction\nfrom aisb import Sample\n"
        "from $package.environment import environment\n",
    ),
    "reporter": SkeletonKind(
        "aisb_reporters", "$class_name", "",
        "from aisb import FinishedRun\nfrom $package.reporter import $class_name as $reporter_class\n",
    ),
    "importer": SkeletonKind(
        "aisb_importers", "$class_name", '[importer.$name]\nfile = "sheet.csv"\nforeign = "other.csv"\n',
        "import pytest\nfrom aisb import DataError\n"
        "from $package.importer import $class_name as $importer_class\n",
    ),
    "launcher": SkeletonKind("aisb_launchers", "$class_name"),
    "command": SkeletonKind(
        "", "", "",
        "from click.testing import CliRunner\n"
        "from $package.command import $identifier as $command_function\n",
    ),
}  # fmt: skip

EXAMPLE_FILES = {
    "importer": {
        "sheet.csv": "question,answer,reply\n1 + 1 =,2,It is 2\n",
        "other.csv": "name,price\ntea,3\n",
    }
}
"""Files next to `conformance.toml`."""


@click.command()
@click.argument("name")
@click.option(
    "--kind", "kinds", multiple=True, required=True, type=click.Choice(sorted(SKELETONS)), metavar="KIND",
    help=f"Kind of component to write: {', '.join(sorted(SKELETONS))}. Repeatable.",
)  # fmt: skip
@click.option(
    "--into", "folder", default=".", show_default=True,
    type=click.Path(path_type=Path, file_okay=False), help="Folder in which the distribution is created.",
)  # fmt: skip
def new(name: str, kinds: tuple[str, ...], folder: Path) -> None:
    """Write the distribution aisb-NAME, a plugin that passes its own tests.

    \b
      aisb plugins new parrot --kind backend
      pip install -e ./aisb-parrot
      pytest aisb-parrot
    """  # noqa: D301 - \b is for click
    root = write_plugin(name, list(dict.fromkeys(kinds)), folder)
    click.echo(f"{root}: a plugin with {', '.join(dict.fromkeys(kinds))}")
    for step in (f"pip install -e {root}", f"aisb plugins check {root.name}", f"pytest {root}"):
        click.echo(f"  {step}")


def write_plugin(name: str, kinds: Sequence[str], folder: Path) -> Path:
    """Write a distribution with one component of each kind, and return its folder.

    Raises:
        UsageError: the name is not valid for a distribution, or the folder exists.
        RunError: it cannot be written.
    """
    identifier = name.replace("-", "_")
    if not PLUGIN_NAME.fullmatch(name) or keyword.iskeyword(identifier):
        raise UsageError(f"{name!r} cannot be a plugin's name; write lower-case letters, digits and dashes")
    if name.startswith("aisb-"):
        raise UsageError(f"the prefix aisb- is added automatically; write {name.removeprefix('aisb-')}")
    root = folder / f"aisb-{name}"
    if root.exists():
        raise UsageError(f"{root} already exists; choose another name, or another folder with --into")
    for path, text in _contents(name, identifier, kinds).items():
        try:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
        except OSError as error:
            raise RunError(f"{root / path} cannot be written: {error.strerror}") from error
    return root


def _contents(name: str, identifier: str, kinds: Sequence[str]) -> dict[str, str]:
    """Return the text of each file by its path in the distribution."""
    class_name = "".join(part.capitalize() for part in name.split("-"))
    values = {
        "name": name,
        "identifier": identifier,
        "class_name": class_name,
        "package": f"aisb_{identifier}",
        "distribution": f"aisb-{name}",
        "backend_class": "Backend",
        "evaluator_class": "Evaluator",
        "reporter_class": "Reporter",
        "importer_class": "Importer",
        "command_function": "command",
    }

    def fill(text: str) -> str:
        return Template(text).substitute(values)

    def template(file: str) -> str:
        return fill((TEMPLATES / file).read_text("utf-8"))

    package = values["package"]
    components = [kind for kind in kinds if SKELETONS[kind].hook]
    contents = {
        "pyproject.toml": _pyproject(values, kinds),
        "README.md": _readme(values, kinds),
        f"{package}/__init__.py": _hooks(values, components, fill),
        f"tests/test_{identifier}.py": _tests(kinds, values, template),
    }
    for kind in kinds:
        contents[f"{package}/{kind}.py"] = template(f"{kind}.py.txt")
        for file, text in EXAMPLE_FILES.get(kind, {}).items():
            contents[f"{package}/conformance/{file}"] = text
    if "backend" in kinds:
        contents[f"{package}/conformance/__init__.py"] = ""
        contents[f"{package}/conformance/dialect.py"] = template("dialect.py.txt")
    if "dataset" in kinds:
        contents[f"{package}/tasks/{identifier}.toml"] = template("task.toml.txt")
    if "command" in kinds:
        contents[f"{package}/commands.py"] = template("commands.py.txt")
    if setup := "\n".join(fill(SKELETONS[kind].setup) for kind in kinds if SKELETONS[kind].setup):
        contents[f"{package}/conformance/conformance.toml"] = setup
    return contents


def _pyproject(values: Mapping[str, str], kinds: Sequence[str]) -> str:
    dependencies = ['"aisb-core>=0.2,<0.3"', *(['"click>=8.1"'] if "command" in kinds else [])]
    entries = ""
    if any(SKELETONS[kind].hook for kind in kinds):
        entries += f'\n[project.entry-points.aisb]\n{values["name"]} = "{values["package"]}"\n'
    if "command" in kinds:
        entries += (
            f'\n[project.entry-points."aisb.commands"]\n{values["name"]} = "{values["package"]}.commands"\n'
        )
    return f"""[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{values["distribution"]}"
version = "0.1.0"
description = "A plugin of aisb"
readme = "README.md"
requires-python = ">=3.11"
dependencies = [{", ".join(dependencies)}]

[project.optional-dependencies]
test = ["aisb-testing>=0.2,<0.3"]
{entries}
[tool.hatch.build.targets.wheel]
packages = ["{values["package"]}"]
"""


def _readme(values: Mapping[str, str], kinds: Sequence[str]) -> str:
    return f"""# {values["distribution"]}

A plugin of aisb: {", ".join(kinds)} `{values["name"]}`.

    pip install -e .
    aisb plugins show {values["name"]}
    aisb plugins check {values["distribution"]}
    pytest
"""


def _hooks(values: Mapping[str, str], components: Sequence[str], fill: Callable[[str], str]) -> str:
    parts = [f'"""The hooks of {values["distribution"]}. Every command of aisb imports this module."""\n']
    if components:
        resources = "from importlib.resources import files\n\n" if "dataset" in components else ""
        parts.append(f"\n{resources}from aisb import hookimpl\n")
    for kind in components:
        place = fill(f"$package.{kind}:{SKELETONS[kind].place}")
        parts.append(
            f'\n\n@hookimpl\ndef {SKELETONS[kind].hook}():\n    return {{"{values["name"]}": "{place}"}}\n'
        )
    if "dataset" in components:
        parts.append(f'\n\n@hookimpl\ndef aisb_configs():\n    return [files("{values["package"]}")]\n')
    return "".join(parts)


def _tests(kinds: Sequence[str], values: Mapping[str, str], template: Callable[[str], str]) -> str:
    lines = [
        line for kind in kinds for line in Template(SKELETONS[kind].imports).substitute(values).splitlines()
    ]
    head = Template((TEMPLATES / "test_parts" / "head.py.txt").read_text("utf-8"))
    text = head.substitute(values, imports=_merged([*lines, "from aisb_testing import check_installed"]))
    bodies = [kind for kind in kinds if (TEMPLATES / "test_parts" / f"{kind}.py.txt").is_file()]
    return text + "".join(template(f"test_parts/{kind}.py.txt") for kind in bodies)


def _merged(lines: Iterable[str]) -> str:
    """Return import lines with one line for each module, sorted, Python's own modules first."""
    plain, named = set(), defaultdict[str, set[str]](set)
    for line in lines:
        module, is_named, names = line.removeprefix("from ").partition(" import ")
        if is_named:
            named[module].add(names)
        else:
            plain.add(line)
    froms = [f"from {module} import {', '.join(sorted(named[module]))}" for module in sorted(named)]
    merged = [*sorted(plain), *froms]
    own = [line for line in merged if line.split()[1].partition(".")[0] in sys.stdlib_module_names]
    parts = (own, [line for line in merged if line not in own])
    return "\n".join("".join(f"{line}\n" for line in part) for part in parts if part)
