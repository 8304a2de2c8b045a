"""`aisb capacity` through its ends: what it refuses, and loads that are measured by real runs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from forked import run_forked

from aisb import UsageError
from aisb_analysis._capacity.loads import MeasuredLoad
from aisb_analysis._capacity.measured import MeasuredService
from aisb_analysis._capacity_command import read_budget
from aisb_analysis._together import show_together
from aisb_engine import Plugins
from aisb_mock import MockOptions, start_mock
from aisb_testing._fixtures import Answering

pytest.importorskip("scipy")


def aisb(*words: str, cwd: Path, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    ended = run_forked(
        [sys.executable, "-m", "aisb_cli.main", "capacity", *words],
        cwd=cwd, capture_output=True, text=True, check=False, timeout=seconds,
    )  # fmt: skip
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended


def service(folder: Path, url: str) -> MeasuredService:
    made = {"dataset": {"input": 16, "output": 4}}
    return MeasuredService(
        folder,
        {"served": {"base": "vllm-chat", "url": url}},
        {"asked": {"base": "synthetic", **made}},
        columns=["ttft", "tpot"],
    )


def test_loads_are_ordinary_runs_which_a_search_that_goes_on_reads_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    closed, opened = MeasuredLoad(0.5, users=3), MeasuredLoad(1.0, rate=30.0, warm=0.3)
    with start_mock(MockOptions(ttft_ms=20, tpot_ms=5, slots=2)) as mock:
        measured = service(tmp_path, mock.url)
        first, second = measured.measure(closed), measured.measure(opened)
        url = mock.url
    assert len(first.began) > 10
    assert not first.failed.any()
    assert float(np.median(first.e2e)) > 0.03
    assert float(np.max(second.began)) < 1.4
    assert 0 < np.count_nonzero(second.counted()) < len(second.began)
    runs = [json.loads(line)["run"] for line in (tmp_path / "points.jsonl").read_text().splitlines()]
    assert runs == [first.folder, second.folder]
    assert all((tmp_path / run / "configs").is_dir() for run in runs)
    assert show_together(measured.runs, tmp_path, Plugins.load(), printed=False, notes=["capacity: 1"]) == 0
    shown = json.loads((tmp_path / "points.json").read_text())
    assert [(one["series"], one["level"]) for one in shown["points"]] == [
        ("closed loop", 3),
        ("open loop", 30),
    ]
    assert (tmp_path / "points.html").is_file()
    assert capsys.readouterr() == ("", "")
    again = service(tmp_path, url)  # nothing listens there any more
    assert again.measure(closed).numbers["ttft"] == pytest.approx(first.numbers["ttft"], nan_ok=True)
    assert again.measure(opened).took == second.took


def test_refusals_of_a_limiter_are_told_apart_from_other_failures(tmp_path: Path) -> None:
    with start_mock(MockOptions(rate_limit=5, rate_burst=1)) as mock:
        limited = service(tmp_path / "limited", mock.url).measure(MeasuredLoad(1.0, rate=40.0))
    assert limited.throttled.sum() > 10
    with start_mock(MockOptions(ttft_ms=300, slots=1, queue=0)) as mock:
        full = service(tmp_path / "full", mock.url).measure(MeasuredLoad(1.0, rate=40.0))
    assert full.failed.sum() > 10
    assert not full.throttled.any()


def test_a_damaged_list_of_points_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "points.jsonl").write_text("{")
    with pytest.raises(UsageError, match=r"points\.jsonl is damaged"):
        service(tmp_path, "http://127.0.0.1:1")


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1h", 3600), ("2", 120)])
def test_a_budget_is_read_as_a_time(text: str, seconds: float) -> None:
    assert read_budget(text) == seconds


@pytest.mark.parametrize(
    ("text", "says"), [("long", "is not a duration; write 600s"), ("5s", "needs at least 60 s")]
)
def test_a_budget_that_is_no_time_or_too_short_is_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_budget(text)


def test_a_search_that_goes_on_with_another_question_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "capacity.json").write_text('{"budget": 600.0}')
    ended = aisb("--url", "http://127.0.0.1:1", "--budget", "20m", "--reuse", "old", cwd=tmp_path)
    assert ended.returncode == 2
    assert "old is a search with another limits, budget" in ended.stderr


def test_lengths_of_another_task_are_refused(tmp_path: Path) -> None:
    ended = aisb("--datasets", "demo_gsm8k", "--input-len", "5", cwd=tmp_path)
    assert ended.returncode == 2
    assert "--input-len and --output-len apply to synthetic prompts" in ended.stderr


def test_the_kind_of_the_service_is_detected(tmp_path: Path, answering: Callable[..., Answering]) -> None:
    tgi = answering({"/info": (200, {"model_id": "org/Tiny", "version": "3.0"})})
    words = ("--url", tgi.url, "--budget", "60s")
    process = subprocess.Popen(
        [sys.executable, "-m", "aisb_cli.main", "capacity", *words],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr
        assert "is Text Generation Inference and serves org/Tiny; asking it with tgi_" in next(process.stderr)
        ends = time.monotonic() + 60
        while not tgi.bodies:  # the search sends its requests to the API of that kind
            assert time.monotonic() < ends
            time.sleep(0.05)
    finally:
        process.kill()
        process.communicate(timeout=30)

    unknown = aisb("--url", answering({}).url, cwd=tmp_path)
    assert unknown.returncode == 3
    assert "is no kind of service that aisb recognizes" in unknown.stderr


def test_a_search_that_begins_in_the_second_of_another_gets_a_folder_of_its_own(
    tmp_path: Path, answering: Callable[..., Answering]
) -> None:
    now = datetime.now().astimezone()
    for seconds in range(30):
        stamp = (now + timedelta(seconds=seconds)).strftime("%Y%m%d_%H%M%S")
        (tmp_path / "outputs/capacity" / stamp).mkdir(parents=True)
        (tmp_path / "outputs/capacity" / stamp / "capacity.json").write_text('{"budget": 1}')
    ended = aisb("--url", answering({}).url, "-w", "outputs/capacity", cwd=tmp_path)
    assert ended.returncode == 3
    assert "is no kind of service" in ended.stderr
    assert len(list(tmp_path.glob("outputs/capacity/*_2"))) == 1
