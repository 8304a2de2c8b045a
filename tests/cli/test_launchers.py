"""`aisb run --launcher`: a launcher that is written with aisb-core alone places workers as `local` does."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forked import Forked

MODEL = {"data": [{"id": "parrot-7"}]}
REPLY = {"choices": [{"message": {"content": "The answer is 18."}}], "usage": None}


@pytest.fixture
def aisb(launching_aisb):
    return launching_aisb


def latest(work: Path) -> Path:
    return max(work.glob("outputs/default/2*"))


def scores(run: Path):
    lines = (run / "results/sim/demo_gsm8k_scores.jsonl").read_text().splitlines()
    return sorted((line["id"], line["repeat"], line["value"]) for line in map(json.loads, lines))


def log_of(run: Path) -> str:
    (file,) = run.glob("logs/infer/*/demo_gsm8k.out")
    return file.read_text()


RUN = ("run", "--models", "sim", "--datasets", "demo_gsm8k")


@pytest.fixture(scope="module")
def runs(launching_aisb_in, tmp_path_factory) -> dict[str, Path]:
    """Three runs of the same requests, by where their workers are placed."""
    work = tmp_path_factory.mktemp("runs")
    (work / "elsewhere").mkdir()
    (work / "elsewhere/aisb.toml").write_text('[run]\nlauncher = "spawned"\n\n[launcher]\nelsewhere = true\n')
    (work / "local").mkdir()
    (work / "in-place").mkdir()
    launching_aisb_in(work / "local", *RUN, "--workers", "2", "--launcher", "local")
    launching_aisb_in(work / "elsewhere", *RUN, "--workers", "2")
    launching_aisb_in(work / "in-place", *RUN, "--launcher", "spawned")
    return {folder.name: latest(folder) for folder in work.iterdir()}


@pytest.mark.parametrize(("place", "workers"), [("in-place", 1), ("elsewhere", 2)])
def test_a_launcher_of_a_plugin_gives_the_scores_that_local_workers_give(runs, place, workers):
    assert len(list(runs["local"].glob("log/sim/demo_gsm8k/worker-*"))) == 2
    assert len(list(runs[place].glob("log/sim/demo_gsm8k/worker-*"))) == workers
    assert scores(runs[place]) == scores(runs["local"])
    assert len(scores(runs[place])) == 64


def test_a_worker_loads_the_plugin_of_its_backend_and_no_other(runs):
    lines = re.findall(r"worker (\d): this process has (.*)", log_of(runs["elsewhere"]))
    assert sorted(number for number, _ in lines) == ["0", "1"]
    loaded = set(lines[0][1].split())
    assert {"aisb_backend_sim", "aisb_engine"} <= loaded
    assert not [
        name for name in loaded if name.startswith(("aisb_evaluator", "aisb_dataset", "aisb_reporter"))
    ]


def test_one_worker_is_placed_too_where_a_launcher_was_chosen(runs):
    assert "worker 0: this process has" in log_of(runs["in-place"])


def test_the_launcher_and_its_options_stand_in_aisb_toml_and_in_the_configuration_of_the_run(
    runs, launching_aisb_in
):
    run = runs["elsewhere"]
    (file,) = run.glob("configs/*.toml")
    assert 'launcher = "spawned"' in file.read_text()
    assert "[launcher]\nelsewhere = true" in file.read_text()
    assert "this process has" in log_of(run)
    # A flag for another launcher: the options of the file are not for it.
    folder = run.parents[2]
    launching_aisb_in(folder, *RUN, "--workers", "2", "--launcher", "local", "--num-prompts", "2")
    assert latest(folder) != run
    assert "this process has" not in log_of(latest(folder))


def test_a_performance_run_goes_through_a_launcher_of_a_plugin(aisb, tmp_path):
    output = aisb(
        *RUN, "--mode", "perf", "--workers", "2", "--concurrency", "4", "--launcher", "spawned",
        "--set", "launcher.elsewhere=true",
    )  # fmt: skip
    assert "certificate: " in output
    (log,) = latest(tmp_path).glob("log/sim/demo_gsm8k")
    assert {path.name for path in log.glob("client_health-*")} == {
        "client_health-0.jsonl",
        "client_health-1.jsonl",
    }
    assert json.loads((log / "load.json").read_text())["started_ns"] > 0
    assert not list(log.glob("share-*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--launcher", "spawnd"], "error: no launcher named 'spawnd'; did you mean 'spawned'?"),
        (
            ["--launcher", "spawned", "--set", "launcher.elswhere=true"],
            "error: launcher.elswhere: no such option; did you mean 'elsewhere'?",
        ),
        (
            ["--launcher", "spawned", "--set", "launcher.elsewhere=5"],
            "error: launcher.elsewhere: 5 is invalid: elsewhere takes bool",
        ),
        (["--set", "launcher.elsewhere=true"], "error: launcher.elsewhere: no such option\n  known: none"),
        (
            ["--launcher", "broken", "--workers", "2"],
            "error: launcher 'broken' of plugin test-launcher (aisb-test-launcher 1.0) failed: KeyError: 'no such host'",
        ),
        (
            ["--launcher", "idle", "--workers", "2"],
            "error: the launcher ended before all workers were ready; not ready: 0, 1",
        ),
        (
            ["--launcher", "miscounting", "--workers", "2"],
            "error: the launcher forwarded a message of worker 7; its workers are 0 to 1",
        ),
    ],
)
def test_a_wrong_launcher_is_refused_with_what_would_be_right(aisb, words, message):
    assert message in aisb(*RUN, *words, code=2)


def test_a_worker_that_is_lost_ends_the_run_with_what_its_launcher_says(installed, tmp_path):
    words = [
        *RUN,
        "--set",
        "model.ttft_ms=200",
        "--set",
        "params.num_return_sequences=100",
        "--concurrency",
        "4",
    ]
    process = Forked(
        [sys.executable, "-m", "aisb_cli.main", *words, "--workers", "1", "--launcher", "spawned"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed), "AISB_BLOCK": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    ends = time.monotonic() + 60
    while not any(shard.stat().st_size for shard in tmp_path.glob("outputs/default/*/log/sim/*/worker-0")):
        assert process.poll() is None
        assert time.monotonic() < ends
        time.sleep(0.02)
    for child in map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()):
        if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text():
            os.kill(child, signal.SIGKILL)
            break
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2, output
    assert re.search(r"error: process \d ended with -9\n  all finished requests are kept in the log", output)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_run_whose_workers_are_being_started(installed, tmp_path, number):
    process = Forked(
        [sys.executable, "-m", "aisb_cli.main", *RUN, "--workers", "2", "--launcher", "slow"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed), "AISB_BLOCK": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    ends = time.monotonic() + 200
    while not (tmp_path / "starting").exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < ends
        time.sleep(0.02)
    process.send_signal(number)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 130, output
    assert "stopping: what has finished is kept" in output
    assert "64 of 64 requests have no answer yet" in output
    assert "Traceback" not in output, output


@pytest.mark.parametrize(("launcher", "workers"), [("local", "2"), ("spawned", "1")])
def test_what_a_probe_learned_is_known_to_backends_of_workers(aisb, answering, launcher, workers):
    service = answering({"/v1/models": (200, MODEL), "/v1/chat/completions": (200, REPLY)})
    aisb(
        "run", "--models", "learner", "--url", service.url, "--datasets", "demo_gsm8k", "--workers", workers,
        "--concurrency", "4", "--mode", "infer", "--launcher", launcher,
    )  # fmt: skip
    assert [body["model"] for body in service.bodies] == ["parrot-7"] * 64


def test_a_backend_that_other_processes_cannot_import_is_refused(aisb, answering):
    service = answering({"/v1/models": (200, MODEL), "/v1/chat/completions": (200, REPLY)})
    output = aisb(
        "run", "--models", "nameless", "--url", service.url, "--datasets", "demo_gsm8k", "--workers", "2",
        code=2,
    )  # fmt: skip
    assert not service.bodies
    assert (
        "error: load.workers: backend 'nameless' of plugin test-launcher is not a function or class" in output
    )
    assert "so other processes cannot import it; use one worker" in output


def test_the_launchers_are_listed_with_the_plugins(aisb):
    assert "launcher: local" in aisb("plugins", "list")
    shown = aisb("plugins", "show", "spawned")
    assert "launcher:spawned" in shown
    assert "work in another folder, as another machine would" in shown
