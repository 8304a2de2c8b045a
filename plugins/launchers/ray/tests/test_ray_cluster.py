"""`aisb run --launcher ray` on a cluster of three nodes on this machine, which the tests start and end."""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

from aisb_engine._record.log import read_file
from aisb_mock import MockOptions, start_mock

# Not imported here: Ray reads its settings of authentication when it is imported.
pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: make test-ray"),
]

KNOWN_WITHIN = 6.5
KEY = "sk-" + secrets.token_hex(16)


class Machines:
    """A cluster of Ray on this machine. Each node has the custom resource that its name is."""

    def __init__(self):
        from ray.cluster_utils import Cluster

        self.small = {"object_store_memory": 150 << 20, "num_cpus": 2, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=self.small)
        self.nodes = {}

    def add(self, name):
        small = {key: value for key, value in self.small.items() if key != "include_dashboard"}
        self.nodes[name] = self.cluster.add_node(resources={name: 8}, **small)

    @property
    def session(self):
        return Path(self.cluster.head_node.get_session_dir_path())

    def raylet(self, name):
        return self.nodes[name].all_processes["raylet"][0].process.pid

    def children(self, name):
        return children_of(self.raylet(name))

    def workers(self, name):
        return [pid for pid in self.children(name) if "ray::Worker" in command_of(pid)]

    def kill_node(self, name):
        kill_all([self.raylet(name), *self.children(name)])


def kill_all(pids):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def children_of(parent):
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            pid = int(entry.name)
            if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(pid)
    return found


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture(scope="module")
def machines():
    before = dict(os.environ)
    os.environ |= {
        "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"
    }  # fmt: skip
    started = Machines()
    started.add("one")
    started.add("two")
    yield started
    started.cluster.shutdown()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def mock():
    with start_mock(MockOptions(accuracy=0.8, ttft_ms=60, tpot_ms=2, tokens=20, api_key=KEY)) as started:
        yield started


