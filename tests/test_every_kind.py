"""A third party's plugin has a component of every kind, needs aisb-core alone, and works in the command."""

import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from forked import run_forked
from unpacked import install

from aisb_testing import (
    check_backend,
    check_command,
    check_dataset,
    check_environment,
    check_evaluator,
    check_importer,
    check_launcher,
    check_plugin,
    check_postprocessor,
    check_reporter,
)

ROOT = Path(__file__).parents[1]
PLUGIN = ROOT / "tests" / "plugins" / "every-kind"
TASK = ("--models", "every_kind_adder", "--datasets", "every_kind_sums")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The plugin, installed in a folder of its own."""
    return install(tmp_path_factory.mktemp("installed"), PLUGIN)


@pytest.fixture(scope="module")
def plugin(installed):
    """The plugin, in this process and in those that it starts."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(installed)
    sys.path.insert(0, str(installed))
    yield installed
    sys.path.remove(str(installed))
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


def aisb(installed, cwd, *words):
    return run_forked(
        [sys.executable, "-m", "aisb_cli.main", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(installed), "NO_COLOR": "1"},
    )


def worked(installed, cwd, *words):
    ended = aisb(installed, cwd, *words)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_every_component_is_imported_where_the_core_alone_is_installed(installed, tmp_path):
    """With core and its own dependencies on the path, and nothing else of this project."""
    install(tmp_path, ROOT / "core")
    paths = [str(tmp_path), str(installed), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    script = f"""
import sys
sys.path[:0] = {paths!r}
from importlib.metadata import entry_points
import aisb
from aisb._plugins import Plugins
(info,) = [one for one in Plugins.load().infos if one.name == "every-kind"]
assert info.state == "loaded", info.reason
for component in Plugins.load().components():
    if component.plugin == "every-kind":
        component.factory
        print(component.kind, component.name)
(commands,) = [entry.load() for entry in entry_points(group="aisb.commands") if entry.name == "every-kind"]
print("command", commands.aisb_commands()[0].name)
ours = {{name.split(".")[0] for name in sys.modules if name.startswith("aisb")}}
assert ours == {{"aisb", "aisb_every_kind"}}, ours
assert aisb.__file__.startswith({str(tmp_path)!r})
"""
    # -S leaves .pth files unread, and they are what editable installs consist of.
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert ended.returncode == 0, ended.stderr
    kinds = {line.split()[0] for line in ended.stdout.splitlines()}
    assert kinds == {
        "backend", "dataset", "postprocessor", "environment", "evaluator", "reporter", "importer", "launcher",
        "command",
    }  # fmt: skip


def test_it_keeps_the_contract_of_each_kind(plugin, tmp_path, mock):
    from aisb_every_kind.acting import guessing
    from aisb_every_kind.backends import PlainChat
    from aisb_every_kind.datasets import made_sums
    from aisb_every_kind.grading import SameNumber, last_word
    from aisb_every_kind.greeting import greet
    from aisb_every_kind.launching import Spawn
    from aisb_every_kind.showing import AnswerSheet, OneLine

    check_plugin("aisb-every-kind")
    check_backend(PlainChat)
    check_dataset(lambda: made_sums(rows=5))
    check_postprocessor(last_word())
    check_environment(guessing())
    check_evaluator(SameNumber())
    check_reporter(OneLine())
    check_command(greet)
    check_launcher(Spawn)
    sheet, other = tmp_path / "sheet.csv", tmp_path / "other.json"
    sheet.write_text("question,answer,reply\n1 + 1,2,That makes 2\n")
    other.write_text("{}")
    check_importer(AnswerSheet(), sheet, other)


def test_it_is_listed_with_all_its_kinds(installed, tmp_path):
    shown = worked(installed, tmp_path, "plugins", "list")
    for name in (
        "adder",
        "made-sums",
        "last-word",
        "same-number",
        "one-line",
        "answer-sheet",
        "spawn",
        "greet",
    ):
        assert name in shown, name


def test_its_task_runs_on_its_model_and_is_shown_by_its_reporter(installed, tmp_path):
    shown = worked(installed, tmp_path, "run", *TASK, "--reporters", "text,one-line", "--num-prompts", "12")
    assert "even sums" in shown
    (file,) = tmp_path.glob("outputs/default/*/summary/one-line.txt")
    assert file.read_text() == "every_kind_sums every-kind-adder accuracy 100.00\n"
    (log,) = tmp_path.glob("outputs/default/*/predictions/*/*.jsonl")
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert (
        len(rows) == 12
    )  # its option with the role RowCount was raised, and the one called `requests` was not


def test_its_launcher_places_the_workers_of_a_service(installed, tmp_path):
    words = ("run", "--models", "sim", "--datasets", "demo_gsm8k", "--workers", "2")
    mine = worked(installed, tmp_path, *words, "--launcher", "spawn", "-w", "mine")
    local = worked(installed, tmp_path, *words, "-w", "local")
    assert "79.69" in mine
    assert "79.69" in local


def test_a_backend_that_no_launcher_can_place_is_asked_from_here_and_the_run_says_so(installed, tmp_path):
    ended = aisb(installed, tmp_path, "run", *TASK, "--launcher", "spawn")
    assert "100.00" in ended.stdout
    said = "every-kind-adder: this process sends its requests: a launcher runs only HTTP and local backends"
    assert said in ended.stderr


def test_a_second_evaluator_with_the_same_metric_has_a_row_of_its_own(installed, tmp_path):
    words = ("run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "16")
    alone = worked(installed, tmp_path, *words, "-w", "alone")
    second = ("--set", 'task.evaluate=[{use="numeric-match"},{use="choice-match"}]')
    both = worked(installed, tmp_path, *words, *second, "-w", "both")
    (table,) = (tmp_path / "both").rglob("results/sim/demo_gsm8k.json")
    (before,) = (tmp_path / "alone").rglob("results/sim/demo_gsm8k.json")
    results, plain = json.loads(table.read_text()), json.loads(before.read_text())
    assert results["accuracy"] == plain["accuracy"] != results["accuracy (choice-match)"]
    assert results["outcomes"] == plain["outcomes"]
    assert "accuracy (choice-match)" in both
    assert "accuracy (choice-match)" not in alone


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ('prompt_form = "completion"', "prompt_form is 'completion'; it must be one of 'chat', 'text'"),
        ('stream_format = "ndjson"', "stream_format is 'ndjson'; it must be one of 'sse', 'json'"),
        ('params = ["top_k"]', "params is ['top_k']; it must be a frozenset of names, or \"any\""),
        ('default_for = "accuracy"', "default_for is 'accuracy'; it must be a frozenset of"),
        (
            'default_for = frozenset(("perf",))',
            "it must be a frozenset of ['accuracy', 'performance', 'several'], or empty",
        ),
    ],
)
def test_a_class_attribute_that_aisb_does_not_know_breaks_the_contract(monkeypatch, plugin, line, wrong):
    from aisb_every_kind.backends import Adder

    name, _, value = line.partition(" = ")
    monkeypatch.setattr(Adder, name, eval(value), raising=False)
    with pytest.raises(AssertionError, match=re.escape(wrong)):
        check_plugin("aisb-every-kind")


def test_its_command_is_part_of_the_command_line(installed, tmp_path):
    assert "greet" in worked(installed, tmp_path, "--help")
    assert worked(installed, tmp_path, "greet", "aisb", "--loud") == "HELLO AISB\n"


def test_its_importer_makes_a_run_of_an_answer_sheet(installed, tmp_path):
    sheet = tmp_path / "every_kind_sums.csv"
    sheet.write_text("question,answer,reply\n1 + 1,2,That makes 2\n2 + 2,4,That makes 5\n")
    shown = worked(installed, tmp_path, "import", str(sheet))
    assert "50.00" in shown
