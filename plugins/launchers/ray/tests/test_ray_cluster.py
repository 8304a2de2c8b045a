"""`aisb run --launcher ray` on a cluster of three nodes gives what local workers give."""

import os
import re
import shutil
import signal
import subprocess
import sys
from importlib.util import find_spec

import pytest

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: make test-ray"),
]

TWO = ("--workers", "2", "--set", "launcher.resources={workers=1}")
LONG = ("--workers", "2", "--set", "params.num_return_sequences=6", "--set", "params.temperature=1")


def test_scores_and_output_are_those_of_local_workers_and_no_key_is_left(begin, machines, key):
    local = begin("--workers", "2", launcher="local", folder="local")
    local_out, _ = local.end()
    run = begin(*TWO)
    out, _ = run.end()
    assert out == local_out
    assert run.scores() == local.scores()
    clocks = run.load()["clocks"]
    assert sorted(number for clock in clocks for number in clock["workers"]) == [0, 1]
    assert len(clocks) == 2
    for clock in clocks:
        assert abs(clock["offset_ns"]) <= clock["uncertainty_ns"] < 1_000_000
    for file in machines.session.rglob("*"):
        assert not file.is_file() or key.encode() not in file.read_bytes(), file


def test_no_process_shows_the_key_in_its_command(begin, key):
    run = begin(*LONG, "--set", "launcher.resources={workers=1}", "--concurrency", "4")
    run.wait_for_records(20)
    shown = subprocess.run(
        ["ps", "-ww", "-e", "-o", "args"], capture_output=True, text=True, check=True
    ).stdout
    assert shown.count("ray::RayWorker") >= 2
    assert key not in "\n".join(
        line for line in shown.splitlines() if "aisb_mock" not in line
    )  # was given it so
    run.end()


def test_two_runs_share_a_cluster(begin):
    both = [begin(*TWO, folder=name) for name in ("one", "two")]
    for run in both:
        run.end()
        assert len(run.records()) == len(run.scores()) == 64
    assert both[0].scores() == both[1].scores()


def test_a_performance_run_has_all_requests_of_both_nodes(begin):
    run = begin(*TWO, "-m", "perf", "--num-prompts", "200", "--concurrency", "10")
    out, _ = run.end()
    assert "200 requests, 0 failed" in out
    assert sum(run.records().values()) == 200


def test_workers_end_with_the_command_and_reuse_resumes(begin, machines, resume, ended_after):
    run = begin(*LONG, "--concurrency", "4")
    run.wait_for_records(20)
    workers = machines.workers("one") + machines.workers("two")
    assert workers
    run.process.kill()
    took = ended_after(workers, 30)
    sys.stdout.write(f"workers ended {took:.2f} s after the command\n")
    assert took < 6
    resume(run, *LONG, count=384)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_a_run_as_without_ray(begin, number):
    codes = []
    for launcher, words in (("ray", TWO), ("local", TWO[:2])):
        run = begin(*LONG[2:], *words, launcher=launcher, folder=launcher)
        run.wait_for_records(20)
        run.process.send_signal(number)
        codes.append(run.process.wait(timeout=600))
        assert "stopping: what has finished is kept" in run.err
    assert codes[0] == codes[1]


def test_a_cluster_without_room_says_what_was_asked_for(begin):
    words = ("--workers", "2", "--set", "launcher.resources={nowhere=1}", "--set", "launcher.start_within=2")
    _, err = begin(*words).end(code=2)
    assert "the Ray cluster placed 0 of 2 workers within 2 s" in err


def test_launchers_keep_the_contract(machines):
    code = (
        "from aisb_testing import check_launcher\nfrom aisb_launcher_ray._launcher import RayWorkers\n"
        f"print(check_launcher(RayWorkers, address={machines.address!r}, resources={{'workers': 1}}))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=False
    )
    assert ended.stdout.strip() == "['work and end', 'lose a worker', 'stop a worker']", ended.stderr


def doctor(machines):
    words = ("doctor", "--launcher", "ray", "--set", f"launcher.address={machines.address}")
    return subprocess.run(
        [sys.executable, "-m", "aisb_cli.main", *words],
        capture_output=True, text=True, timeout=600, check=False, env={**os.environ, "COLUMNS": "300"},
    )  # fmt: skip


def test_doctor_looks_at_each_node(machines):
    ended = doctor(machines)
    shown = ended.stdout.partition("launcher ray")[2]
    assert re.search(r"ok +cluster: Ray 2\.\d+\.\d+, \d+ nodes, \d+ CPUs, 0 GPUs", shown), ended.stderr
    nodes = re.findall(r"(\S+) +node 127\.0\.0\.\d+: .* open files, .* clock uncertainty 0\.\d\d ms", shown)
    nodes += re.findall(r"(\S+) +node [\d.]+: .*clock uncertainty", shown)
    assert len(nodes) >= 3
    assert re.search(r"ok +load: \d+ workers at one CPU each; .* about [\d,]+ requests in flight", shown)
    assert "authentication" not in shown


@pytest.fixture
def other_node(machines, tmp_path):
    """A node without the plugin of the backend, and with other code of the launcher, at an address of its own."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['aisb_backend_vllm'] = None\n")
    (source,) = find_spec("aisb_launcher_ray").submodule_search_locations
    copied = shutil.copytree(source, tmp_path / "aisb_launcher_ray")
    with (copied / "__init__.py").open("a") as file:
        file.write("# another version\n")
    address = "127.0.0.9"
    machines.add("other", node_ip_address=address, env_vars={"PYTHONPATH": str(tmp_path)})
    yield address
    machines.kill_node("other")


def test_a_node_with_other_code_is_refused_by_its_name(begin, machines, other_node):
    out, err = begin(*TWO).end(code=2)
    assert out == ""
    assert "nodes of the cluster cannot run these workers:" in err
    assert f"node {other_node}: aisb_backend_vllm is not installed there" in err
    assert f"node {other_node}: aisb_launcher_ray is another version there (" in err
    assert len(re.findall(r"^ *node ", err, re.MULTILINE)) == 2
    assert "install the same aisb, with the same plugins, on each node" in err
    ended = doctor(machines)
    assert ended.returncode == 1
    assert re.search(rf"node {other_node}: .*aisb_backend_vllm is not installed there", ended.stdout)
