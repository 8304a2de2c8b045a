"""`aisb compare` through its ends: runs of a simulated service, what is printed, and how it ends."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from good_and_bad import MODELS, aisb


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs: `good`, `bad`, `both` (two models), `kept` (with details), and two `fast` ones."""
    folder = tmp_path_factory.mktemp("compare")
    (folder / "aisb.toml").write_text(MODELS)

    def run(name: str, *words: str, task: str = "demo_gsm8k") -> None:
        ended = aisb("run", "--datasets", task, "-w", f"in/{name}", *words, cwd=folder)
        assert ended.returncode == 0, ended.stderr
        (made,) = (folder / "in" / name).iterdir()
        (folder / name).symlink_to(made)

    run("good", "--models", "good")
    run("bad", "--models", "bad")
    run("both", "--models", "good", "bad")
    shared = ("--set", "task.sample.cluster={number}")  # of 64 samples, some have the same answer
    run("kept", "--models", "good", "--dump-eval-details", "--set", "task.prompt.shots=0", *shared)
    run("text", "--models", "good", "--num-prompts", "20", "--datasets", "demo_gsm8k:zero-shot-text")
    for name in ("fast1", "fast2", "fast3", "fast4"):
        run(name, "--models", "good", "--mode", "perf", "--num-prompts", "8")
    made = ("--models", "good", "--mode", "perf", "--num-prompts", "8", "--set", "task.dataset.input=16")
    for name, *words in (
        ("made1", "--concurrency", "4", "--set", "task.dataset.output=5"),
        ("made2", "--concurrency", "4", "--set", "task.dataset.output=5"),
        ("more", "--concurrency", "8", "--set", "task.dataset.output=50", "--set", "params.ignore_eos="),
    ):
        run(name, *made, *words, task="synthetic")
    return folder


def test_a_change_is_explained_by_parts_that_add_up_to_it(work: Path, tmp_path: Path) -> None:
    # The same answers, by rules that take the first number: only the rules differ.
    rules = tmp_path / "rules"
    shutil.copytree(work / "good", rules)
    (config,) = rules.glob("configs/2*.toml")
    text = config.read_text()
    assert '{ use = "number" }' in text
    config.write_text(text.replace('{ use = "number" }', '{ use = "regex", pattern = "([0-9]+)" }'))
    explained = {}
    for name, other in (("rules", rules), ("answers", work / "bad"), ("same", work / "good")):
        more = ("--model-b", "bad") if name == "same" else ()
        sides = (
            (str(work / "both"), "--model-a", "good") if name == "same" else (str(work / "good"), str(other))
        )
        ended = aisb("compare", "--explain", *sides, *more, "--json", cwd=work)
        assert ended.returncode == 0, ended.stderr
        (explained[name],) = json.loads(ended.stdout)["explanations"]
        one = explained[name]
        assert one["samples"] + one["rules"] + one["answers"] == pytest.approx(one["b"] - one["a"])
    assert explained["rules"]["rules"] == pytest.approx(explained["rules"]["change"])
    assert explained["rules"]["change"] < 0
    assert explained["rules"]["graded_otherwise"]
    assert explained["answers"]["answers"] == pytest.approx(explained["answers"]["change"])
    assert explained["same"]["answers"] == pytest.approx(explained["answers"]["answers"])
    said = aisb("compare", "--explain", str(work / "good"), str(rules), cwd=work).stdout
    parts = [float(line.split()[2]) for line in said.splitlines() if line.startswith("  other ")]
    change = float(said.partition(", change ")[2].split()[0])
    assert sum(parts) == pytest.approx(change)
    speed = aisb("compare", "--explain", str(work / "fast1"), str(work / "fast2"), cwd=work)
    assert speed.returncode == 2
    assert "--explain applies to scores" in speed.stderr


def test_two_runs_are_compared_on_their_samples(work: Path) -> None:
    ended = aisb("compare", "good", "bad", cwd=work)
    assert ended.returncode == 0
    assert re.search(
        r"^demo_gsm8k +64 +\S+ +\S+ +-\d+\.\d\d +\[-.*\] +< 0\.001 +B worse$", ended.stdout, re.MULTILINE
    )
    assert re.search(r"  minimum detectable difference with 64 samples: \d+\.\d points\n", ended.stdout)
    assert re.search(r"  samples needed to detect the observed difference: \d+\n", ended.stdout)
    assert max(map(len, ended.stdout.splitlines()[3:])) <= 80


def test_a_run_against_itself_in_another_folder_is_a_tie(work: Path) -> None:
    ended = aisb("compare", "good", "kept", cwd=work)
    assert re.search(r"1\.000 +tie$", ended.stdout, re.MULTILINE)


