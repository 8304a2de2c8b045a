"""`aisb plugins quality` finds what a plugin lacks, and gives the level that it reaches."""

import json
import os
import re
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from forked import run_forked
from unpacked import install

from aisb_cli.main import cli
from aisb_engine import QUALITY_LEVELS as LEVELS
from aisb_testing._quality import KIT, RULES, PluginQuality

ROOT = Path(__file__).resolve().parents[2]
PROJECTS = [*ROOT.glob("*/pyproject.toml"), *ROOT.glob("plugins/*/*/pyproject.toml")]
PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "aisb-heron"
version = "1"
{lines}
[project.entry-points.aisb]
heron = "aisb_heron"
[tool.hatch.build.targets.wheel]
packages = ["aisb_heron"]
"""
FULL = (
    'description = "Herons"', 'readme = "README.md"', 'license = "MIT"', 'dependencies = ["aisb-core>=0.2,<0.3"]',
)  # fmt: skip
MODULE = '''\
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated
from aisb import Backend, Chunk, Request, hookimpl
{imports}

@dataclass(kw_only=True, eq=False)
class Heron(Backend):
    """A heron that stands still."""

    {params}
    patience: {patience} = 1

    async def generate(self, request: Request) -> AsyncIterator[Chunk]:
        """Answer nothing."""
        yield Chunk("content", "…")

@hookimpl
def aisb_backends():
    """Give the heron."""
    return {{"heron": Heron}}

@hookimpl
def aisb_configs():
    """Give the folder of its task."""
    from importlib.resources import files
    return [files("aisb_heron")]
'''
TASK = 'summary = "x"\n{source}\n[dataset]\npath = "./a.jsonl"\n[prompt]\nuser = "{{question}}"\n'
RATE = """\
import json
from aisb_engine import Plugins
from aisb_testing._quality import qualities
print(json.dumps(qualities(["aisb-heron"], Plugins.load(), kit=False)[0]._asdict()))
"""
PARTS = {
    "imports": "", "params": "params = frozenset()", "patience": 'Annotated[int, "hours"]',
    "source": 'source = "s"\nlicence = "MIT"', "lines": FULL, "typed": True,
}  # fmt: skip


def quality_of(folder, **changes):
    """Write, install and rate a plugin that keeps every rule but those that the changes break."""
    parts = {**PARTS, **changes}
    package = folder / "aisb-heron" / "aisb_heron"
    (package / "tasks").mkdir(parents=True)
    (package / "__init__.py").write_text(MODULE.format(**parts), "utf-8")
    (package / "tasks/fish.toml").write_text(TASK.format(**parts), "utf-8")
    (package.parent / "README.md").write_text("# Heron\n", "utf-8")
    (package.parent / "pyproject.toml").write_text(PROJECT.format(lines="\n".join(parts["lines"])), "utf-8")
    if parts["typed"]:
        (package / "py.typed").touch()
    installed = install(folder / "installed", package.parent)
    (folder / "rate_heron.py").write_text(RATE)
    done = run_forked(
        [sys.executable, "-m", "rate_heron"], cwd=folder, env=environment(installed),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def environment(installed):
    return {**os.environ, "PYTHONPATH": str(installed), "AISB_BLOCK": "", "COLUMNS": "200"}


def without(word):
    return {"lines": [line for line in FULL if not line.startswith(word)]}


def test_a_plugin_that_keeps_every_rule_is_gold(tmp_path):
    assert quality_of(tmp_path) == {"name": "aisb-heron", "level": "gold", "missing": {}, "declared": None}


@pytest.mark.parametrize(
    ("changes", "rule", "problem", "level"),
    [
        ({"imports": "raise ValueError('no fish')"}, "loads", "no fish", None),
        ({"imports": "import numpy"}, "light", "importing aisb_heron imports numpy", None),
        (without("license"), "licence", "pyproject.toml has no license", None),
        (
            {"lines": [*FULL[:3], 'dependencies = ["aisb-core>=0.2"]']},
            "core versions",
            "no upper limit",
            None,
        ),
        (without("description"), "summary", "pyproject.toml has no description", "bronze"),
        ({"patience": "int"}, "options", "the option patience of heron has no help text", "bronze"),
        ({"source": 'source = "s"'}, "sources", "the task fish has no licence", "bronze"),
        ({"typed": False}, "typed", "aisb_heron has no py.typed", "silver"),
        (without("readme"), "page", "pyproject.toml names no readme", "silver"),
        ({"params": ""}, "parameters", "the backend heron declares no parameters", "silver"),
    ],
)
def test_each_rule_names_what_is_missing(tmp_path, changes, rule, problem, level):
    found = quality_of(tmp_path, **changes)
    assert problem in " ".join(found["missing"][rule])
    assert found["level"] == level


def test_every_distribution_of_this_repository_keeps_the_rules_of_gold():
    done = CliRunner().invoke(cli, ["plugins", "quality", "--json"])
    found = {one["name"]: one for one in json.loads(done.stdout)}
    projects = [tomllib.loads(file.read_text("utf-8"))["project"] for file in PROJECTS]
    ours = [one for one in projects if {"aisb", "aisb.commands"} & set(one.get("entry-points", ()))]
    assert len(ours) > 40
    for project in ours:
        assert project.get("keywords") == ["aisb-quality-gold"], project["name"]
        if project["name"] in found:  # some need packages that not every machine has
            assert found[project["name"]]["level"] == "gold", found[project["name"]]


def test_a_plugin_that_declares_more_than_it_reaches_is_told_so(tmp_path):
    lines = [*FULL, 'keywords = ["herons", "aisb-quality-gold"]']
    found = quality_of(tmp_path, lines=lines, typed=False)
    assert (found["level"], found["declared"]) == ("silver", "gold")
    done = run_forked(
        [sys.executable, "-m", "aisb_cli.main", "plugins", "quality"],
        env=environment(tmp_path / "installed"), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    said = "declared: its keyword aisb-quality-gold promises more than it reaches; change it"
    assert said in done.stdout


@pytest.mark.parametrize(
    ("level", "declared", "expected"),
    [("gold", "gold", False), ("gold", "silver", False), ("silver", "gold", True), (None, "bronze", True),
     (None, None, False)],
)  # fmt: skip
def test_a_declared_level_is_compared_with_the_one_that_is_reached(level, declared, expected):
    assert PluginQuality("aisb-heron", level, {}, declared).promises_too_much is expected


def test_a_named_plugin_also_takes_the_conformance_kit():
    ended = run_forked(
        [sys.executable, "-m", "aisb_cli.main", "plugins", "quality", "aisb-reporter-summary"],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (0, "gold    aisb-reporter-summary\n")


def test_a_plugin_that_is_not_installed_is_an_error():
    done = CliRunner().invoke(cli, ["plugins", "quality", "aisb-unicorn"])
    assert done.exit_code != 0
    assert "no installed distribution or module 'aisb-unicorn'" in str(done.exception) + done.output


def test_the_page_lists_the_rules_as_the_command_does():
    page = (ROOT / "docs/plugins/quality.md").read_text("utf-8")
    rows = re.findall(r"^\| (\w+) \| ([\w ]+) \| (.+) \|$", page, re.MULTILINE)[1:]
    assert rows == [(rule.level, rule.name, rule.asks) for rule in RULES]
    assert len(RULES) == 12
    assert {rule.level for rule in RULES} == set(LEVELS)
    assert RULES[-1].name == KIT
