"""Ten deaths: a worker process, a whole node, a raylet alone, a cut network, each in the middle of a run.

Each is known within six seconds. An accuracy run goes on and has every answer once; a performance run keeps what
was measured, and its certificate says what was lost.
"""

import os
import signal
import sys
import time
from importlib.util import find_spec

import pytest

from aisb_engine import open_finished_run
from aisb_mock import MockOptions, start_mock

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: make test-ray"),
]

KNOWN_WITHIN = 6.0
ACCURACY = (
    "--workers", "2", "--concurrency", "4", "--set", "params.num_return_sequences=6",
    "--set", "params.temperature=1",
)  # fmt: skip
COUNT = 64 * 6
PERFORMANCE = ("--workers", "2", "--concurrency", "8", "-m", "perf", "--num-prompts", "400")


def on(resource):
    return ("--set", f"launcher.resources={{{resource}=1}}")


def lose(run, event, words="lost"):
    """Let an event happen in the middle of a run; the log of the run has the time at which it was known."""
    run.wait_for_records(20)
    assert words not in run.err
    began = time.time()
    event()
    run.wait_for_words(words)
    took = run.logged_at(words) - began
    sys.stdout.write(f"{os.environ['PYTEST_CURRENT_TEST'].split('::')[-1]}: known after {took:.2f} s\n")
    assert took < KNOWN_WITHIN


def check_accuracy(run, lost=1):
    """Every answer is there once, and what was asked again is counted."""
    run.end()
    records = run.records()
    assert len(records) == len(run.scores()) == COUNT
    assert max(records.values()) == 1
    facts = run.load()["lost_workers"]
    assert len(facts) == lost
    assert all(one["resent"] >= 1 and not one["lost"] for one in facts)


def check_performance(run):
    """What was measured is shown, and the certificate weighs what was lost."""
    out, _ = run.end()
    (facts,) = run.load()["lost_workers"]
    kept = sum(run.records().values())
    assert facts["lost"] == 400 - kept > 0
    verdict = "INVALID" if facts["lost"] > 40 else "SUSPECT"
    ((_, result),) = open_finished_run(run.folder).performance.items()
    (signal,) = [one for one in result.certificate.signals if "planned requests were lost" in one.reason]
    assert signal.verdict == verdict
    assert f"{facts['lost'] / 4:.1f} % of the planned requests were lost" in signal.reason
    assert f"{kept} requests, 0 failed" in out


def workers_of(machines):
    return machines.workers("one") + machines.workers("two")


def test_an_accuracy_run_survives_a_worker(begin, machines):
    run = begin(*ACCURACY, *on("workers"))
    lose(run, lambda: os.kill(workers_of(machines)[0], signal.SIGKILL))
    check_accuracy(run)


def test_an_accuracy_run_survives_all_its_workers(begin, machines):
    run = begin(*ACCURACY, *on("workers"))
    lose(run, lambda: [os.kill(pid, signal.SIGKILL) for pid in workers_of(machines)])
    check_accuracy(run, lost=2)


def test_an_accuracy_run_survives_a_worker_that_stands_still(begin, machines, ended_after):
    run = begin(*ACCURACY, *on("workers"))
    victim = []

    def stop():
        victim.append(workers_of(machines)[0])
        os.kill(victim[0], signal.SIGSTOP)

    lose(run, stop)
    assert ended_after(victim, 1) < 1
    check_accuracy(run)


def test_a_performance_run_keeps_what_was_measured_without_a_worker(begin, machines):
    run = begin(*PERFORMANCE, *on("workers"))
    lose(run, lambda: os.kill(workers_of(machines)[0], signal.SIGKILL))
    check_performance(run)


def test_an_accuracy_run_survives_a_node(begin, machines):
    machines.add("three", node_pair=1)
    run = begin(*ACCURACY, *on("node_pair"))
    lose(run, lambda: machines.kill_node("three"))
    check_accuracy(run)


def test_a_performance_run_keeps_what_was_measured_without_a_node(begin, machines):
    machines.add("four", node_pair=1)
    run = begin(*PERFORMANCE, *on("node_pair"))
    lose(run, lambda: machines.kill_node("four"))
    check_performance(run)


def test_an_accuracy_run_survives_a_raylet(begin, machines, ended_after):
    machines.add("five", raylet_pair=1)
    run = begin(*ACCURACY, *on("raylet_pair"))
    run.wait_for_records(20)
    orphans = machines.workers("five")
    lose(run, lambda: machines.kill_raylet("five"))
    assert len(orphans) == 1
    assert ended_after(orphans, 1) < 1
    check_accuracy(run)


def test_a_performance_run_keeps_what_was_measured_without_a_raylet(begin, machines):
    machines.add("six", raylet_pair=1)
    run = begin(*PERFORMANCE, *on("raylet_pair"))
    lose(run, lambda: machines.kill_raylet("six"))
    check_performance(run)


def test_a_run_whose_nodes_are_all_lost_says_so_and_reuse_resumes(begin, machines, resume):
    machines.add("seven")
    run = begin(*ACCURACY, *on("seven"), "--set", "launcher.start_within=150")
    lose(run, lambda: machines.kill_node("seven"))
    _, err = run.end(code=2)
    assert (
        "was lost, and no other worker can be started in its place: the Ray cluster placed 0 of 1 workers"
        in err
    )
    assert len(run.load()["lost_workers"]) == 2
    assert "all finished requests are kept in the log" in err
    resume(run, *ACCURACY, count=COUNT)


@pytest.fixture(scope="module")
def service(far_node, key):
    with start_mock(
        MockOptions(host="10.99.2.1", accuracy=0.8, ttft_ms=60, tpot_ms=2, tokens=20, api_key=key)
    ) as started:
        yield started


@pytest.fixture
def far(far_node, machines):
    far_node.start(machines.address, far_pair=1)
    yield far_node
    far_node.end()


def test_an_accuracy_run_survives_a_cut_network_and_asks_again_only_after_the_lease(
    begin, far, service, ended_after
):
    run = begin(*ACCURACY, *on("far_pair"), url=service.url)
    run.wait_for_records(20)
    (cut_off,) = far.workers()
    lose(run, far.cut)
    run.wait_for_words("are sent again")
    assert ended_after([cut_off], 0) < 0.1  # it reaches the service still, so it must have ended before
    check_accuracy(run)


def test_a_performance_run_keeps_what_was_measured_without_the_network(begin, far, service):
    run = begin(*PERFORMANCE, *on("far_pair"), url=service.url)
    lose(run, far.cut)
    check_performance(run)