def test_what_is_not_the_same_on_both_sides_is_said_before_the_numbers(work: Path) -> None:
    out = aisb("compare", "good", "kept", cwd=work).stdout
    prompt = out.index("! demo_gsm8k: not the same on both sides: task.prompt.shots: 4 and 0")
    version = out.index("! demo_gsm8k: not the same on both sides: version: ")
    assert max(prompt, version) < out.index("verdict")
    out = aisb("compare", "good", "bad", cwd=work).stdout
    assert "not the same" not in out


def test_samples_that_one_side_was_not_asked_are_counted(work: Path) -> None:
    out = aisb("compare", "good", "text", cwd=work).stdout
    assert "44 samples are in A only and 0 in B only" in out
    assert re.search(r"^demo_gsm8k +20 ", out, re.MULTILINE)


@pytest.mark.parametrize("words", [(), ("--model-a", "good"), ("--model-a", "good", "--model-b", "bad")])
def test_two_models_of_one_run_are_compared(work: Path, words: tuple[str, ...]) -> None:
    ended = aisb("compare", "both", *words, "--json", cwd=work)
    (found,) = json.loads(ended.stdout)["comparisons"]
    assert (found["model_a"], found["model_b"], found["verdict"]) == ("good", "bad", "worse")
    assert len(found["worsened"]) > 20
    assert found["worsened"][0].keys() == {"id", "target", "a", "b", "outcome_a", "outcome_b"}


def test_several_models_are_paired_by_name(work: Path) -> None:
    found = json.loads(aisb("compare", "both", "good", "--json", cwd=work).stdout)
    assert [(one["model_a"], one["model_b"]) for one in found["comparisons"]] == [("good", "good")]
    assert found["unmatched"] == ["demo_gsm8k of bad is in A only"]


def test_kept_details_and_the_log_give_the_same_grades(work: Path) -> None:
    def found(name: str) -> dict[str, Any]:
        (one,) = json.loads(aisb("compare", name, "bad", "--json", cwd=work).stdout)["comparisons"]
        assert isinstance(one, dict)
        return one

    made, kept = found("good"), found("kept")
    assert (made["a"], made["b"]) == (kept["a"], kept["b"])
    # What samples share stands in the log, also where the grades are those that were kept.
    assert (made["clusters"], kept["clusters"]) == (None, 56)
    assert made["mcnemar"] == made["p"]
    assert (kept["mcnemar"], kept["p"]) == (None, pytest.approx(kept["bootstrap"], abs=0.01))
    line = "  its samples form 56 clusters, which are resampled as a whole\n"
    assert line in aisb("compare", "kept", "bad", cwd=work).stdout


def test_a_regression_ends_with_exit_code_4_and_a_failure_in_junit(work: Path) -> None:
    words = ("compare", "bad", "--baseline", "good", "--fail-on-regression", "--junit", "aisb.xml")
    ended = aisb(*words, cwd=work)
    assert ended.returncode == 4
    assert re.search(r"error: 1 of 1 comparisons are a regression\n  bad demo_gsm8k: worse: \d", ended.stderr)
    suite = ET.parse(work / "aisb.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")