class Run:
    """An `aisb run` that has begun."""

    def __init__(self, machines, mock, work, *words, launcher="ray"):
        self.work = work
        address = ["--set", f"launcher.address={machines.cluster.address}"] if launcher == "ray" else []
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "aisb_cli.main", "run", "--models", "vllm_api_stream_chat", "--url", mock.url,
                "--datasets", "demo_gsm8k", "--launcher", launcher, *address, "--api-key-env", "SERVICE_KEY",
                "-w", str(work), *words,
            ],
            env={**os.environ, "SERVICE_KEY": KEY, "NO_COLOR": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    def end(self, code=0):
        out, err = self.process.communicate(timeout=100)
        assert self.process.returncode == code, err
        assert "Traceback" not in err, err
        return out, err

    @property
    def folder(self):
        return max(self.work.glob("2*"))

    def wait_for_records(self, count):
        """Return when that many records have arrived in the run folder."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            if self.work.exists() and sum(self.records().values()) >= count:
                return
            time.sleep(0.05)
        raise AssertionError(
            self.process.communicate()[1] if self.process.poll() is not None else "no records"
        )

    def records(self):
        """The attempts in the log, by the id and repeat that they are of."""
        return Counter(
            record.prediction.key
            for file in self.work.glob("2*/log/*/*/worker-*")
            for record in read_file(file)
        )

    def scores(self):
        (file,) = self.folder.glob("results/*/demo_gsm8k_scores.jsonl")
        lines = map(json.loads, file.read_text().splitlines())
        return sorted((line["id"], line["repeat"], line["value"]) for line in lines)


ON_BOTH = ("--workers", "2", "--set", "launcher.cpus=1")
LONG = (
    *ON_BOTH,
    "--concurrency",
    "4",
    "--set",
    "params.num_return_sequences=6",
    "--set",
    "params.temperature=1",
)


def on(name):
    return (*LONG, "--set", f"launcher.resources={{{name}=1}}")


def resume(run, machines, mock):
    """Finish a run that was interrupted, and show that nothing was lost or asked twice."""
    kept = run.records()
    again = Run(machines, mock, run.work, *LONG[:2], *LONG[4:], "--reuse", "latest", launcher="local")
    again.end()
    records = again.records()
    assert len(records) == 64 * 6
    assert set(kept) <= set(records)
    assert max(records.values()) == 1
    assert len(again.scores()) == 64 * 6


def lost_within(run, event, words):
    """Let an event happen to a run; return once the run has ended and said what was lost."""
    run.wait_for_records(20)
    began = time.monotonic()
    event()
    while run.process.poll() is None and time.monotonic() - began < 30:
        time.sleep(0.02)
    took = time.monotonic() - began
    _, err = run.end(code=2)
    assert words in err
    assert "everything that had finished is kept in the log" in err
    sys.stdout.write(f"{words!r}: the command ended {took:.2f} s after\n")
    assert took < KNOWN_WITHIN + 1.5  # in which the command ends its files


def test_scores_and_output_are_those_of_local_workers_and_no_key_is_left(machines, mock, tmp_path):
    local = Run(machines, mock, tmp_path / "local", "--workers", "2", launcher="local")
    local_out, _ = local.end()
    run = Run(machines, mock, tmp_path / "ray", *ON_BOTH)
    out, _ = run.end()
    assert out == local_out
    assert run.scores() == local.scores()
    (file,) = run.folder.glob("log/*/*/load.json")
    clocks = json.loads(file.read_text())["clocks"]
    assert sorted(number for clock in clocks for number in clock["workers"]) == [0, 1]
    assert len(clocks) == 2
    for clock in clocks:
        assert abs(clock["offset_ns"]) <= clock["uncertainty_ns"] < 1_000_000
    for file in machines.session.rglob("*"):
        if file.is_file():
            assert KEY.encode() not in file.read_bytes(), file


def test_a_performance_run_has_all_requests_of_both_nodes(machines, mock, tmp_path):
    run = Run(
        machines,
        mock,
        tmp_path / "ray",
        *ON_BOTH,
        "-m",
        "perf",
        "--num-prompts",
        "200",
        "--concurrency",
        "10",
    )
    out, _ = run.end()
    assert "200 requests, 0 failed" in out
    assert sum(run.records().values()) == 200


def test_a_worker_that_dies_is_named_and_the_run_can_go_on(machines, mock, tmp_path):
    run = Run(machines, mock, tmp_path / "ray", *LONG)

    def kill():
        os.kill((machines.workers("one") + machines.workers("two"))[0], signal.SIGKILL)

    lost_within(run, kill, "was lost: its process ended before its work did")
    resume(run, machines, mock)


def test_workers_end_with_the_command(machines, mock, tmp_path):
    run = Run(machines, mock, tmp_path / "ray", *LONG)
    run.wait_for_records(20)
    workers = machines.workers("one") + machines.workers("two")
    assert workers
    run.process.kill()
    began = time.monotonic()
    while any(map(is_running, workers)) and time.monotonic() - began < 30:
        time.sleep(0.02)
    took = time.monotonic() - began
    sys.stdout.write(f"workers ended {took:.2f} s after the command\n")
    assert took < KNOWN_WITHIN
    resume(run, machines, mock)


def test_sigterm_stops_a_run_as_without_ray(machines, mock, tmp_path):
    run = Run(machines, mock, tmp_path / "ray", *LONG)
    run.wait_for_records(20)
    run.process.send_signal(signal.SIGTERM)
    run.process.communicate(timeout=30)
    local = Run(machines, mock, tmp_path / "local", *LONG[:2], *LONG[4:], launcher="local")
    local.wait_for_records(20)
    local.process.send_signal(signal.SIGTERM)
    local.process.communicate(timeout=30)
    assert run.process.returncode == local.process.returncode


def test_a_stopped_worker_counts_as_lost(machines, mock, tmp_path):
    run = Run(machines, mock, tmp_path / "ray", *on("one"))
    victims = []

    def stop():
        victims.extend(machines.workers("one"))
        os.kill(victims[0], signal.SIGSTOP)

    lost_within(run, stop, "nothing was heard of it for 5 s")
    time.sleep(0.5)
    assert not is_running(victims[0])


def test_a_raylet_that_dies_alone_is_noticed_and_its_workers_send_no_more(machines, mock, tmp_path):
    machines.add("three")
    run = Run(machines, mock, tmp_path / "ray", *on("three"))
    workers = []

    left = machines.children("three")

    def kill():
        workers.extend(machines.workers("three"))
        os.kill(machines.raylet("three"), signal.SIGKILL)

    lost_within(run, kill, "was lost: ")
    assert len(workers) == 2
    assert not any(map(is_running, workers))
    kill_all(left)  # Ray's agents of that node, which send SIGTERM to whoever is their parent now
    resume(run, machines, mock)


def test_a_node_that_dies_is_noticed(machines, mock, tmp_path):
    machines.add("four")
    run = Run(machines, mock, tmp_path / "ray", *on("four"))
    lost_within(run, lambda: machines.kill_node("four"), "was lost: its node was lost")
    resume(run, machines, mock)


def test_a_cluster_without_room_says_what_was_asked_for(machines, mock, tmp_path):
    words = ("--set", "launcher.resources={nowhere=1}", "--set", "launcher.start_within=2")
    _, err = Run(machines, mock, tmp_path / "ray", *ON_BOTH, *words).end(code=2)
    assert "the Ray cluster placed 0 of 2 workers within 2 s" in err


def test_launchers_keep_the_contract(machines):
    code = (
        "from aisb_testing import check_launcher\nfrom aisb_launcher_ray._launcher import RayWorkers\n"
        f"print(check_launcher(RayWorkers, address={machines.cluster.address!r}))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=False
    )
    assert ended.stdout.strip() == "['work and end', 'lose a worker', 'stop a worker']", ended.stderr
