"""Workers that are killed in the middle of a run: what they had is asked again, or the result says what is lost."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from forked import Forked

from aisb_engine._record.log import read_file
from aisb_mock import MockOptions, start_mock


@pytest.fixture(scope="module")
def slow():
    with start_mock(MockOptions(ttft_ms=120, tpot_ms=1, tokens=8)) as running:
        yield running


def begin(work: Path, url: str, *words: str) -> subprocess.Popen[str]:
    return Forked(
        [
            sys.executable, "-m", "aisb_cli.main", "run", "--models", "vllm_api_stream_chat", "--url", url,
            "--datasets", "demo_gsm8k", "--workers", "2", "-w", str(work), *words,
        ],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip


def records(work: Path):
    return [
        record.prediction
        for file in work.glob("2*/log/*/*/worker-*")
        for record in read_file(file)
        if record is not None
    ]


def kill_a_worker(process: subprocess.Popen[str], work: Path, answered: int) -> None:
    """Kill one worker process of a run once that many requests have been answered."""
    ends = time.monotonic() + 60
    while len(records(work)) < answered:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < ends
        time.sleep(0.02)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    workers = [pid for pid in children if b"_load.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(int(workers[-1]), signal.SIGKILL)


def losses(work: Path):
    (file,) = work.glob("2*/log/*/*/load.json")
    return json.loads(file.read_text())["lost_workers"]


def test_an_accuracy_run_asks_again_what_a_lost_worker_had_and_nothing_twice(tmp_path: Path, slow) -> None:
    process = begin(tmp_path, slow.url, "--concurrency", "16")
    kill_a_worker(process, tmp_path, 16)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "worker 1 ended by signal 9 before its work did; its " in output, output
    assert "64/64 finished, 0 failed" in output
    asked = Counter(prediction.key for prediction in records(tmp_path))
    assert len(asked) == 64
    assert set(asked.values()) == {1}
    (loss,) = losses(tmp_path)
    assert (loss["worker"], loss["lost"], loss["share"]) == (1, 0, 0.0)
    assert f"its {loss['resent']} unfinished requests are sent again" in output
    assert loss["resent"] >= 8


def test_a_performance_run_keeps_what_was_measured_and_says_what_was_lost(tmp_path: Path, slow) -> None:
    process = begin(
        tmp_path, slow.url, "--mode", "perf", "--concurrency", "4", "--num-prompts", "50", "--tables"
    )
    kill_a_worker(process, tmp_path, 8)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    (loss,) = losses(tmp_path)
    assert 2 <= loss["lost"] == 50 - len(records(tmp_path))
    assert "worker 1 ended by signal 9 before its work did" in output
    verdict = "INVALID" if loss["lost"] > 5 else "SUSPECT"
    assert f"{verdict}: {2 * loss['lost']:.1f} % of the planned requests were lost" in output, output


def test_a_load_that_its_time_ends_loses_the_share_that_the_lost_client_had_left(
    tmp_path: Path, slow
) -> None:
    process = begin(
        tmp_path,
        slow.url,
        "--mode",
        "perf",
        "--concurrency",
        "4",
        "--pressure",
        "--pressure-time",
        "4",
        "--tables",  # with every reason: on a busy machine there are more
    )
    kill_a_worker(process, tmp_path, 4)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    (loss,) = losses(tmp_path)
    assert 0 < loss["share"] < 0.5
    assert f"{100 * loss['share']:.1f} % of the planned requests were lost" in output, output


def test_an_open_loop_without_a_worker_ends_with_what_it_did_not_ask(tmp_path: Path, slow) -> None:
    process = begin(tmp_path, slow.url, "--request-rate", "40")
    kill_a_worker(process, tmp_path, 16)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2, output
    assert re.search(r"send the rest with: aisb run --reuse \d+_\d+\b", output)
    (loss,) = losses(tmp_path)
    assert len(records(tmp_path)) == 64 - loss["lost"]
