"""Tasks that a model judges, from the command to the table, against mock servers as model and as judge."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from forked import Forked, run_forked

from aisb_engine._record.log import read_folder
from aisb_mock import MockOptions, start_mock

ROWS = 24
TASK = "aime2025_gen_0_shot_llmjudge"


def reply(number: int) -> str:
    """What the model says to question `number`: a third of all answers are wrong."""
    return f"For this one I get \\boxed{{{number if number % 3 else number + 500}}}."


def verdict(number: int) -> str:
    """What the judge says of it; of one answer it says nothing that counts."""
    if number == 5:
        return "It depends on how you look at it."
    return "CORRECT" if number % 3 else "INCORRECT"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Rows for the task, what the model knows, and what the judge does."""
    folder = tmp_path_factory.mktemp("judged")
    (folder / "aime2025").mkdir()
    rows = [
        {"question": f"What is the value of thing number {n} here?", "answer": str(n)} for n in range(ROWS)
    ]
    files = {
        "aime2025/aime2025.jsonl": rows,
        "model.jsonl": [{"question": row["question"], "reply": reply(n)} for n, row in enumerate(rows)],
        "judge.jsonl": [{"question": reply(n), "reply": verdict(n)} for n in range(ROWS)],
    }
    for name, lines in files.items():
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture(scope="module")
def model(data):
    with start_mock(MockOptions(answers=str(data / "model.jsonl"))) as mock:
        yield mock.url


@pytest.fixture
def judge(data):
    with start_mock(MockOptions(answers=str(data / "judge.jsonl"))) as mock:
        yield mock.url


def command(*words: str, cwd: Path) -> subprocess.Popen[str]:
    return Forked(
        [sys.executable, "-m", "aisb_cli.main", *words],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    )


