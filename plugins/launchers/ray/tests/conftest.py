"""A Ray cluster on this machine, whose nodes tests end in every way, and runs of the command that use it."""

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
from copy import copy
from datetime import datetime
from pathlib import Path

import pytest

from aisb_engine._record.log import read_file
from aisb_mock import MockOptions, start_mock

# Ray is not imported here: it reads its settings of authentication when it is imported.

KEY = "sk-" + secrets.token_hex(16)
SMALL = {"object_store_memory": 150 << 20, "num_cpus": 2}
NAMESPACE, LINK, SERVICE_LINK = "aisb-far", "aisbfar0", "aisbfar2"
NEAR, FAR = "10.99.1.1", "10.99.1.2"
SERVICE = "10.99.2.1"
START_WITHIN = 900
"""Seconds in which workers must start. Tests wait as long for what they do not measure, as processors may be busy."""


class Machines:
    """A cluster of Ray on this machine. Each node has custom resources that say who may be placed there."""

    def __init__(self):
        from ray.cluster_utils import Cluster

        head = {**SMALL, "include_dashboard": False, "resources": {"head_pair": 1}}
        self.cluster = tried(lambda: Cluster(initialize_head=True, head_node_args=head))
        self.nodes = {}

    def add(self, name, *, node_ip_address=None, env_vars=None, **resources):
        more = {"node_ip_address": node_ip_address} if node_ip_address else {}
        given = {"resources": {name: 8, **resources}, "env_vars": env_vars, **SMALL, **more}
        self.nodes[name] = tried(lambda: self.cluster.add_node(**given))

    @property
    def address(self):
        return self.cluster.address

    @property
    def session(self):
        return Path(self.cluster.head_node.get_session_dir_path())

    def raylet(self, name):
        return self.nodes[name].all_processes["raylet"][0].process.pid

    def workers(self, name):
        return [pid for pid in children_of(self.raylet(name)) if "ray::RayWorker" in command_of(pid)]

    def kill_raylet(self, name):
        """Kill a node's raylet alone; its workers live on."""
        agents = [pid for pid in children_of(self.raylet(name)) if "ray::" not in command_of(pid)]
        os.kill(self.raylet(name), signal.SIGKILL)
        kill_all(agents)  # they would send SIGTERM to whoever is their parent then

    def kill_node(self, name):
        kill_all([self.raylet(name), *children_of(self.raylet(name))])

    def kill_head(self):
        """Kill everything on the head node: Ray's control service, its raylet and its workers."""
        processes = self.cluster.head_node.all_processes
        raylet = processes["raylet"][0].process.pid
        kill_all([processes["gcs_server"][0].process.pid, raylet, *children_of(raylet)])


def tried(start, times=5):
    """Start something of Ray. A raylet gives up on its agents after 15 s, which busy processors exceed."""
    for _ in range(times - 1):
        with contextlib.suppress(Exception):  # of Ray, in many kinds
            return start()
    return start()


