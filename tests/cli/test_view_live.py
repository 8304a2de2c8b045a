"""The results that `aisb view` shows during a run: equal to those of the same answers at its end."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from aisb import Prediction
from aisb_cli.main import cli
from aisb_cli.viewing.live import LiveResults
from aisb_engine import Plugins, open_run
from aisb_engine._record.log import LogWriter


@pytest.fixture(scope="module")
def plugins():
    return Plugins.load()


def made(work, *words):
    done = CliRunner().invoke(cli, ["run", "--models", "sim", *words, "-w", str(work)])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(cli, ["runs", "show", "latest", "--json", "-w", str(work)])
    return json.loads(done.stdout)


@pytest.mark.parametrize("repeats", [1, 3])
def test_the_score_so_far_equals_the_score_of_the_same_answers_at_the_end(tmp_path, plugins, repeats):
    words = ["--datasets", "demo_gsm8k", "--set", f"task.params.num_return_sequences={repeats}"]
    (score,) = made(tmp_path, *words)["scores"]
    (live,) = LiveResults(open_run(tmp_path, "latest", plugins), plugins).read()
    assert live["n"] == 64 * repeats
    assert live["outcomes"] == score["outcomes"]
    assert [live[key] for key in ("value", "low", "high")] == pytest.approx(
        [score[key] for key in ("value", "low", "high")], abs=1e-3
    )
    assert live["output_tokens"] > 0
    assert live["not_graded"] is None


def test_answers_that_arrive_later_are_added_and_a_new_attempt_replaces_the_old_one(tmp_path, plugins):
    made(tmp_path, "--datasets", "demo_gsm8k")
    run = open_run(tmp_path, "latest", plugins)
    (log,) = Path(run.folder.path).glob("log/*/*/worker-*")
    whole = log.read_bytes()
    log.write_bytes(whole[: len(whole) // 2])
    live = LiveResults(run, plugins)
    (half,) = live.read()
    assert 0 < half["n"] < 64
    assert sum(half["outcomes"].values()) == half["n"]
    log.write_bytes(whole)
    live._next = 0.0  # do not wait for the next time
    (full,) = live.read()
    assert full["n"] == 64
    assert full["tokens_per_second"] > 0


def test_a_load_without_an_evaluator_has_its_tokens(tmp_path, plugins):
    made(
        tmp_path,
        "--mode",
        "perf",
        "--datasets",
        "demo_gsm8k",
        "--num-prompts",
        "4",
        "--set",
        "task.evaluate=[]",
    )
    (live,) = LiveResults(open_run(tmp_path, "latest", plugins), plugins).read()
    assert live["output_tokens"] > 0
    assert (live["n"], live["value"], live["not_graded"]) == (0, None, "the task has no evaluator")


def test_a_task_that_needs_a_judge_says_why_it_is_not_graded(tmp_path, plugins):
    judged = ["--judge", "sim", "--set", 'task.evaluate=[{use="judge"}]', "--num-prompts", "4"]
    made(tmp_path, "--datasets", "demo_gsm8k", *judged)
    (live,) = LiveResults(open_run(tmp_path, "latest", plugins), plugins).read()
    assert live["not_graded"] == "a judge grades it at the end"
    assert live["n"] == 0
    assert live["value"] is None


def test_the_pauses_cover_the_work_and_one_call_grades_no_more_than_it_may(tmp_path, plugins):
    made(tmp_path, "--datasets", "demo_gsm8k")
    run = open_run(tmp_path, "latest", plugins)
    pauses = []
    live = LiveResults(run, plugins, pause=pauses.append)
    began = time.thread_time()
    first = live.read_subtask(run.spec.subtasks[0], 40)
    worked = time.thread_time() - began
    assert first["n"] == 40
    assert len(pauses) == 1 + 3 + 1  # the log, 16 + 16 + 8 answers, the metrics
    assert 0.8 * worked <= sum(pauses) <= worked
    assert live.read_subtask(run.spec.subtasks[0], 40)["n"] == 64


def test_the_next_turn_of_a_conversation_is_graded_again(tmp_path, plugins):
    made(tmp_path, "--datasets", "demo_gsm8k", "--num-prompts", "4")
    run = open_run(tmp_path, "latest", plugins)
    (log,) = Path(run.folder.path).glob("log/*/*/worker-*")
    live = LiveResults(run, plugins)
    (before,) = live.read()
    with LogWriter(log) as writer:
        for number in range(4):
            writer.append(Prediction(str(number), 0, 1, text="The answer is -1."), final=True)
    live._next = 0.0  # do not wait for the next time
    (after,) = live.read()
    assert before["outcomes"]["correct"] > 0
    assert (after["n"], after["outcomes"]["wrong"]) == (4, 4)
