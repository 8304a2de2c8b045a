"""The death of the head node in the middle of a run.

Ray ends every process that was without the head for a minute. The command ends before, with a message, its own
exit code, and every answer; what can be finished in that time is finished.
"""

import sys
import time
from importlib.util import find_spec

import pytest

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: make test-ray"),
]

RAY_GIVES_UP = 24.0
"""Seconds, instead of 60, so that the test does not take a minute."""
WORDS = ("--workers", "2", "--set", "params.temperature=1")
SLOW, FAST = ("--concurrency", "2"), ("--concurrency", "24")
LONG, COUNT = ("--set", "params.num_return_sequences=20"), 64 * 20
SHORT = ("--set", "params.num_return_sequences=3")


@pytest.fixture
def impatient(monkeypatch):
    """Lets Ray wait for its head for a shorter time."""
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", f"{RAY_GIVES_UP:g}")


def on(resource):
    return ("--set", f"launcher.resources={{{resource}=1}}")


def test_without_its_head_a_run_ends_with_a_message_and_reuse_resumes(
    begin, another_cluster, resume, impatient, tmp_path
):
    with another_cluster() as cluster:
        run = begin(*WORDS, *SLOW, *LONG, *on("head_pair"), cluster=cluster)
        run.wait_for_records(20)
        workers = cluster.workers("one")
        assert len(workers) == 1  # the other one is on the head, and ends with it
        began = time.monotonic()
        cluster.kill_head()
        _, err = run.end(code=2)  # that of the command: Ray ends a process with 1
        took = time.monotonic() - began
    sys.stdout.write(f"the run ended {took:.1f} s after the head\n")
    assert "has not answered for 18 s, and Ray ends this process without it" in err
    assert "aisb run --reuse RUN sends the rest, on any launcher" in err
    assert "all finished requests are kept in the log" in err
    assert "Failed to connect to GCS" not in err  # what Ray prints when it ends a process
    (facts,) = run.load()["lost_workers"]
    assert facts["resent"] >= 1
    assert 20 < sum(run.records().values()) < COUNT
    here = run.copy(tmp_path / "here")
    resume(here, *WORDS, *FAST, *LONG, count=COUNT)
    with another_cluster() as cluster:
        resume(run, *WORDS, *FAST, *LONG, *on("workers"), count=COUNT, cluster=cluster)
    assert run.scores() == here.scores()


def test_a_run_that_needs_no_more_of_its_head_is_finished(begin, another_cluster, impatient):
    with another_cluster() as cluster:
        run = begin(*WORDS, *SLOW, *SHORT, *on("workers"), cluster=cluster)
        run.wait_for_records(20)
        cluster.kill_head()
        run.end()
    assert len(run.records()) == len(run.scores()) == 64 * 3
    assert max(run.records().values()) == 1
    assert not run.load().get("lost_workers")