class FarNode:
    """A node in a network of its own: one link to the cluster, which can be cut, and one to the service."""

    def __init__(self):
        self._process = None
        in_it = ("netns", "exec", NAMESPACE, "ip")
        ip("netns", "add", NAMESPACE)
        for link, near, far in ((LINK, NEAR, FAR), (SERVICE_LINK, SERVICE, "10.99.2.2")):
            ip("link", "add", link, "type", "veth", "peer", "name", f"{link}p")
            ip("link", "set", f"{link}p", "netns", NAMESPACE)
            ip("address", "add", f"{near}/24", "dev", link)
            ip("link", "set", link, "up")
            ip(*in_it, "address", "add", f"{far}/24", "dev", f"{link}p")
            ip(*in_it, "link", "set", f"{link}p", "up")
        ip(*in_it, "link", "set", "lo", "up")
        ip(*in_it, "route", "add", "default", "via", NEAR)

    def start(self, address, **resources):
        """Start a node of the cluster there, on a link that works."""
        ip("link", "set", LINK, "up")
        self._process = subprocess.Popen(
            [
                "ip", "netns", "exec", NAMESPACE, str(Path(sys.executable).with_name("ray")), "start",
                f"--address={address}", f"--node-ip-address={FAR}", f"--resources={json.dumps(resources)}",
                f"--num-cpus={SMALL['num_cpus']}", f"--object-store-memory={SMALL['object_store_memory']}",
                "--block",
            ],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        for line in self._process.stdout:
            if "Ray runtime started" in line:
                return
        raise AssertionError("the far node did not start")

    def cut(self):
        ip("link", "set", LINK, "down")

    def workers(self):
        return [pid for pid in self._pids() if "ray::RayWorker" in command_of(pid)]

    def end(self):
        while pids := self._pids():
            kill_all(pids)
            time.sleep(0.05)
        if self._process is not None:
            self._process.communicate()
            self._process = None
        ip("link", "set", LINK, "up")  # connections to what is gone are refused at once

    def remove(self):
        self.end()
        remove_network()

    def _pids(self):
        return [int(word) for word in ip("netns", "pids", NAMESPACE).split()]


def ip(*words):
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


def remove_network():
    for words in (
        ("netns", "delete", NAMESPACE), ("link", "delete", LINK), ("link", "delete", SERVICE_LINK)
    ):  # fmt: skip
        with contextlib.suppress(subprocess.CalledProcessError):
            ip(*words)


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


class Run:
    """An `aisb run` that has begun. Its standard output and error are files."""

    def __init__(self, machines, url, work, *words, launcher="ray", model=None, task="demo_gsm8k"):
        self.work = work
        work.mkdir(exist_ok=True)
        self._files = [(work / name).open("w+") for name in ("out", "err")]
        asked = model or ("vllm_api_stream_chat", "--url", url, "--api-key-env", "SERVICE_KEY")
        options = ()
        if launcher == "ray":
            options = (
                "--set", f"launcher.address={machines.address}",
                "--set", f"launcher.start_within={START_WITHIN}",
            )  # fmt: skip
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "aisb_cli.main", "run", "--models", *asked, "--datasets", task,
                "--launcher", launcher, *options, "-w", str(work), *words,
            ],
            env={**os.environ, "SERVICE_KEY": KEY, "NO_COLOR": "1", "COLUMNS": "200"},
            stdout=self._files[0],
            stderr=self._files[1],
        )  # fmt: skip

    def copy(self, work):
        """Return this run, which has ended, in another folder."""
        shutil.copytree(self.work, work)
        copied = copy(self)
        copied.work = work
        return copied

    @property
    def err(self):
        return (self.work / "err").read_text()

    @property
    def folder(self):
        return max(self.work.glob("2*"))

    def end(self, code=0):
        self.process.wait(timeout=START_WITHIN)
        for file in self._files:
            file.close()
        assert self.process.returncode == code, self.err
        assert "Traceback" not in self.err, self.err
        return (self.work / "out").read_text(), self.err

    def wait_for_records(self, count):
        """Return when that many records have arrived in the run folder."""
        wait_until(lambda: sum(self.records().values()) >= count, lambda: self.process.poll() is None, self)

    def wait_for_words(self, words):
        """Return when the command has said something on standard error."""
        wait_until(lambda: words in self.err, lambda: self.process.poll() is None or words in self.err, self)

    def logged_at(self, words):
        """The time at which the command wrote a line with these words to its log, in seconds since 1970."""
        (file,) = self.folder.glob("logs/infer/*/*.out")
        line = next(line for line in file.read_text().splitlines() if words in line)
        return datetime.fromisoformat(line.split()[0]).timestamp()

    def records(self):
        """The attempts in the log, by the id and repeat that they are of."""
        return Counter(
            record.prediction.key
            for file in self.work.glob("2*/log/*/*/worker-*")
            for record in read_file(file)
            if record is not None
        )

    def records_by_worker(self):
        """The number of attempts in the log of each worker."""
        (folder,) = self.folder.glob("log/*/*")
        return [len([*read_file(file)]) for file in sorted(folder.glob("worker-*"))]

    def load(self):
        (file,) = self.folder.glob("log/*/*/load.json")
        return json.loads(file.read_text())

    def scores(self):
        (file,) = self.folder.glob("results/*/*_scores.jsonl")
        lines = map(json.loads, file.read_text().splitlines())
        return sorted((line["id"], line["repeat"], line["value"]) for line in lines)


