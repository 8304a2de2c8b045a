"""Limits of one task, ranges of rows, and combinations of models and tasks, as an aisb.toml has them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from aisb import AisbError
from aisb_cli.main import cli
from aisb_engine._spec import Load, row_slice

FILE = """
[models.a]
backend = "sim"

[models.b]
backend = "sim"

[tasks.middle]
base = "demo_gsm8k"
rows = "[2:5]"

[tasks.few]
base = "demo_gsm8k"
num_prompts = 4

[run]
models = ["a", "b"]
datasets = ["middle", "few"]
"""
COMBINED = (
    FILE
    + """
combinations = [
  { models = ["a"], datasets = ["middle"] },
  { models = ["b"], datasets = ["middle", "few"] },
]
"""
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "aisb.toml").write_text(FILE, encoding="utf-8")
    return tmp_path


def aisb(*words: str) -> str:
    ended = CliRunner().invoke(cli, ["run", *words], catch_exceptions=False)
    return ended.output if ended.exit_code else ended.stdout


def refused(*words: str) -> str:
    with pytest.raises(AisbError) as caught:
        aisb(*words)
    return str(caught.value)


def asked(*words: str) -> dict[tuple[str, str], int]:
    plan = json.loads(aisb("--dry-run", "--json", *words))
    return {(one["model"], one["task"]): one["requests"] for one in plan["subtasks"]}


@pytest.fixture
def combined(folder: Path) -> Path:
    (folder / "aisb.toml").write_text(COMBINED, encoding="utf-8")
    return folder


def test_a_task_has_limits_of_its_own() -> None:
    assert asked("--models", "a") == {("a", "middle"): 3, ("a", "few"): 4}


def test_num_prompts_of_a_command_counts_inside_a_range() -> None:
    assert asked("--models", "a", "--num-prompts", "2") == {("a", "middle"): 2, ("a", "few"): 2}


@pytest.mark.parametrize(
    ("rows", "count"), [("0:100", 64), ("60:", 4), ("-3:", 3), ("::2", 32), ("[:7]", 7), ("1:9:4", 2)]
)
def test_a_range_is_read_as_in_python(rows: str, count: int) -> None:
    assert len(range(64)[row_slice(str(Load(rows=rows).rows))]) == count


def test_a_range_takes_the_rows_at_these_places(folder: Path) -> None:
    aisb("--models", "a", "--datasets", "middle")
    (file,) = folder.glob("outputs/default/*/predictions/a/middle.json")
    assert list(json.loads(file.read_bytes())) == ["2", "3", "4"]


@pytest.mark.parametrize("rows", ["x", "1", "0:10:0", "0:10:-1", "10..20"])
def test_what_is_no_range_is_refused(rows: str) -> None:
    with pytest.raises(ValueError, match="a range of rows is FROM:TO, such as 0:100, 100: or -20:"):
        Load(rows=rows)


def test_a_range_that_leaves_no_rows_is_refused_before_anything_is_sent(folder: Path) -> None:
    said = refused("--models", "a", "--datasets", "middle", "--set", "task.rows='70:'")
    assert "a/middle: rows: 70: leaves none of the 64 rows of the task" in said
    assert not list(folder.glob("outputs/default/*"))


def test_combinations_choose_the_pairs(combined: Path) -> None:
    assert asked() == {("a", "middle"): 3, ("b", "middle"): 3, ("b", "few"): 4}


def test_a_command_narrows_combinations(combined: Path) -> None:
    assert asked("--models", "a") == {("a", "middle"): 3}


def test_a_command_that_names_models_and_tasks_asks_all_pairs(combined: Path) -> None:
    assert asked("--models", "a", "--datasets", "few") == {("a", "few"): 4}


def test_a_command_outside_of_all_combinations_is_refused(combined: Path) -> None:
    assert "run.combinations of aisb.toml has no pair with sim" in refused("--models", "sim", "--dry-run")


def test_a_run_of_combinations_is_resumed_without_the_file(combined: Path) -> None:
    aisb("--num-prompts", "1")
    (combined / "aisb.toml").unlink()
    aisb("--reuse")
    assert len(list(combined.glob("outputs/default/*/results/*/*_scores.jsonl"))) == 3
