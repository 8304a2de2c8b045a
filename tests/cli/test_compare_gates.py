"""Gates of `aisb compare` through its ends, and the rates of their verdicts by simulation."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from good_and_bad import MODELS, aisb

POLICY = """
[accuracy.release]
tasks = ["demo_*"]
max_drop = 60
max_drop_percent = 1
[accuracy.watched]
tasks = ["*"]
blocking = false
[performance.service]
tasks = ["demo_gsm8k"]
numbers = ["request_throughput", "e2el_p95"]
max_slowdown = 1000
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs `good` and `bad`, and three performance runs of `good`: `fast0` to `fast2`."""
    folder = tmp_path_factory.mktemp("gates")
    (folder / "aisb.toml").write_text(MODELS)
    (folder / "policy.toml").write_text(POLICY)
    fast = [(f"fast{n}", "good", ("--mode", "perf", "--num-prompts", "8")) for n in range(3)]
    for name, model, words in (("good", "good", ()), ("bad", "bad", ()), *fast):
        ended = aisb(
            "run", "--models", model, "--datasets", "demo_gsm8k", "-w", f"in/{name}", *words, cwd=folder
        )
        assert ended.returncode == 0, ended.stderr
        (made,) = (folder / "in" / name).iterdir()
        (folder / name).symlink_to(made)
    return folder


def test_a_score_that_is_surely_lower_fails_the_gate(work: Path) -> None:
    ended = aisb("compare", "bad", "--baseline", "good", "--max-drop", "1", "--junit", "x.xml", cwd=work)
    assert ended.returncode == 4
    assert "error: 1 of 1 rows of the gate fail\n  demo_gsm8k score: FAIL: drop of " in ended.stderr
    assert "at 80 % power" in ended.stderr
    suite = ET.parse(work / "x.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    allowed = aisb("compare", "bad", "--baseline", "good", "--max-drop", "90", cwd=work)
    assert allowed.returncode == 0
    assert "\nPASS " in allowed.stdout


def test_a_gate_that_cannot_tell_passes_unless_it_is_strict(work: Path) -> None:
    shutil.copytree(work / "good", work / "copy")
    gate = ("compare", "copy", "--baseline", "good", "--max-drop", "0")
    lax = aisb(*gate, cwd=work)
    assert lax.returncode == 0, lax.stderr
    assert "\nINCONCLUSIVE " in lax.stdout
    assert aisb(*gate, "--strict", cwd=work).returncode == 4


def test_a_policy_judges_accuracy_and_speed_of_one_side_together(work: Path) -> None:
    a, b = "good,fast0,fast1,fast2", "bad,fast2,fast1,fast0"
    ended = aisb("compare", "--baseline", a, b, "--policy", "policy.toml", "--json", cwd=work)
    assert ended.returncode == 4, ended.stderr
    rows = json.loads(ended.stdout)["gate"]
    assert [(row["status"], row["rule"], row["number"]) for row in rows] == [
        ("FAIL", "release", "score"),
        ("PASS", "service", "RequestThroughput"),
        ("PASS", "service", "E2EL (P95)"),
    ]
    assert rows[0]["allowed"] < 1  # the smaller of 60 points and 1 % of A's score
    missing = aisb("compare", "bad", "--baseline", "good", "--policy", "policy.toml", cwd=work)
    assert "demo_gsm8k speed: MISSING: no performance runs were compared" in missing.stderr


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--strict",), "--strict needs --max-drop, --max-slowdown or --policy"),
        (("--policy", "absent.toml"), "absent.toml: cannot be read"),
        (("--policy", "policy.toml", "--max-drop", "1"), "omit --max-drop and --max-slowdown"),
    ],
)
def test_a_gate_that_makes_no_sense_is_refused(work: Path, words: tuple[str, ...], error: str) -> None:
    ended = aisb("compare", "bad", "--baseline", "good", *words, cwd=work)
    assert ended.returncode == 2
    assert error in ended.stderr


def test_a_gate_on_speed_needs_three_runs_a_side(work: Path) -> None:
    ended = aisb("compare", "fast0,fast1", "fast1,fast2", "--max-slowdown", "5", cwd=work)
    assert ended.returncode == 2
    assert "needs at least 3 performance runs on each side" in ended.stderr
    assert "A has 2, B has 2" in ended.stderr
    several = aisb("compare", "good,bad", "bad", "--max-drop", "5", cwd=work)
    assert "at most one accuracy run" in several.stderr


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "has no rules"),
        ("[acuracy.x]", "no key named acuracy; did you mean 'accuracy'?"),
        ('[accuracy.x]\ntasks = ["a"]\nmax_dorp = 1', "no key named accuracy.x.max_dorp"),
        ("[accuracy.x]\nmax_drop = 1", "accuracy.x.tasks is needed"),
        ('[tiers.x]\ntasks = ["a"]\n[accuracy.y]\ntasks = ["b"]', "[tiers] is the old name of [accuracy]"),
        ("accuracy = 3", "accuracy must have one table for each rule"),
        ('[accuracy.x]\ntasks = "a"', "must be a list of names"),
        ('[accuracy.x]\ntasks = ["a"]\nmax_drop = -1', "must be a number of at least 0"),
        ('[accuracy.x]\ntasks = ["a"]\nblocking = 1', "must be true or false"),
        ('[performance.x]\ntasks = ["a"]\nnumbers = ["ttft_p5o"]', "performance.x.numbers has 'ttft_p5o'"),
    ],
)
def test_a_broken_policy_names_the_key(tmp_path: Path, text: str, error: str) -> None:
    from aisb import UsageError
    from aisb_analysis._policy import read_policy

    file = tmp_path / "policy.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as raised:
        read_policy(file, None, None)
    assert error in str(raised.value)


def test_the_old_name_of_rules_for_scores_works_and_warns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from aisb_analysis._policy import read_policy

    file = tmp_path / "policy.toml"
    file.write_text(POLICY)
    policy = read_policy(file, None, None)
    assert capsys.readouterr().err == ""
    file.write_text(POLICY.replace("[accuracy.", "[tiers."))
    assert read_policy(file, None, None) == policy
    assert "[tiers.NAME] is now [accuracy.NAME]; 0.4 removes the old name" in capsys.readouterr().err


def test_a_task_belongs_to_the_first_rule_that_names_it_and_missing_ones_are_rows(tmp_path: Path) -> None:
    from aisb_analysis._gates import gate_rows, is_failure
    from aisb_analysis._policy import Policy, Rule

    rules = (Rule("first", ("gsm8k", "mmlu")), Rule("rest", ("*",), blocking=False))
    rows = gate_rows(Policy(rules), [], [], ungraded=[("m", "gsm8k", ""), ("m", "boolq", "")])
    assert [(row.rule, row.task, row.reason) for row in rows] == [
        ("first", "gsm8k", "B lacks it"),
        ("first", "mmlu", "no compared task matches"),
        ("rest", "boolq", "B lacks it"),
    ]
    assert [is_failure(row, strict=True) for row in rows] == [True, True, False]


def test_few_samples_without_a_flip_do_not_look_certain() -> None:
    from aisb_analysis._margins import Allowance, judge, worsening_of

    few, many = worsening_of([0.0] * 8), worsening_of([0.0] * 1319)
    assert few
    assert many
    assert judge([(few, Allowance(1 / 100))]) == ["INCONCLUSIVE"]
    assert judge([(many, Allowance(1 / 100))]) == ["PASS"]
    assert worsening_of([]) is None
    whole = worsening_of([-1.0, 0.0] * 50, clusters=[n // 10 for n in range(100)])
    assert whole
    assert whole.degrees_of_freedom == 11
