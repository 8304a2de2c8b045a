"""`aisb capacity` through its ends: what it refuses, and loads that are measured by real runs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from forked import Forked, run_forked

from aisb import UsageError
from aisb_analysis._capacity.loads import Limit, MeasuredLoad, limits_of, max_lag
from aisb_analysis._capacity.measured import MeasuredService, stored_names
from aisb_analysis._capacity_command import _service, read_budget
from aisb_analysis._together import show_together
from aisb_engine import Plugins, open_finished_run, parse_run_objectives
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


LIMITS = [Limit("ttft_p95", "ttft", 60_000.0, 0.05), Limit("tpot_p95", "tpot", 60_000.0, 0.05)]
"""Objectives that allow any lag, since a busy machine lags."""


def service(folder: Path, url: str, limits: Sequence[Limit] | None = None) -> MeasuredService:
    made = {"dataset": {"input": 16, "output": 4}}
    return MeasuredService(
        folder,
        {"served": {"base": "vllm-chat", "url": url}},
        {"asked": {"base": "synthetic", **made}},
        limits=LIMITS if limits is None else limits,
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
    shown_at = {"notes": ["capacity: 1"], "heading": "Capacity of served"}
    assert show_together(measured.runs, tmp_path, Plugins.load(), printed=False, **shown_at) == 0
    shown = json.loads((tmp_path / "points.json").read_text())
    assert [(one["series"], one["level"]) for one in shown["points"]] == [
        ("closed loop", 3),
        ("open loop", 30),
    ]
    assert "<title>Capacity of served · 2 runs</title>" in (tmp_path / "points.html").read_text()
    assert capsys.readouterr() == ("", "")
    points = tmp_path / "points.jsonl"  # a busy machine sends late, and such points would be measured again
    kept = [{**json.loads(line), "distortion": ""} for line in points.read_text().splitlines()]
    points.write_text("".join(json.dumps(one) + "\n" for one in kept))
    again = service(tmp_path, url)  # nothing listens there any more
    assert again.measure(closed).numbers["ttft"] == pytest.approx(first.numbers["ttft"], nan_ok=True)
    assert again.measure(opened).took == second.took


@pytest.mark.parametrize(
    ("limits", "tokens", "most"),
    [
        ([("ttft", 2000.0), ("e2el", 9000.0)], 128, 40.0),
        ([("ttft", 100.0)], 128, 5.0),
        ([("ttft", 2000.0), ("tpot", 100.0)], 128, 40.0),
        ([("ttft", 2000.0), ("tpot", 10.0)], 101, 20.0),
        ([("tpot", 400.0)], 1, 8.0),
        ([("failures", None)], 128, None),
    ],
)
def test_the_client_may_lag_by_a_fiftieth_of_the_tightest_latency_objective(
    limits: list[tuple[str, float | None]], tokens: float, most: float | None
) -> None:
    made = [Limit(name, name, milliseconds, 0.05) for name, milliseconds in limits]
    assert max_lag(made, tokens) == pytest.approx(most)


def test_a_point_is_discarded_for_a_lag_that_its_objectives_do_not_allow(tmp_path: Path) -> None:
    load = MeasuredLoad(1.5, users=2)
    with start_mock(MockOptions(ttft_ms=20, tpot_ms=5)) as mock:
        url = mock.url
        folder = tmp_path / service(tmp_path, url).measure(load).folder
    (health,) = folder.rglob("client_health-*.jsonl")
    lines = [json.loads(line) for line in health.read_text().splitlines()]
    health.write_text("".join(json.dumps({**line, "lag_ms_p99": 30.0}) + "\n" for line in lines))
    points = tmp_path / "points.jsonl"
    line = json.loads(points.read_text())
    assert "distortion" in line
    del line["distortion"]
    points.write_text(json.dumps(line) + "\n")  # as an older version stored it

    def read_again(ttft: float) -> MeasuredService:
        return service(tmp_path, url, [Limit("ttft_p95", "ttft", ttft, 0.05)])

    lenient, strict = read_again(2000.0), read_again(500.0)
    assert lenient.measure(load).distortion == ""  # what was used before is used again
    assert "more than 40 ms of event-loop lag" in lenient.lag_line
    assert "2 % of the tightest latency objective" in lenient.lag_line
    assert strict._point(load, open_finished_run(folder)).distortion == (
        "the client's event loop lagged by 30.0 ms (limit 10 ms with these objectives)"
    )

    points.write_text(json.dumps({**line, "distortion": "lagged"}) + "\n")
    with start_mock(MockOptions(ttft_ms=20, tpot_ms=5)) as mock:
        resumed = service(tmp_path, mock.url)
        assert stored_names(tmp_path) == ("served", "asked")
        again = resumed.measure(load)  # a discarded point at the end is measured again
    assert again.folder != folder.name
    assert len(points.read_text().splitlines()) == 1


def test_a_resumed_search_keeps_the_names_of_its_runs(tmp_path: Path) -> None:
    lengths = {"input_len": 16, "output_len": 4}
    flags = {**lengths, "task": None, "launcher": None, "data_dir": None}
    with start_mock(MockOptions(ttft_ms=20, tpot_ms=5)) as mock:
        service(tmp_path, mock.url).measure(MeasuredLoad(0.5, users=1))
        table = {"base": "vllm-chat", "abbr": "mock", "url": mock.url}
        resumed = _service(tmp_path, flags, LIMITS, ("mock", table))
        resumed.measure(MeasuredLoad(0.5, users=2))
    (run,) = resumed.runs
    assert list(open_finished_run(run).performance) == [("served", "asked")]


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


def test_a_search_that_is_resumed_with_other_options_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "capacity.json").write_text(
        json.dumps(
            {"limits": [Limit("ttft_p95", "ttft", 500.0, 0.05)._asdict()], "budget": 600.0, "url": "http://h"}
        )
    )
    words = ("--url", "http://127.0.0.1:1", "--budget", "20m", "--slo", "ttft_p95=700ms,failures=1%")
    ended = aisb(*words, "--reuse", "old", cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        "error: old was started with other options",
        "  --slo: it was ttft_p95=500ms, and is ttft_p95=700ms,failures=1%",
        "  --budget: it was 600s, and is 1200s",
        "  --url: it was http://h, and is http://127.0.0.1:1",
        "  resume it without them, or start a new search without --reuse",
    ]


def test_a_search_is_resumed_with_the_options_in_its_folder(tmp_path: Path) -> None:
    limits = [limit._asdict() for limit in limits_of(parse_run_objectives("ttft_p95=500ms"))]
    kept = {"limits": limits, "budget": 600.0, "url": "http://127.0.0.1:1", "model": "vllm-chat",
            "model_name": "m", "task": None, "input_len": 16, "output_len": 4}  # fmt: skip
    (tmp_path / "old" / "run").mkdir(parents=True)
    (tmp_path / "old" / "capacity.json").write_text(json.dumps(kept))
    ended = aisb("--reuse", "old", cwd=tmp_path)
    assert ended.returncode == 3, ended.stderr
    assert "Capacity of vllm-chat at http://127.0.0.1:1, synthetic 16/4; folder: old" in ended.stderr
    assert "127.0.0.1:1 refused the connection" in ended.stderr
    assert "  resume with: aisb capacity --reuse old" in ended.stderr.splitlines()
    again = aisb("--reuse", "old", "--budget", "10m", "--slo", "ttft_p95=500ms", cwd=tmp_path)
    assert again.returncode == 3, again.stderr
    assert json.loads((tmp_path / "old" / "capacity.json").read_text()) == kept


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "old is not the folder of a search: it has no capacity.json"),
        ("{", "capacity.json cannot be read: "),
        ("[]", "capacity.json is damaged"),
    ],
)
def test_a_folder_without_the_options_of_a_search_is_refused(
    tmp_path: Path, content: str | None, says: str
) -> None:
    (tmp_path / "old").mkdir()
    if content is not None:
        (tmp_path / "old" / "capacity.json").write_text(content)
    ended = aisb("--reuse", "old", cwd=tmp_path)
    assert ended.returncode == 2
    assert says in ended.stderr


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--models", "nosuch"), 2, "no model named 'nosuch'"),
        (("--datasets", "nosuch"), 2, "no task named 'nosuch'"),
        ((), 3, "127.0.0.1:1 refused the connection"),
        (("--models", "vllm-chat"), 3, "127.0.0.1:1 refused the connection"),
    ],
)
def test_a_search_in_which_nothing_was_sent_leaves_no_folder(
    tmp_path: Path, words: tuple[str, ...], code: int, says: str
) -> None:
    ended = aisb("--url", "http://127.0.0.1:1", *words, cwd=tmp_path)
    assert ended.returncode == code
    assert says in ended.stderr
    assert "resume with" not in ended.stderr
    assert list(tmp_path.glob("outputs/capacity/*")) == []


def test_lengths_of_another_task_are_refused(tmp_path: Path) -> None:
    ended = aisb("--datasets", "demo_gsm8k", "--input-len", "5", cwd=tmp_path)
    assert ended.returncode == 2
    assert "--input-len and --output-len apply to synthetic prompts" in ended.stderr


def test_the_kind_of_the_service_is_detected(tmp_path: Path, answering: Callable[..., Answering]) -> None:
    tgi = answering({"/info": (200, {"model_id": "org/Tiny", "version": "3.0"})})
    words = ("--url", tgi.url, "--budget", "60s")
    process = Forked(
        [sys.executable, "-m", "aisb_cli.main", "capacity", *words],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr
        assert "is Text Generation Inference and serves org/Tiny; using tgi_" in next(process.stderr)
        heading = f"Capacity of Tiny at {tgi.url}, synthetic 512/128; folder: outputs/capacity/"
        assert next(process.stderr).startswith(heading)
        ends = time.monotonic() + 60
        while not tgi.bodies:  # the search sends its requests to the API of that kind
            assert time.monotonic() < ends
            time.sleep(0.05)
    finally:
        process.kill()
        process.communicate(timeout=30)

    unknown = aisb("--url", answering({}).url, cwd=tmp_path)
    assert unknown.returncode == 3
    assert "is not a kind of service that aisb recognizes" in unknown.stderr


def test_a_search_that_begins_in_the_second_of_another_gets_a_folder_of_its_own(
    tmp_path: Path, answering: Callable[..., Answering]
) -> None:
    now = datetime.now().astimezone()
    for seconds in range(30):
        stamp = (now + timedelta(seconds=seconds)).strftime("%Y%m%d_%H%M%S")
        (tmp_path / "outputs/capacity" / stamp).mkdir(parents=True)
        (tmp_path / "outputs/capacity" / stamp / "capacity.json").write_text('{"budget": 1}')
    tgi = answering({"/info": (200, {"model_id": "org/Tiny", "version": "3.0"})})
    process = subprocess.Popen(
        [sys.executable, "-m", "aisb_cli.main", "capacity", "--url", tgi.url, "--budget", "60s"],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr
        assert any(line.strip().endswith("_2") for line in process.stderr)
    finally:
        process.kill()
        process.communicate(timeout=30)
    assert len(list(tmp_path.glob("outputs/capacity/*_2"))) == 1