def wait_until(condition, goes_on, run):
    deadline = time.monotonic() + START_WITHIN
    while not condition():
        assert goes_on(), run.err
        assert time.monotonic() < deadline, run.err
        time.sleep(0.05)


@pytest.fixture(scope="session")
def cluster_settings():
    before = dict(os.environ)
    os.environ |= {
        "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "120", "RAY_worker_niceness": "0",
    }  # fmt: skip
    # Else each process of Ray compiles its modules anew: then a busy machine takes longer than the 15 s
    # that a raylet waits for its agents.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    yield
    os.environ.clear()
    os.environ.update(before)


@contextlib.contextmanager
def cluster_of_three():
    started = Machines()
    try:
        started.add("one", workers=8, head_pair=1, node_pair=1, raylet_pair=1, far_pair=1)
        started.add("two", workers=8)
        yield started
    finally:
        started.cluster.shutdown()


@pytest.fixture(scope="module")
def machines(cluster_settings):
    with cluster_of_three() as started:
        yield started


@pytest.fixture
def another_cluster(cluster_settings):
    """Starts a cluster that may lose its head, or that takes the place of one that did."""
    return cluster_of_three


@pytest.fixture(scope="session")
def far_node(cluster_settings):
    remove_network()  # of tests that were killed
    try:
        made = FarNode()
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"this machine lets the tests make no network of their own: {error}")
    yield made
    made.remove()


@pytest.fixture(scope="session")
def mock():
    with start_mock(MockOptions(accuracy=0.8, ttft_ms=60, tpot_ms=2, tokens=20, api_key=KEY)) as started:
        yield started


@pytest.fixture(scope="session")
def key():
    """The key of the service."""
    return KEY


@pytest.fixture
def ended_after():
    """Waits until processes have ended; seconds that it took."""

    def ended_after(pids, patience):
        began = time.monotonic()
        while any(map(is_running, pids)) and time.monotonic() - began < patience:
            time.sleep(0.02)
        return time.monotonic() - began

    return ended_after


@pytest.fixture
def processes_of():
    """Returns the processes that another one has started, by a word of their commands."""
    return lambda parent, word: [pid for pid in children_of(parent) if word in command_of(pid)]


@pytest.fixture
def begin(begin_in, tmp_path):
    """Begins a run in a folder of its own, by default on the cluster that the tests of a module share."""
    return lambda *words, folder="ray", **more: begin_in(tmp_path / folder, *words, **more)


@pytest.fixture(scope="module")
def begin_in(request, mock):
    """Begins a run in a folder."""

    begun = []

    def begin_in(work, *words, url=mock.url, cluster=None, **more):
        cluster = cluster or request.getfixturevalue("machines")
        begun.append(Run(cluster, url, work, *words, **more))
        return begun[-1]

    yield begin_in
    for run in begun:
        run.process.kill()  # of a test that failed


@pytest.fixture
def resume(mock):
    """Finishes a run that ended early, here or on a cluster, and shows that nothing was lost or asked twice."""

    def resume(run, *words, count, cluster=None):
        kept = run.records()
        launcher = "ray" if cluster else "local"
        again = Run(cluster, mock.url, run.work, *words, "--reuse", "latest", launcher=launcher)
        again.end()
        records = again.records()
        assert len(records) == len(again.scores()) == count
        assert set(kept) <= set(records)
        assert max(records.values()) == 1

    return resume
