"""Programs of answers run on a cluster, with the verdicts that they have on this machine."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: make test-ray"),
]

COUNT = 60
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
TEST = "def check(candidate):\n    assert candidate(1) == {n} + 1\n"
BODIES = (
    "    return x + {n}\n", "    return x - {n}\n", "    raise ValueError(x)\n", "    return (\n",
    "    return sum([x, {n}])\n",
)  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A service that answers each row with its program, right or wrong."""
    from aisb_mock import MockOptions, start_mock

    folder = tmp_path_factory.mktemp("programs")
    rows, replies = [], []
    for n in range(COUNT):
        prompt = PROMPT.format(n=n)
        rows.append({"task_id": n, "prompt": prompt, "entry_point": f"f{n}", "test": TEST.format(n=n)})
        body = BODIES[n % len(BODIES)].format(n=n)
        replies.append({"question": prompt, "reply": f"```python\n{prompt}{body}```"})
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "programs.toml").write_text(TASK)
    (folder / "replies.jsonl").write_text("".join(json.dumps(reply) + "\n" for reply in replies))
    with start_mock(MockOptions(answers=str(folder / "replies.jsonl"))) as started:
        yield started.url, str(folder / "programs.toml")


@pytest.fixture
def answered(begin, service, monkeypatch):
    """A run that was graded on this machine."""
    monkeypatch.setenv("AISB_ALLOW_CODE_EXECUTION", "1")
    url, task = service
    run = begin(url=url, task=task, launcher="local")
    run.end()
    return run


def grade(run, machines):
    """Begin to score a run on two workers of the cluster."""
    words = ("score", run.folder, "--launcher", "ray", "--workers", "2")
    place = ("--set", f"launcher.address={machines.address}", "--set", "launcher.resources={workers=1}")
    command = [sys.executable, "-m", "aisb_cli.main", *words, *place]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def verdicts(run):
    (file,) = run.folder.glob("results/*/programs_scores.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_programs_have_the_verdicts_on_a_cluster_that_they_have_here(answered, machines):
    here = verdicts(answered)
    assert sum(one["value"] for one in here) == COUNT * 2 / 5
    scoring = grade(answered, machines)
    said, _ = scoring.communicate(timeout=300)
    assert scoring.returncode == 0, said
    assert "code-run: graded on 2 workers of the launcher ray" in said
    assert verdicts(answered) == here


def test_the_programs_of_a_lost_worker_run_again(answered, machines, processes_of):
    here = verdicts(answered)
    scoring = grade(answered, machines)
    deadline = time.monotonic() + 200
    while not (busy := [pid for pid in workers_of(machines) if processes_of(pid, "_contain.py")]):
        assert scoring.poll() is None, scoring.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(busy[0], signal.SIGKILL)  # while it runs a program
    said, _ = scoring.communicate(timeout=300)
    assert scoring.returncode == 0, said
    assert "its process ended before its work did; " in said
    assert " answers are graded again" in said
    assert verdicts(answered) == here


def workers_of(machines):
    return machines.workers("one") + machines.workers("two")
