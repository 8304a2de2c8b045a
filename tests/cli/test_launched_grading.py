"""`aisb run` and `aisb score` with `--launcher`: workers run the programs of the answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aisb_mock import MockOptions, start_mock

TASK = """
version = 1
summary = "Small functions"
[dataset]
use = "jsonl"
path = "./rows.jsonl"
[sample]
fields = { prelude = { value = "{prompt}" } }
[prompt]
user = "Complete the function.\\n{prompt}"
[[postprocess]]
use = "code"
[[evaluate]]
use = "code-run"
"""
PROMPT = "def f{n}(x: int) -> int:\n    '''Return {n} more than x.'''\n"
TEST = "def check(candidate):\n    assert candidate(1) == {n} + 1\n    assert candidate(-7) == {n} - 7\n"
RIGHT, OTHER = "    return x + {n}\n", "    return x - {n}\n"
BODIES = (RIGHT, OTHER, "    raise ValueError(x)\n", "    return (\n", RIGHT, "    import os; os._exit(0)\n")


@pytest.fixture
def service(tmp_path):
    """A service that answers each row with its program, right or wrong, and one row without any."""
    rows, replies = [], []
    for n in range(18):
        prompt = PROMPT.format(n=n)
        rows.append({"task_id": n, "prompt": prompt, "entry_point": f"f{n}", "test": TEST.format(n=n)})
        body = BODIES[n % len(BODIES)].format(n=n)
        reply = f"```python\n{prompt}{body}```" if n < 17 else "I would rather not."
        replies.append({"question": prompt, "reply": reply})
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "programs.toml").write_text(TASK)
    (tmp_path / "replies.jsonl").write_text("".join(json.dumps(reply) + "\n" for reply in replies))
    with start_mock(MockOptions(answers=str(tmp_path / "replies.jsonl"))) as started:
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
    said = aisb(*run, "-w", str(there), "--launcher", "spawned", "--workers", "2")
    assert "programs · vllm-chat: code-run: graded on 2 workers of the launcher spawned" in said
    assert graded(there) == graded(here)
    scores, results = graded(here)
    assert results["outcomes"]["correct"] == 6
    assert len(scores) == 18
    # Scoring it again is done here, as the workers may be gone, unless the command names a launcher.
    assert "graded on" not in aisb("score", "latest", "-w", str(there))
    said = aisb("score", "latest", "-w", str(here), "--launcher", "spawned", "--workers", "3")
    assert "graded on 3 workers of the launcher spawned" in said
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
    (tmp_path / "programs.toml").write_text(task.replace("code-run", "math-verify"))
    found = []
    with start_mock(MockOptions(answers=str(tmp_path / "replies.jsonl"))) as service:
        run = ("run", "--models", "vllm-chat", "--url", service.url, "--datasets", "programs.toml")
        for launcher in ("local", "spawned"):
            said = aisb(*run, "-w", str(tmp_path / launcher), "--launcher", launcher, "--workers", "2")
            found.append(graded(tmp_path / launcher))
    assert "math-verify: graded on 2 workers of the launcher spawned" in said
    assert found[0] == found[1]
    assert 0 < sum(score["value"] for score in found[0][0]) < 20