def aisb(*words: str, cwd: Path) -> tuple[int, str, str]:
    ended = run_forked(
        [sys.executable, "-m", "aisb_cli.main", *words],
        cwd=cwd, capture_output=True, text=True, timeout=120, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended.returncode, ended.stdout, ended.stderr


def the_run(model: str, data: Path, *more: str) -> list[str]:
    return [
        "run", "--models", "vllm_api_stream_chat", "--url", model, "--datasets", TASK, "--data-dir", str(data),
        "--dump-eval-details", *more,
    ]  # fmt: skip


def results(work: Path) -> dict[str, Any]:
    (path,) = work.glob("outputs/default/*/results/vllm-api-stream-chat/aime2025.json")
    return json.loads(path.read_text())


def requests(url: str) -> list[dict[str, Any]]:
    return httpx.get(f"{url}/record").json()["requests"]


def test_answers_are_judged_and_scoring_again_asks_nothing(tmp_path, data, model, judge):
    code, out, err = aisb(*the_run(model, data, "--judge", "vllm-chat", "--judge-url", judge), cwd=tmp_path)
    assert code == 0, err
    assert (
        "aime2025 · vllm-api-stream-chat: judged by vllm-chat: 24 questions, 0 of them answered in the log, "
        in err
    )
    found = results(tmp_path)
    wrong = sum(n % 3 == 0 for n in range(ROWS))
    assert found["outcomes"] == {
        "correct": ROWS - wrong - 1, "wrong": wrong, "truncated": 0, "unparsed": 0, "refused": 0, "error": 1,
    }  # fmt: skip
    assert found["without verdict"] == pytest.approx(100 / ROWS, abs=1e-4)
    assert found["judge"]["input_tokens"] > 0
    assert found["judge"]["output_tokens"] > 0
    assert found["details"]["5"]["details"]["judged"] == ["It depends on how you look at it."]
    assert "without verdict" in out
    assert len(requests(judge)) == ROWS

    code, _, err = aisb("score", "latest", cwd=tmp_path)
    assert code == 0, err
    assert "24 questions, 24 of them answered in the log, " in err
    assert len(requests(judge)) == ROWS
    again = results(tmp_path)
    assert {key: again["judge"][key] for key in ("input_tokens", "output_tokens")} == {
        key: found["judge"][key] for key in ("input_tokens", "output_tokens")
    }
    assert again["outcomes"] == found["outcomes"]


def test_a_judge_that_is_not_there_costs_no_answer(tmp_path, data, model, judge):
    dead = "http://127.0.0.1:9"
    code, _, err = aisb(*the_run(model, data, "--judge", "vllm-chat", "--judge-url", dead), cwd=tmp_path)
    assert code == 3
    assert "error: the judge vllm-chat: 127.0.0.1:9 refused the connection" in err
    assert "when it is ready, continue with: aisb score 2" in err
    assert "the answers so far are kept in outputs/default/" in err
    before = len(requests(model))
    both = "task.evaluate=[{use='judge', prompt='{prediction} {verdicts}', swap=true}]"
    code, _, err = aisb("score", "latest", "--set", both, cwd=tmp_path)
    assert code == 3
    assert err.count("refused the connection") == 1
    code, _, err = aisb("score", "latest", "--judge-url", judge, cwd=tmp_path)
    assert code == 0, err
    assert len(requests(model)) == before
    assert results(tmp_path)["judge"]["questions"] == ROWS


def test_a_run_without_a_judge_says_how_to_name_one_before_anything_is_asked(tmp_path, data, model):
    before = len(requests(model))
    code, _, err = aisb(*the_run(model, data), cwd=tmp_path)
    assert code == 2
    assert "error: judge: aime2025 is graded by a judge model, and none is set" in err
    assert "name one with --judge NAME (any model, with --judge-url where it is served)" in err
    assert len(requests(model)) == before
    code, _, err = aisb(*the_run(model, data, "--judge-url", "http://127.0.0.1:9"), cwd=tmp_path)
    assert code == 2
    assert "error: judge.base: must be set: the judge model, as in --judge NAME" in err


def test_a_judge_that_would_judge_nothing_is_refused_before_anything_is_asked(tmp_path):
    words = ("run", "--models", "sim", "--datasets", "demo_gsm8k", "--judge", "sim")
    code, _, err = aisb(*words, cwd=tmp_path)
    assert code == 2
    assert "--judge has no effect: demo_gsm8k is graded without a model" in err
    assert (
        "omit --judge, or let the judge grade the answers: --set 'task.evaluate=[{use=\"judge\"}]'"
        in " ".join(err.split())
    )
    code, _, err = aisb(*words, "--mode", "perf", cwd=tmp_path)
    assert code == 2
    assert "--judge has no effect in --mode perf, which scores nothing; omit it" in " ".join(err.split())
    assert not (tmp_path / "outputs").exists()


def test_both_orders_and_repeats_are_asked_and_a_letter_that_is_liked_agrees_with_nothing(
    tmp_path, data, model
):
    likes_a = tmp_path / "likes_a.jsonl"
    likes_a.write_text("".join(json.dumps({"question": reply(n), "reply": "A"}) + "\n" for n in range(ROWS)))
    with start_mock(MockOptions(answers=str(likes_a))) as biased:
        code, out, err = aisb(
            *the_run(
                model, data, "--judge", "vllm-chat", "--judge-url", biased.url,
                "--set", "params.num_return_sequences=1", "--set", "judge.load.concurrency=3",
                "--set", "task.evaluate=[{use='judge', prompt='{prediction} {verdicts}', swap=true, repeats=2}]",
            ),
            cwd=tmp_path,
        )  # fmt: skip
        asked = requests(biased.url)
    assert code == 0, err
    assert len(asked) == 4 * ROWS
    found = results(tmp_path)
    assert found["outcomes"]["error"] == ROWS
    assert found["judge agreement"] == 50
    assert "judge agreement" in out
    assert found["details"]["0"]["details"]["failure"] == "the judge contradicts itself"


def test_the_model_that_answers_can_be_its_own_judge(tmp_path, data, model):
    before = len(requests(model))
    code, _, err = aisb(*the_run(model, data, "--judge", "vllm_api_stream_chat"), cwd=tmp_path)
    assert code == 0, err
    assert len(requests(model)) == before + 2 * ROWS
    assert "judged by vllm-api-stream-chat: 24 questions" in err


def test_a_judge_can_be_written_down_with_its_parameters(tmp_path, data, model, judge):
    (tmp_path / "aisb.toml").write_text(
        f'[models.referee]\nbackend = "openai-chat"\nurl = "{judge}"\n'
        '[judge]\nbase = "referee"\nparams = { max_tokens = 64, top_p = 0.5 }\n'
    )
    code, _, err = aisb(*the_run(model, data), cwd=tmp_path)
    assert code == 0, err
    assert "judged by referee: 24 questions" in err
    (config,) = tmp_path.glob("outputs/default/*/configs/*.toml")
    assert "[judge.forced]\nmax_tokens = 64\ntop_p = 0.5" in config.read_text()
    code, _, err = aisb("score", "latest", cwd=tmp_path)
    assert "24 questions, 24 of them answered in the log" in err
    # Other parameters are another question; another judge begins anew.
    code, _, err = aisb("score", "latest", "--set", "judge.params.max_tokens=65", cwd=tmp_path)
    assert code == 0, err
    assert "24 questions, 0 of them answered in the log" in err
    code, _, err = aisb("score", "latest", "--judge", "vllm-chat", "--judge-url", judge, cwd=tmp_path)
    assert code == 0, err
    assert "judged by vllm-chat: 24 questions, 0 of them answered in the log" in err


def test_questions_that_fail_are_tried_again_and_those_left_are_asked_the_next_time(tmp_path, data, model):
    options = MockOptions(answers=str(data / "judge.jsonl"), faults=("status-500:0.3",), seed=3)
    with start_mock(options) as flaky:
        code, _, err = aisb(
            *the_run(model, data, "--judge", "vllm-chat", "--judge-url", flaky.url, "--set", "judge.load.retries=0"),
            cwd=tmp_path,
        )  # fmt: skip
        first = results(tmp_path)
        assert code == 1
        failed = first["judge"]["failed"]
        assert 0 < failed < ROWS
        assert f"{failed} failed" in err
        assert "  the first failure: " in err
        assert "ask the missing questions with: aisb score 2" in err
        assert first["outcomes"]["error"] == failed + (
            1 if first["details"]["5"]["rule"] == "no verdict" else 0
        )
        code, _, err = aisb("score", "latest", "--set", "judge.load.retries=8", "--set", "judge.load.backoff=0.01",
                            cwd=tmp_path)  # fmt: skip
        assert code == 0, err
        assert f"24 questions, {ROWS - failed} of them answered in the log" in err
        assert results(tmp_path)["outcomes"]["error"] == 1
    (lines,) = tmp_path.glob("outputs/default/*/logs/judge/vllm-chat.out")
    assert "again in" in lines.read_text()


BRAKE = [
    word
    for key, value in (("failures", 6), ("seconds", 0), ("probe", 0.05))
    for word in ("--set", f"judge.load.brake.{key}={value}")
] + ["--set", "judge.load.backoff=0.01", "--set", "judge.load.concurrency=4"]


def test_judging_pauses_while_the_judge_restarts(tmp_path, data, model):
    gone = tuple(f"status-503@{number}" for number in range(5, 25))
    with start_mock(MockOptions(answers=str(data / "judge.jsonl"), faults=gone)) as judge:
        code, _, err = aisb(
            *the_run(model, data, "--judge", "vllm-chat", "--judge-url", judge.url, *BRAKE), cwd=tmp_path
        )
    assert code == 0, err
    assert re.search(r"the judge vllm-chat: paused: \d+ attempts failed in \d s and none succeeded", err)
    assert "the judge vllm-chat: resumed: the service answers again after" in err
    assert results(tmp_path)["judge"]["failed"] == 0


def test_a_judge_whose_key_is_not_set_is_a_mistake_that_scoring_again_repairs(tmp_path, data, model, judge):
    words = the_run(model, data, "--judge", "vllm-chat", "--judge-url", judge)
    code, _, err = aisb(*words, "--set", "judge.api_key_env=NOT_THERE", cwd=tmp_path)
    assert code == 2
    assert "error: the judge vllm-chat: the environment variable NOT_THERE" in err
    assert "when it is ready, continue with: aisb score 2" in err


def test_a_judge_that_stays_away_ends_the_scoring_and_what_it_said_is_kept(tmp_path, data, model, judge):
    gone = tuple(f"status-503@{number}" for number in range(9, 2000))
    with start_mock(MockOptions(answers=str(data / "judge.jsonl"), faults=gone)) as leaving:
        words = the_run(model, data, "--judge", "vllm-chat", "--judge-url", leaving.url, *BRAKE)
        code, _, err = aisb(*words, "--set", "judge.load.outage=0.3", cwd=tmp_path)
    assert code == 3, err
    assert re.search(
        r"error: the judge vllm-chat: nothing succeeded for \d s \(load.outage\): status: HTTP 503", err
    )
    assert "when it is ready, continue with: aisb score 2" in err
    code, _, err = aisb("score", "latest", "--judge-url", judge, cwd=tmp_path)
    assert code == 0, err
    assert re.search(r"24 questions, [1-9]\d* of them answered in the log", err)


def test_a_kill_while_judging_loses_and_doubles_no_verdict(tmp_path, data, model):
    options = MockOptions(answers=str(data / "judge.jsonl"), ttft_ms="150")
    with start_mock(options) as slow:
        run = command(
            *the_run(
                model,
                data,
                "--judge",
                "vllm-chat",
                "--judge-url",
                slow.url,
                "--set",
                "judge.load.concurrency=2",
            ),
            cwd=tmp_path,
        )
        kept: list[Path] = []
        began = time.monotonic()
        while time.monotonic() - began < 60 and run.poll() is None:
            kept = list(tmp_path.glob("outputs/default/*/judge/vllm-chat/worker-0"))
            if kept and len(read_folder(kept[0].parent).finished) >= 4:
                break
            time.sleep(0.02)
        run.send_signal(signal.SIGKILL)
        run.communicate()
        assert run.returncode == -signal.SIGKILL
        finished = read_folder(kept[0].parent).finished
        assert 4 <= len(finished) < ROWS
        code, _, err = aisb("score", "latest", cwd=tmp_path)
        assert code == 0, err
        assert f"24 questions, {len(finished)} of them answered in the log" in err
        asked = Counter(request["question"] for request in requests(slow.url))
    twice = [question for question, count in asked.items() if count > 1]
    assert len(asked) == ROWS
    assert len(twice) <= 2  # only what was under way at the kill
    assert results(tmp_path)["outcomes"]["error"] == 1


def test_audit_and_compare_ask_no_judge(tmp_path, data, model, judge):
    with_judge = ("--judge", "vllm-chat", "--judge-url", judge)
    for work in ("one", "two"):
        code, _, err = aisb(*the_run(model, data, *with_judge, "-w", work)[:-2], "-w", work, cwd=tmp_path)
        assert code == 0, err
    before = len(requests(judge))
    (one,), (two,) = (tmp_path / "one").iterdir(), (tmp_path / "two").iterdir()
    code, out, err = aisb("compare", str(one), str(two), cwd=tmp_path)
    assert code == 0, err
    assert "tie" in out
    code, out, err = aisb("audit", str(one), cwd=tmp_path)
    assert code == 0, err
    assert len(requests(judge)) == before
    (kept,) = one.glob("judge/*/worker-0")
    kept.unlink()
    code, _, err = aisb("audit", str(one), cwd=tmp_path)
    assert code == 2
    assert "the judge vllm-chat was not asked about every answer yet, and this command sends nothing" in err
    assert f"complete the judging first, with: aisb score {one.name}" in err


def test_outputs_from_anywhere_are_judged_and_what_is_said_is_kept_beside_them(tmp_path, data, judge):
    lines = [{"output": reply(n), "reference": str(n), "question": "?"} for n in range(ROWS)]
    (tmp_path / "outputs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = ["grade", "aime2025:judged", "outputs.jsonl", "-o", "graded.jsonl", "--judge", "vllm-chat"]
    code, _, err = aisb(*words[:5], cwd=tmp_path)
    assert code == 2
    assert "aime2025 is graded by a judge model, and none is set" in err
    code, _, err = aisb(*words, "--judge-url", judge, cwd=tmp_path)
    assert code == 0, err
    assert "judged by vllm-chat: 24 questions, 0 of them answered in the log" in err
    graded = [json.loads(line) for line in (tmp_path / "graded.jsonl").read_text().splitlines()]
    assert Counter(line["outcome"] for line in graded) == {"correct": 15, "wrong": 8, "error": 1}
    code, _, err = aisb(*words, "--judge-url", "http://127.0.0.1:9", cwd=tmp_path)
    assert code == 0, err
    assert "24 questions, 24 of them answered in the log" in err


def test_the_progress_of_judging_counts_only_the_rows_that_are_judged(tmp_path, data, judge):
    rows = [
        {"question": f"What is the value of thing number {n} here?", "answer": str(n), "kind": kind}
        for n, kind in enumerate(["open", "exact", "exact"] * 4)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "things.toml").write_text(
        """summary = "Things"
[dataset]
use = "jsonl"
path = "./rows.jsonl"
[prompt]
user = "{question}"
[sample]
target = "{answer}"
[[evaluate]]
use = "judge"
repeats = 2
only = { kind = "open" }
[[evaluate]]
use = "exact-match"
only = { kind = "exact" }
"""
    )
    code, _, err = aisb(
        "run", "--models", "sim", "--datasets", "./things.toml", "--set", f"model.answers={data}/model.jsonl",
        "--judge", "vllm-chat", "--judge-url", judge, cwd=tmp_path,
    )  # fmt: skip
    assert code == 0, err
    assert "judged by vllm-chat: 8 questions" in err
    assert "judging things · sim · vllm-chat: done: 8/8 finished" in err
