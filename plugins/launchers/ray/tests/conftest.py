"""A Ray cluster on this machine whose nodes tests end in every way, and runs that use it."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from aisb_engine._record.log import read_file
from aisb_mock import MockOptions, start_mock

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


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
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


