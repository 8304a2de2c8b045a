"""Programs of answers run on a cluster, with the verdicts that they have on this machine."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest
from small_programs import RAISES, RIGHT, UNFINISHED, WRONG, write_programs

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: make test-ray"),
]

COUNT = 60
BODIES = (RIGHT, WRONG, RAISES, UNFINISHED, "    return sum([x, {n}])\n")


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A service that answers each row with its program, right or wrong."""
    from aisb_mock import MockOptions, start_mock

    bodies = BODIES * (COUNT // len(BODIES))
    task, replies = write_programs(tmp_path_factory.mktemp("programs"), bodies)
    with start_mock(MockOptions(answers=str(replies))) as started:
        yield started.url, str(task)


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
    options = (f"address={machines.address}", "resources={workers=1}", "start_within=900")
    place = [word for option in options for word in ("--set", f"launcher.{option}")]
    command = [sys.executable, "-m", "aisb_cli.main", *words, *place]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def verdicts(run):
    (file,) = run.folder.glob("results/*/programs_scores.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_programs_have_the_verdicts_on_a_cluster_that_they_have_here(answered, machines):
    here = verdicts(answered)
    assert sum(one["value"] for one in here) == COUNT * 2 / 5
    scoring = grade(answered, machines)
    said, _ = scoring.communicate(timeout=900)
    assert scoring.returncode == 0, said
    assert "code-run: graded on 2 workers of the launcher ray" in said
    assert verdicts(answered) == here


def test_the_programs_of_a_lost_worker_run_again(answered, machines, processes_of):
    here = verdicts(answered)
    scoring = grade(answered, machines)
    deadline = time.monotonic() + 900
    while not (busy := [pid for pid in workers_of(machines) if processes_of(pid, "_contain.py")]):
        assert scoring.poll() is None, scoring.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(busy[0], signal.SIGKILL)  # while it runs a program
    said, _ = scoring.communicate(timeout=900)
    assert scoring.returncode == 0, said
    assert "its process ended before its work did; " in said
    assert " answers are graded again" in said
    assert verdicts(answered) == here


def workers_of(machines):
    return machines.workers("one") + machines.workers("two")
