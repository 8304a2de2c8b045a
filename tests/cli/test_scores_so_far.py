"""The score of the answers so far, below the rows of a run on a terminal."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from terminal import Terminal

from aisb_cli.counts import totals
from aisb_cli.main import cli
from aisb_cli.scores_so_far import MAX_LINES, ScoresSoFar
from aisb_engine import Plugins, Progress
from aisb_mock import MockOptions, start_mock

SO_FAR = re.compile(r"accuracy so far ([\d.]+) \(95 % interval ([\d.]+) to ([\d.]+), (\d+) scored\)")


@pytest.fixture(scope="module")
def plugins():
    return Plugins.load()


@pytest.fixture
def service():
    with start_mock(MockOptions(ttft_ms=250)) as running:
        yield running.url


def shown(terminal):
    """Return all that the terminal has shown, with its lines joined."""
    return " ".join(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", " ", terminal.seen).split())


def run(tmp_path, url, *words):
    terminal = Terminal("run", "--url", url, "--concurrency", "2", *words, cwd=tmp_path)
    try:
        code = terminal.end()
        assert code == 0, shown(terminal)
    finally:
        terminal.close()
    return shown(terminal)


def test_a_run_on_a_terminal_shows_the_score_so_far_and_then_the_whole_score(tmp_path, service):
    seen = run(tmp_path, service, "--datasets", "demo_gsm8k")
    found = [(*map(float, one[:3]), int(one[3])) for one in dict.fromkeys(SO_FAR.findall(seen))]
    assert found
    counts = [one[3] for one in found]
    assert counts == sorted(counts)
    assert 0 < counts[0] < 64
    assert all(low <= value <= high for value, low, high, _ in found)
    (path,) = tmp_path.glob("outputs/default/*/results/*/demo_gsm8k_scores.jsonl")
    correct = sum(json.loads(line)["outcome"] == "correct" for line in path.read_text().splitlines())
    *_, (value, _, _, n) = found
    assert round(value * n / 100) <= correct  # those of a part of the answers
    assert "so far" not in seen[seen.rindex("64/64") :]  # the table of the end replaces it


@pytest.mark.parametrize(
    "words",
    [
        ("--mode", "perf"),
        ("--request-rate", "8"),  # a complete run that also reports its performance
        ("--mode", "infer"),
        ("--set", 'task.evaluate=[{use="judge"}]', "--judge", "sim"),
    ],
)
def test_a_measured_an_unscored_and_a_judged_run_show_none(tmp_path, service, words):
    seen = run(tmp_path, service, "--datasets", "demo_gsm8k", "--num-prompts", "24", *words)
    assert "finished" in seen
    assert "so far" not in seen


def test_a_log_that_is_too_large_is_not_read(tmp_path, plugins):
    done = CliRunner().invoke(
        cli, ["run", "--models", "sim", "--datasets", "demo_gsm8k", "-w", str(tmp_path)]
    )
    assert done.exit_code == 0, done.output
    (run,) = tmp_path.iterdir()
    one = Progress("sim", "demo_gsm8k", run / "log", phase="done", run=run)
    for max_bytes, count in ((10**9, 1), (1000, 0)):
        scores = ScoresSoFar(plugins, between=0.01, max_bytes=max_bytes)
        scores.start([one])
        ends = time.monotonic() + 60
        while scores.is_working and time.monotonic() < ends:
            time.sleep(0.01)
        assert len(scores.lines([one])) == count
        scores.stop()


def test_each_subtask_has_a_line_and_no_more_than_a_few_are_shown(plugins):
    subtasks = [Progress("m", f"task-{number}", Path("log"), phase="done") for number in range(MAX_LINES + 2)]
    subtasks[-1].phase = "sending"
    scores = ScoresSoFar(plugins)
    assert scores.lines(subtasks) == []
    found = {"metric": "exact_match", "value": 74.06, "low": 67.8, "high": 79.64, "n": 212}
    scores._results = {("m", one.task): found for one in subtasks}
    first, *_, last = lines = scores.lines(subtasks)
    assert first == "task-5 · m: exact match so far 74.1 (95 % interval 67.8 to 79.6, 212 scored)"
    assert last == "and the scores so far of 2 more subtasks: aisb view"
    assert len(lines) == MAX_LINES + 1
    scores._results = {("m", "task-5"): found | {"low": None, "high": None}}
    assert scores.lines(subtasks[-1:]) == ["exact match so far 74.1 (212 scored)"]


def test_not_graded_yet_is_said_only_where_no_score_is_shown():
    one = Progress("m", "task", Path("log"), total=4, phase="sending", is_graded_later=True)
    assert totals([one], 100.0).endswith("not graded yet")
    assert "not graded yet" not in totals([one], 100.0, has_scores=True)
