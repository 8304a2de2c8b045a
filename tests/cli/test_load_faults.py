"""What can go wrong under a load ends in a clear line, and what was measured before is kept and shown."""

from __future__ import annotations

import csv
import json
import os
import re
import resource
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from forked import run_forked

from aisb_mock import MockOptions, start_mock

PATIENCE = ("--set", "load.timeouts.first_byte=1", "--set", "load.timeouts.between_bytes=1")


def perf(
    work: Path, url: str, *words: str, model: str = "vllm_api_stream_chat", limit_kb: int | None = None
) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, "-m", "aisb_cli.main", "run", "--mode", "perf", "--tables", "--models", model, "--url", url,
        *(() if "--datasets" in words else ("--datasets", "demo_gsm8k")), *words,
    ]  # fmt: skip
    # No file may grow beyond the limit, as on a disk that is full.
    limits = {} if limit_kb is None else {resource.RLIMIT_FSIZE: limit_kb * 1024}
    return run_forked(
        command, cwd=work, capture_output=True, text=True, check=False, timeout=90, limits=limits,
        env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip


def requests(work: Path) -> list[dict[str, str]]:
    (file,) = work.glob("outputs/default/*/performances/*/*_requests.csv")
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


FAULTS = {
    "refuse": "cut: the connection was closed before the reply began",
    "cut": "cut: the connection was closed in the middle",
    "stall": "timeout: nothing came for 1 s in the middle",
    "hang": "timeout: no first byte within 1 s",
    "garbage": "protocol: ",
    "html": "protocol: ",
    "error-event": "status: ",
    "empty": "protocol: ",
    "status-400": "status: ",
    "status-429": "status: ",
    "status-500": "status: ",
    "status-503": "status: ",
}


def test_whatever_goes_wrong_with_some_replies_the_others_are_measured(tmp_path: Path) -> None:
    faults = tuple(f"{kind}@{3 * place + 2}" for place, kind in enumerate(FAULTS))
    with start_mock(MockOptions(ttft_ms=2, tokens=6, faults=faults)) as mock:
        ended = perf(tmp_path, mock.url, "--num-warmups", "0", *PATIENCE)
    assert ended.returncode == 1, ended.stderr
    assert "INVALID: 12 of 64 requests failed, the first is request " in ended.stdout
    assert "Success Requests          total  52" in ended.stdout
    rows = requests(tmp_path)
    said = sorted(row["failure"] for row in rows if row["ok"] == "false")
    assert len(said) == 12
    for kind, words in FAULTS.items():
        assert any(line.startswith(words) for line in said), (kind, said)
    assert all(row["ttft_ms"] and not row["failure"] for row in rows if row["ok"] == "true")


def test_a_run_in_which_every_request_failed_is_no_success(tmp_path: Path) -> None:
    with start_mock(MockOptions(faults=("status-500:1",))) as mock:
        ended = perf(tmp_path, mock.url, "--num-prompts", "4")
    assert ended.returncode == 1
    assert "INVALID: no request was answered" in ended.stdout
    assert "4 failed" in ended.stderr


def test_a_service_that_is_not_there_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    ended = perf(tmp_path, "http://127.0.0.1:9")
    assert ended.returncode == 3
    assert "127.0.0.1:9 refused the connection; is the service running, and on this port?" in ended.stderr
    assert not list(tmp_path.glob("outputs/default/2*"))


def test_a_service_without_usage_has_unknown_tokens_and_says_so(tmp_path: Path) -> None:
    with start_mock(MockOptions(ttft_ms=2, tokens=6, usage="absent")) as mock:
        ended = perf(tmp_path, mock.url, "--num-prompts", "6")
    assert ended.returncode == 0, ended.stderr
    rows = requests(tmp_path)
    chunks = sum(int(row["chunks"]) for row in rows)
    assert f"output-token source: unknown 6 ({chunks} chunks)" in ended.stdout
    assert {(row["output_tokens"], row["tpot_ms"]) for row in rows} == {("", "")}
    assert all(float(row["ttft_ms"]) > 0 for row in rows)


def test_a_service_without_streaming_is_timed_as_a_whole(tmp_path: Path) -> None:
    with start_mock(MockOptions(ttft_ms=2, tokens=6)) as mock:
        ended = perf(tmp_path, mock.url, "--num-prompts", "6", model="vllm_api_general_chat")
    assert ended.returncode == 0, ended.stderr
    assert "replies that were not streamed: 6; without TTFT, TPOT, ICL and ITL" in ended.stdout
    rows = requests(tmp_path)
    assert {(row["ttft_ms"], row["tpot_ms"]) for row in rows} == {("", "")}
    assert all(float(row["e2el_ms"]) > 0 for row in rows)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_full_disk_ends_the_run_with_a_line_and_shows_what_was_measured(
    tmp_path: Path, workers: str
) -> None:
    made = ("--set", "task.dataset.input=4", "--set", "task.dataset.output=400", "--num-prompts", "800")
    with start_mock(MockOptions(tokens=400)) as mock:
        ended = perf(
            tmp_path, mock.url, "--datasets", "synthetic", *made, "--workers", workers, "--concurrency", "8",
            limit_kb=400,
        )  # fmt: skip
    assert ended.returncode == 5, ended.stderr
    assert re.search(r"worker-\d cannot be written: (File too large|No space left on device)\n", ended.stderr)
    assert "all finished requests are kept; make room" in ended.stderr
    assert "the answers so far are kept in" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "certificate: " in ended.stdout
    assert "of 800 requests ended" in ended.stdout
    assert len(requests(tmp_path)) > 10


def planned(work: Path) -> list[tuple[float, str]]:
    return sorted((float(row["planned_ms"]), row["id"]) for row in requests(work))


def test_a_ramp_is_one_schedule_however_many_workers_send_it(tmp_path: Path) -> None:
    plans = []
    with start_mock(MockOptions(tokens=2)) as mock:
        for workers in ("1", "3"):
            (work := tmp_path / workers).mkdir()
            ended = perf(
                work, mock.url, "--ramp-up", "linear:10:90", "--arrival", "constant", "--workers", workers
            )
            assert ended.returncode == 0, ended.stderr
            found = planned(work)
            plans.append([(round(1e6 * at) - round(1e6 * found[0][0]), number) for at, number in found])
    assert plans[0] == plans[1]
    gaps = [after[0] - before[0] for before, after in pairwise(plans[0])]
    assert all(after <= before + 1 for before, after in pairwise(gaps))
    assert gaps[0] == pytest.approx(1e9 / 10)
    assert gaps[-1] == pytest.approx(1e9 / 90)


TRACE = """
[tasks.trace]
summary = "Requests with times of their own"
evaluate = []
[tasks.trace.dataset]
use = "jsonl"
path = "%s"
[tasks.trace.sample]
at = "{at}"
[tasks.trace.prompt]
user = "{question}"
"""


def test_a_traces_own_times_are_kept_by_several_workers(tmp_path: Path) -> None:
    times = [3.0, 3.0, 3.1, 3.25, 3.3, 3.6, 3.61, 3.62, 3.9, 4.2]
    rows = [{"at": at, "question": f"What is {n} plus 1?"} for n, at in enumerate(times)]
    (tmp_path / "trace.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "aisb.toml").write_text(TRACE % (tmp_path / "trace.jsonl"))
    with start_mock(MockOptions(tokens=2)) as mock:
        ended = perf(tmp_path, mock.url, "--datasets", "trace", "--use-timestamp", "--workers", "2")
    assert ended.returncode == 0, ended.stderr
    assert "requested: the trace's own times" in ended.stdout
    found = planned(tmp_path)
    assert [at - found[0][0] for at, _ in found] == pytest.approx([1000 * (at - 3.0) for at in times])
    assert [number for _, number in found] == [str(n) for n in range(10)]


def test_a_trace_out_of_order_is_refused_before_the_first_request(tmp_path: Path) -> None:
    rows = [{"at": at, "question": "Why?"} for at in (1.0, 3.0, 2.0)]
    (tmp_path / "trace.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "aisb.toml").write_text(TRACE % (tmp_path / "trace.jsonl"))
    with start_mock(MockOptions(tokens=2)) as mock:
        ended = perf(tmp_path, mock.url, "--datasets", "trace", "--use-timestamp")
    assert ended.returncode == 2
    assert (
        "the trace is out of order: request 2 is at 2 s, after one at 3 s; sort its rows by time"
        in ended.stderr
    )


def test_a_tokenizer_that_is_not_there_is_said_before_the_first_request(tmp_path: Path) -> None:
    with start_mock(MockOptions(tokens=2)) as mock:
        made = perf(
            tmp_path, mock.url, "--datasets", "synthetic", "--set", "task.dataset.tokenizer=/no/such/folder"
        )
        (tmp_path / "aisb.toml").write_text(
            '[run.reporter_options.performance]\ntokenizer = "/no/such/folder"\n'
        )
        shown = perf(tmp_path, mock.url)
    for ended in (made, shown):
        assert ended.returncode == 2
        assert "tokenizer = '/no/such/folder': there is no such folder" in ended.stderr
    assert not list(tmp_path.glob("outputs/default/2*"))
