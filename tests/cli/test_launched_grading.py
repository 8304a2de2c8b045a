"""`aisb run` and `aisb score` with `--launcher`: workers run the programs of the answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_programs import EXITS, RAISES, RIGHT, TASK, UNFINISHED, WRONG, write_programs

from aisb_mock import MockOptions, start_mock

BODIES = (RIGHT, WRONG, RAISES, UNFINISHED, RIGHT, EXITS)


@pytest.fixture
def service(tmp_path):
    """A service that answers each row with its program, right or wrong, and one row without any."""
    _, replies = write_programs(tmp_path, (*BODIES, RIGHT), refusals=1)
    with start_mock(MockOptions(answers=str(replies))) as started:
        yield started.url


@pytest.fixture
def aisb(launching_aisb, monkeypatch):
    monkeypatch.setenv("AISB_ALLOW_CODE_EXECUTION", "1")
    return launching_aisb


def graded(work: Path):
    """The scores and the results of the only run in a folder, without the time of scoring."""
    (run,) = work.glob("2*")
    (scores,) = run.glob("results/*/programs_scores.jsonl")
    (results,) = run.glob("results/*/programs.json")
    table = json.loads(results.read_text())
    return [json.loads(line) for line in scores.read_text().splitlines()], {**table, "scored": None}


def test_programs_have_the_verdicts_on_workers_that_they_have_here(aisb, service, tmp_path):
    run = ("run", "--models", "vllm-chat", "--url", service, "--datasets", "programs.toml")
    here, there = tmp_path / "here", tmp_path / "there"
    aisb(*run, "-w", str(here))
    said = aisb(*run, "-w", str(there), "--launcher", "spawned")
    assert "programs · vllm-chat: code-run: graded on 1 worker of the launcher spawned" in said
    assert graded(there) == graded(here)
    scores, results = graded(here)
    assert results["outcomes"]["correct"] == 2
    assert len(scores) == 7
    # Scoring it again is done here, as the workers may be gone, unless the command names a launcher.
    assert "graded on" not in aisb("score", "latest", "-w", str(there))
    said = aisb("score", "latest", "-w", str(here), "--launcher", "spawned", "--workers", "2")
    assert "graded on 2 workers of the launcher spawned" in said
    assert graded(here) == graded(there) == (scores, results)


def test_what_needs_no_other_process_is_graded_here(aisb, tmp_path):
    run = ("run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "3")
    assert "graded on" not in aisb(*run, "--launcher", "spawned")


def test_workers_without_a_launcher_are_an_error(aisb, tmp_path):
    said = aisb("score", "latest", "--workers", "2", code=2)
    assert "--workers needs --launcher, which places them" in said


def test_a_launcher_that_fails_ends_the_scoring_with_its_name(aisb, service, tmp_path):
    run = ("run", "--models", "vllm-chat", "--url", service, "--datasets", "programs.toml")
    aisb(*run, "--num-prompts", "2", "-w", str(tmp_path / "here"))
    said = aisb("score", "latest", "-w", str(tmp_path / "here"), "--launcher", "broken", code=2)
    assert "launcher 'broken'" in said
    assert "KeyError: 'no such host'" in said


@pytest.mark.slow
def test_formulas_have_the_verdicts_on_workers_that_they_have_here(aisb, tmp_path):
    answers = (r"\frac{1}{2}", "0.5", "x^2 + 2x + 1", "(x+1)^2", r"\{1, 2\}", "7")
    rows = [{"question": f"Number {n}?", "answer": answers[n % 5 + n % 2]} for n in range(20)]
    replies = [
        {"question": row["question"], "reply": f"\\boxed{{{answers[n % 6]}}}"} for n, row in enumerate(rows)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "replies.jsonl").write_text("".join(json.dumps(reply) + "\n" for reply in replies))
    task = TASK.replace(
        'sample]\nfields = { prelude = { value = "{prompt}" } }', 'sample]\ntarget = "{answer}"'
    )
    task = task.replace("Complete the function.\\n{prompt}", "{question}").replace('"code"', '"boxed"')
    task = task.replace('"code-run"', '"math-verify"\ndeadline = 200')  # also on a busy machine
    (tmp_path / "programs.toml").write_text(task)
    found = []
    with start_mock(MockOptions(answers=str(tmp_path / "replies.jsonl"))) as service:
        run = ("run", "--models", "vllm-chat", "--url", service.url, "--datasets", "programs.toml")
        for launcher in ("local", "spawned"):
            said = aisb(*run, "-w", str(tmp_path / launcher), "--launcher", launcher, "--workers", "2")
            found.append(graded(tmp_path / launcher))
    assert "math-verify: graded on 2 workers of the launcher spawned" in said
    assert found[0] == found[1]
    assert 0 < sum(score["value"] for score in found[0][0]) < 20
