"""A run that is killed again and again ends with the results of one that was never disturbed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from forked import Forked

from aisb_engine._record.log import read_folder
from aisb_mock import MockOptions, start_mock

CONCURRENCY = 4


def aisb(*words: str, cwd: Path) -> subprocess.Popen[str]:
    return Forked(
        [sys.executable, "-m", "aisb_cli.main", *words],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    )


def the_run(url: str, repeats: int) -> list[str]:
    return [
        "run", "--models", "vllm_api_stream_chat", "--datasets", "demo_gsm8k", "--url", url,
        "--concurrency", str(CONCURRENCY), "--set", f"params.num_return_sequences={repeats}",
        "--set", "params.temperature=0.7", "--dump-eval-details",
    ]  # fmt: skip


def results(work: Path) -> dict[str, Any]:
    (path,) = work.glob("outputs/default/*/results/vllm-api-stream-chat/demo_gsm8k.json")
    table = json.loads(path.read_text())
    table.pop("scored")
    return table


def logged(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("log/*/*/worker-*"))


@pytest.mark.parametrize(
    ("most_kills", "repeats"), [(6, 3), pytest.param(22, 8, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_a_run_killed_at_random_moments_loses_and_doubles_nothing(
    tmp_path: Path, most_kills: int, repeats: int
) -> None:
    requests = 64 * repeats
    draw = random.Random(20261121)
    (calm := tmp_path / "calm").mkdir()
    (stormy := tmp_path / "stormy").mkdir()
    with start_mock(MockOptions(accuracy=0.6, ttft_ms="uniform:5:15", tpot_ms=0.2)) as mock:
        undisturbed = aisb(*the_run(mock.url, repeats), cwd=calm)
        output, _ = undisturbed.communicate(timeout=120)
        assert undisturbed.returncode == 0, output
        httpx.post(f"{mock.url}/reset")

        command = the_run(mock.url, repeats)
        kills = 0
        while kills < most_kills:
            run = aisb(*command, cwd=stormy)
            folders = []
            began = time.monotonic()
            while run.poll() is None and time.monotonic() - began < 30:
                folders = list(stormy.glob("outputs/default/*"))
                if folders and (folders[0] / "configs").is_dir() and logged(folders[0]) > 0:
                    break
                time.sleep(0.005)
            time.sleep(draw.uniform(0.0, 0.12) if kills else 0.05)
            if run.poll() is not None:
                break
            run.send_signal(signal.SIGKILL)
            run.communicate()
            kills += 1
            (folder,) = folders
            if kills % 5 == 0:  # a torn last record, as a power cut leaves it
                worker = folder / "log/vllm-api-stream-chat/demo_gsm8k/worker-0"
                with worker.open("r+b") as file:
                    file.truncate(worker.stat().st_size - draw.randrange(1, 40))
            command = ["run", "--reuse"]
        assert kills >= most_kills - 2, f"the run was over after {kills} kills"
        last = aisb("run", "--reuse", cwd=stormy)
        output, _ = last.communicate(timeout=120)
        assert last.returncode == 0, output
        assert f"finished of {requests}, 0 failed: resuming" in output
        received = httpx.get(f"{mock.url}/record").json()

    assert results(stormy) == results(calm)
    (folder,) = stormy.glob("outputs/default/*")
    log = read_folder(folder / "log/vllm-api-stream-chat/demo_gsm8k")
    assert len(log.finished) == requests
    lines = (folder / "predictions/vllm-api-stream-chat/demo_gsm8k.jsonl").read_text().splitlines()
    keys = Counter((line["id"], line["repeat"]) for line in map(json.loads, lines))
    assert len(keys) == requests
    assert set(keys.values()) == {1}
    # At most what was in flight at a kill, and what a torn record held, was asked once more.
    assert len(received["requests"]) <= requests + kills * CONCURRENCY + kills // 5


def test_a_finished_run_is_not_asked_again(tmp_path: Path) -> None:
    with start_mock(MockOptions()) as mock:
        first = aisb(
            "run",
            "--models",
            "vllm_api_stream_chat",
            "--datasets",
            "demo_gsm8k",
            "--url",
            mock.url,
            cwd=tmp_path,
        )
        assert first.wait(timeout=60) == 0
        first.communicate()
        httpx.post(f"{mock.url}/reset")
        again = aisb("run", "--reuse", cwd=tmp_path)
        output, _ = again.communicate(timeout=60)
        assert again.returncode == 0, output
        assert "Found 64 finished of 64, 0 failed: resuming" in output
        assert httpx.get(f"{mock.url}/record").json()["requests"] == []


def test_ctrl_c_keeps_what_has_finished_and_says_how_to_go_on(tmp_path: Path) -> None:
    with start_mock(MockOptions(ttft_ms=30, accuracy=1.0)) as mock:
        run = aisb(*the_run(mock.url, repeats=2), cwd=tmp_path)
        while not (folders := list(tmp_path.glob("outputs/default/*"))) or logged(folders[0]) < 5000:
            time.sleep(0.01)
            assert run.poll() is None
        run.send_signal(signal.SIGINT)
        output, _ = run.communicate(timeout=30)
        assert run.returncode == 130, output
        assert "stopping: what has finished is kept" in output
        assert f"resume with: aisb run --reuse {folders[0].name}" in output
        assert (
            json.loads((folders[0] / "configs/manifest.json").read_text())["sessions"][0]["exit_code"] == 130
        )
        again = aisb("run", "--reuse", folders[0].name, cwd=tmp_path)
        output, _ = again.communicate(timeout=60)
        assert again.returncode == 0, output
        assert results(tmp_path)["outcomes"]["correct"] == 128
