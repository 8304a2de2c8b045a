"""Ctrl-C and SIGTERM end scoring and reporting soon, whatever plugins do at that moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forked import Forked, run_forked
from slow_plugin import write_slow_plugin

CASES = [
    ("score", "slow", signal.SIGTERM),
    ("score, caught", "slow", signal.SIGTERM),
    ("score, caught", "slow", signal.SIGINT),
    ("summarize", "slow", signal.SIGTERM),
    ("threads", "slow-in-threads", signal.SIGTERM),
    ("report", "slow", signal.SIGINT),
    ("report, caught", "slow", signal.SIGTERM),
]


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    return write_slow_plugin(tmp_path / "plugin")


def environment(plugin: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AISB_")}
    return {**kept, "PYTHONPATH": str(plugin), "COLUMNS": "200"}


@pytest.mark.parametrize(("at", "evaluator", "number"), CASES)
def test_a_signal_ends_it_soon_and_the_run_can_be_scored(
    tmp_path: Path, plugin: Path, at: str, evaluator: str, number: signal.Signals
) -> None:
    run = Forked(
        [
            sys.executable, "-m", "aisb_cli.main", "run", "--models", "sim", "--datasets", "demo_gsm8k",
            "--num-prompts", "5", "--set", f'task.evaluate=[{{use="{evaluator}"}}]', "--reporters", "slow-report",
        ],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**environment(plugin), "SLOW_AT": at, "IS_SLOW": str(tmp_path / "is-slow")},
    )  # fmt: skip
    while not (tmp_path / "is-slow").exists():
        time.sleep(0.01)
        assert run.poll() is None
    for _ in range(2 if number == signal.SIGTERM else 1):  # some clusters send SIGTERM twice
        run.send_signal(number)
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 130, output
    assert "interrupted\nthe answers so far are kept in outputs/default/" in output
    assert "Traceback" not in output
    (manifest,) = tmp_path.glob("outputs/default/*/configs/manifest.json")
    assert json.loads(manifest.read_text())["sessions"][-1]["exit_code"] == 130
    again = run_forked(
        [sys.executable, "-m", "aisb_cli.main", "run", "--reuse"],
        cwd=tmp_path, env=environment(plugin), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    (results,) = tmp_path.glob("outputs/default/*/results/sim/demo_gsm8k.json")
    assert json.loads(results.read_text())["outcomes"]["correct"] == 5