def test_no_regression_ends_with_exit_code_0(work: Path) -> None:
    ended = aisb(
        "compare", "good", "--baseline", "bad", "--fail-on-regression", "--junit", "good.xml", cwd=work
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ET.parse(work / "good.xml").getroot()[0].get("failures") == "0"


def test_a_subtask_of_the_baseline_that_is_missing_is_a_regression(work: Path) -> None:
    ended = aisb("compare", "good", "--baseline", "both", "--fail-on-regression", cwd=work)
    assert ended.returncode == 4
    assert "missing demo_gsm8k of bad is in A only" in ended.stderr


def test_performance_runs_are_compared_as_ratios_and_repeats_say_how_sure(work: Path) -> None:
    alone = aisb("compare", "fast1", "fast2", cwd=work)
    assert alone.returncode == 0
    assert re.search(r"^demo_gsm8k +TTFT \(median\) .* – +– +not known$", alone.stdout, re.MULTILINE)
    assert "single runs do not show the variation between runs" in alone.stdout
    repeats = aisb("compare", "fast1,fast2", "fast3,fast4", "--json", cwd=work)
    found = {one["name"]: one for one in json.loads(repeats.stdout)["comparisons"]}
    assert found.keys() == {
        "TTFT (median)", "TPOT (median)", "E2EL (median)", "RequestThroughput", "OutputTokenThroughput",
    }  # fmt: skip
    one = found["RequestThroughput"]
    assert len(one["a"]) == len(one["b"]) == 2
    assert one["low"] <= one["ratio"] <= one["high"]
    assert one["verdict"] in {"better", "worse", "tie"}


def test_performance_runs_of_other_loads_lengths_or_data_are_not_the_same(work: Path) -> None:
    same = aisb("compare", "made1", "made2", cwd=work)
    assert "not the same on both sides" not in same.stdout  # though each made prompts from its own nonce
    assert "not the same on both sides" not in aisb("compare", "fast1", "fast2", cwd=work).stdout
    other = aisb("compare", "made1", "more", cwd=work).stdout
    for line in (
        "load.concurrency: 4 and 8", "load.ignore_eos: True and none", "task.dataset.output: 5 and 50",
    ):  # fmt: skip
        assert other.count(f"! synthetic: not the same on both sides: {line}\n") == 1
    assert re.search(r"! synthetic: .*: output tokens of a request: \S+ and \S+ on average\n", other)
    found = json.loads(aisb("compare", "made1", "more", "--json", cwd=work).stdout)["comparisons"]
    assert "load.concurrency: 4 and 8" in found[0]["setup_differences"]


def test_a_performance_run_and_an_accuracy_run_are_compared_by_grades_and_by_speeds(work: Path) -> None:
    ended = aisb("compare", "good", "fast1", cwd=work)
    assert ended.returncode == 0, ended.stderr
    assert (
        "! demo_gsm8k: not the same on both sides: prompts of B begin with a mark of the run" in ended.stdout
    )
    assert re.search(r"^demo_gsm8k +8 .* tie$", ended.stdout, re.MULTILINE)
    assert re.search(r"^demo_gsm8k +E2EL \(median\) +\S+ +\S+ .* not known$", ended.stdout, re.MULTILINE)
    told = json.loads(aisb("compare", "fast1", "good", "--json", cwd=work).stdout)
    assert [one.get("name") for one in told["comparisons"]][:2] == [None, "TTFT (median)"]
    guarded = aisb("compare", "fast1", "--baseline", "good", "--fail-on-regression", cwd=work)
    assert guarded.returncode == 0, guarded.stderr


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (
            (),
            "error: a comparison has two sides, and was given no run: use RUN_A RUN_B, one run with --model-a and",
        ),
        (("good", "bad", "both"), "error: a comparison has two sides, and was given good bad both"),
        (
            ("good",),
            "error: A and B are one run, good, with good: name another run as B, or two of its models",
        ),
        (("good", "absent"), "error: no run 'absent'; there is no run in outputs/default yet"),
        (
            ("good", "bad", "--task", "gsm8k"),
            "error: no task in good named 'gsm8k'; did you mean 'demo_gsm8k'?",
        ),
        (("good", "both", "--model-b", "badd"), "error: no model in both named 'badd'; did you mean 'bad'?"),
        (("good", "both", "--model-a", "bad"), "error: no model in good named 'bad'"),
        (("fast1,fast2", "bad"), "error: only performance runs can have several runs on a side"),
        (("good,kept", "bad"), "error: only performance runs can have several runs on a side"),
        (
            ("fast1", "--baseline", "fast2", "--fail-on-regression"),
            "error: --fail-on-regression needs at least two performance runs on each side",
        ),
    ],
)
def test_what_cannot_be_compared_is_said(work: Path, words: tuple[str, ...], error: str) -> None:
    ended = aisb("compare", *words, cwd=work)
    assert ended.returncode == 2
    assert ended.stderr.startswith(error)


@pytest.fixture
def no_scipy(tmp_path: Path) -> str:
    """A folder for PYTHONPATH that hides scipy."""
    package = tmp_path / "hidden" / "scipy"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'scipy'\")")
    return str(package.parent)


@pytest.mark.parametrize("sides", [("good", "bad"), ("fast1,fast2", "fast3,fast4")])
def test_without_scipy_a_comparison_says_what_to_install(
    work: Path, no_scipy: str, sides: tuple[str, str]
) -> None:
    ended = aisb("compare", *sides, cwd=work, PYTHONPATH=no_scipy)
    assert ended.returncode == 2
    assert "needs scipy, which cannot be imported: No module named 'scipy'" in ended.stderr
    assert "pip install './plugins/tools/analysis[stats]'" in ended.stderr
    assert not ended.stdout


def test_without_scipy_everything_else_works(work: Path, no_scipy: str) -> None:
    ratios = aisb("compare", "fast1", "fast2", cwd=work, PYTHONPATH=no_scipy)
    assert (ratios.returncode, "compare repeats" in ratios.stdout) == (0, True), ratios.stderr
    for words in (("audit", "good"), ("report", "good"), ("score", "good"), ("report", "fast1")):
        ended = aisb(*words, cwd=work, PYTHONPATH=no_scipy)
        assert ended.returncode == 0, ended.stderr
