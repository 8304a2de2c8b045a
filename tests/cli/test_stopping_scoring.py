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
from forked import run_forked

PLUGIN = '''\
"""Graders and a report that take an hour at the place that $SLOW_AT names."""

import asyncio
import os
import time
from pathlib import Path

from aisb import Evaluator, Reporter, Score, hookimpl


def take_long(at):
    if os.environ.get("SLOW_AT") != at:
        return
    Path("is-slow").touch()
    try:
        time.sleep(3600)
    except BaseException:
        if "caught" not in at:
            raise


class Slow(Evaluator):
    def score(self, answer, sample):
        take_long("score")
        take_long("score, caught")
        return Score(1.0)

    def summarize(self, scores):
        take_long("summarize")
        return None


class SlowInThreads(Evaluator):
    async def score(self, answer, sample):
        await asyncio.to_thread(take_long, "threads")
        return Score(1.0)


class SlowReport(Reporter):
    def report(self, run):
        take_long("report")
        take_long("report, caught")
        return []


@hookimpl
def aisb_evaluators():
    return {"slow": Slow, "slow-in-threads": SlowInThreads}


@hookimpl
def aisb_reporters():
    return {"slow-report": SlowReport}
'''

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
    folder = tmp_path / "plugin"
    about = folder / "aisb_slow-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "aisb_slow.py").write_text(PLUGIN)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: aisb-slow\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[aisb]\nslow = aisb_slow\n")
    return folder


def environment(plugin: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AISB_")}
    return {**kept, "PYTHONPATH": str(plugin), "COLUMNS": "200"}


@pytest.mark.parametrize(("at", "evaluator", "number"), CASES)
def test_a_signal_ends_it_soon_and_the_run_can_be_scored(
    tmp_path: Path, plugin: Path, at: str, evaluator: str, number: signal.Signals
) -> None:
    run = subprocess.Popen(
        [
            sys.executable, "-m", "aisb_cli.main", "run", "--models", "sim", "--datasets", "demo_gsm8k",
            "--num-prompts", "5", "--set", f'task.evaluate=[{{use="{evaluator}"}}]', "--reporters", "slow-report",
        ],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**environment(plugin), "SLOW_AT": at},
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
