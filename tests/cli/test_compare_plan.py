"""`aisb compare --plan`, through the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import aisb

pytest.importorskip("scipy")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs of the same samples, each of which asked them twice."""
    folder = tmp_path_factory.mktemp("plan")
    for seed in ("1", "2"):
        repeats = ("--set", "params.num_return_sequences=2", "--set", f"model.seed={seed}")
        ended = aisb("run", "--models", "sim", "--datasets", "demo_gsm8k", *repeats, cwd=folder)
        assert ended.returncode == 0, ended.stderr
    return folder


def test_two_runs_say_what_differences_need_and_what_a_budget_shows(work: Path) -> None:
    ended = aisb("compare", "--plan", "latest~1", "latest", "--budget", "10m", cwd=work)
    assert ended.returncode == 0, ended.stderr
    assert "\ndemo_gsm8k: a pilot of 64 samples\n  difference " in ended.stdout
    assert "in 10 minutes: 64 samples 8 times on both sides show " in ended.stdout
    words = ("compare", "--plan", "latest~1", "latest", "--difference", "30", "--json")
    (found,) = json.loads(aisb(*words, cwd=work).stdout)
    assert found["is_assumed"] is False
    assert found["within"] > 0
    (need,) = found["needs"]
    assert (need["difference"], need["fits"]) == (0.3, True)
    assert need["requests"] == 2 * need["samples"] * need["repeats"]


def test_one_run_says_what_it_assumes(work: Path) -> None:
    ended = aisb("compare", "--plan", "latest", cwd=work)
    assert ended.returncode == 0, ended.stderr
    assert "only one side: the plan assumes another model with the same score" in ended.stdout


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("latest", "latest~1", "--budget", "5m"), "--difference and --budget need --plan"),
        (("--plan", "latest", "--budget", "soon"), "--budget 'soon' is not a duration"),
        (("--plan", "latest", "--baseline", "latest~1"), "--plan takes a pilot of one run, or of two"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(work: Path, words: tuple[str, ...], error: str) -> None:
    ended = aisb("compare", *words, cwd=work)
    assert ended.returncode == 2
    assert error in ended.stderr
