"""Ctrl-C and SIGTERM end a run at any moment, with what had finished kept and shown."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ACCURACY = ("run", "--models", "sim", "--datasets", "demo_gsm8k", "--concurrency", "2")
PERFORMANCE = (*ACCURACY, "--mode", "perf", "--pressure", "--pressure-time", "60")
SLOW = ("--set", "model.ttft_ms=100", "--set", "model.tpot_ms=0.1")


def start(*words: str, cwd: Path) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AISB_", "OPENAI_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "aisb_cli.main", *words],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**environment, "COLUMNS": "200"},
    )


def wait_for_answers(run: subprocess.Popen[str], work: Path) -> None:
    while sum(path.stat().st_size for path in work.glob("outputs/default/*/log/*/*/worker-*")) < 10_000:
        time.sleep(0.01)
        assert run.poll() is None


def workers(run: subprocess.Popen[str]) -> list[int]:
    """Return the worker processes of a command."""
    try:
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        found = [(int(pid), Path(f"/proc/{pid}/cmdline").read_bytes()) for pid in children]
    except FileNotFoundError:  # one ended meanwhile
        return []
    return [pid for pid, command in found if b"aisb_engine._load.worker" in command]


def last_session(work: Path) -> dict[str, object]:
    (manifest,) = work.glob("outputs/default/*/configs/manifest.json")
    session: dict[str, object] = json.loads(manifest.read_text())["sessions"][-1]
    return session


@pytest.mark.parametrize("count", ["1", "2"])
def test_sigterm_ends_an_accuracy_run_as_ctrl_c_does(tmp_path: Path, count: str) -> None:
    run = start(*ACCURACY, *SLOW, "--workers", count, cwd=tmp_path)
    wait_for_answers(run, tmp_path)
    for pid in (*workers(run), run.pid, run.pid):  # a cluster ends all processes of a job, some twice
        os.kill(pid, signal.SIGTERM)
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 130, output
    assert "stopping: what has finished is kept" in output
    assert "go on with: aisb run --reuse" in output
    assert last_session(tmp_path)["exit_code"] == 130


def test_sigterm_ends_a_performance_run_with_its_report(tmp_path: Path) -> None:
    run = start(*PERFORMANCE, *SLOW, cwd=tmp_path)
    wait_for_answers(run, tmp_path)
    run.terminate()
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 130, output
    assert "Performance Parameters" in output
    assert "the run was interrupted" in output


def test_sigterm_ends_a_run_in_the_background_of_a_shell_which_ignores_ctrl_c(tmp_path: Path) -> None:
    words = " ".join([sys.executable, "-m", "aisb_cli.main", *ACCURACY, *SLOW])
    shell = subprocess.Popen(
        ["sh", "-c", f"{words} & echo $!; wait $!; echo ended $?"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert shell.stdout is not None
    pid = int(shell.stdout.readline())
    wait_for_answers(shell, tmp_path)
    os.kill(pid, signal.SIGTERM)
    output, _ = shell.communicate(timeout=60)
    assert "ended 130" in output
    assert "go on with: aisb run --reuse" in output


@pytest.mark.parametrize("after_ms", [0, 100, 300])
def test_ctrl_c_while_workers_start_stops_the_run(tmp_path: Path, after_ms: int) -> None:
    run = start(*ACCURACY, *SLOW, "--workers", "2", cwd=tmp_path)
    while not workers(run):
        time.sleep(0.001)
        assert run.poll() is None
    time.sleep(after_ms / 1000)
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 130, output
    assert "stopping: what has finished is kept" in output
    assert "64/64" not in output
    assert "Traceback" not in output
