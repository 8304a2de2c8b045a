"""A local model as replicas on a cluster: one actor for each N CPUs, and samples go to whichever is free."""

import json
import os
import signal
import sys
from importlib.util import find_spec

import pytest

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: make test-ray"),
    pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed: make test-ray"),
]

COUNT = 60
WORDS = ("--max-out-len", "12", "--concurrency", "6")
ON_TWO = ("--workers", "2", "--set", "launcher.resources={workers=1}", "--set", "launcher.cpus=2")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The words of `--models` and more that name a model with random weights."""
    from hf_small import build

    folder = build(tmp_path_factory.mktemp("model"))
    return ("hf_base_model", "--set", f"model.path={folder}", "--set", "model.device=cpu")


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    from hf_small import write_task

    return str(write_task(tmp_path_factory.mktemp("task"), COUNT))


@pytest.fixture(scope="module")
def alone(begin_in, model, task, tmp_path_factory):
    """The run in one local process."""
    run = begin_in(tmp_path_factory.mktemp("alone"), *WORDS, model=model, task=task, launcher="local")
    run.end()
    return run


def answers(run):
    (file,) = run.folder.glob("predictions/*/words.jsonl")
    lines = map(json.loads, file.read_text().splitlines())
    return {line["id"]: line["prediction"] for line in lines}


def test_two_replicas_answer_as_one_process_does(begin, model, task, alone):
    run = begin(*WORDS, *ON_TWO, model=model, task=task)
    run.end()
    assert len(answers(run)) == COUNT
    assert answers(run) == answers(alone)
    assert run.scores() == alone.scores()
    answered = run.records_by_worker()
    assert len(answered) == 2
    assert min(answered) >= COUNT / 10  # each took samples while it was free


def test_a_replica_that_dies_is_replaced_and_its_samples_are_asked_again(begin, machines, model, task, alone):
    run = begin(*WORDS, *ON_TWO, model=model, task=task)
    run.wait_for_records(5)
    replicas = machines.workers("one") + machines.workers("two")
    assert len(replicas) == 2
    os.kill(replicas[0], signal.SIGKILL)
    run.end()
    assert len(run.records()) == len(run.scores()) == COUNT
    assert max(run.records().values()) == 1
    (facts,) = run.load()["lost_workers"]
    assert facts["resent"] >= 1
    assert not facts["lost"]
    assert answers(run) == answers(alone)
    sys.stdout.write(f"{facts['resent']} samples were asked again\n")
