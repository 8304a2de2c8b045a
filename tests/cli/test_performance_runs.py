"""`aisb run --mode perf`: the load that was asked for is the load that is sent, and what was measured is kept."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from forked import Forked, run_forked

from aisb_engine._record.log import extents, read_file
from aisb_mock import MockOptions, start_mock

ROWS = 64


@pytest.fixture(scope="module")
def mock():
    with start_mock(MockOptions(ttft_ms=10, tpot_ms=0.5, tokens=8)) as running:
        yield running


@pytest.fixture(scope="module")
def slow():
    with start_mock(MockOptions(ttft_ms=150, tpot_ms=1, tokens=8)) as running:
        yield running


def command(url: str, *words: str, mode: str = "perf", task: str = "demo_gsm8k") -> list[str]:
    return [
        sys.executable, "-m", "aisb_cli.main", "run", "--mode", mode, "--models", "vllm_api_stream_chat",
        "--datasets", task, "--url", url, *words,
    ]  # fmt: skip


def begin(work: Path, url: str, *words: str, **more) -> subprocess.Popen[str]:
    return Forked(
        command(url, *words, **more),
        cwd=work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip


def run(work: Path, url: str, *words: str, **more) -> tuple[int, str]:
    ended = run_forked(
        command(url, *words, **more),
        cwd=work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
        env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    return ended.returncode, ended.stdout


def log_folder(work: Path) -> Path:
    (folder,) = work.glob("outputs/default/*/log/*/*")
    return folder


def shards(work: Path):
    return {
        path.name: [record.prediction for record in read_file(path) if record]
        for path in sorted(log_folder(work).glob("worker-*"))
    }


def everything(work: Path):
    return [prediction for found in shards(work).values() for prediction in found]


def load(work: Path):
    return json.loads((log_folder(work) / "load.json").read_text())


def peak(predictions) -> int:
    events = sorted(
        event
        for p in predictions
        for event in ((p.timing.sent_ns, 1), (p.timing.done_ns, -1))
        if event[0] is not None
    )
    most = now = 0
    for _, change in events:
        now += change
        most = max(most, now)
    return most


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for(condition, process) -> None:
    ends = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < ends
        time.sleep(0.01)


@contextmanager
def prompts(takes=lambda text: 0.0):
    """A service that keeps the first message of each request: yields its address, and the list.

    `takes` says how many seconds the answer to a message takes.
    """
    seen: list[str] = []
    chunk = {"choices": [{"index": 0, "delta": {"content": "1"}, "finish_reason": "length"}]}
    reply = f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = self.path == "/v1/models"
            self.answer(
                200 if found else 404, "application/json", b'{"data": [{"id": "m"}]}' if found else b"{}"
            )

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            seen.append(body["messages"][0]["content"])
            time.sleep(takes(seen[-1]))
            self.answer(200, "text/event-stream", reply)

        def answer(self, status: int, kind: str, data: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_closed_loop_leaves_log_client_health_and_requested_load(tmp_path: Path, mock) -> None:
    code, output = run(tmp_path, mock.url, "--concurrency", "8", "--max-out-len", "20")
    assert code == 0, output
    found = everything(tmp_path)
    assert len({p.key for p in found}) == len(found) == ROWS
    assert peak(found) == 8
    told = load(tmp_path)
    assert told["planned"] == ROWS
    assert told["warmups"] == {"sent": 1, "answered": 1}
    assert told["requested"]["concurrency"] == 8
    assert told["requested"]["request_rate"] is None
    assert told["requested"]["retries"] == 0
    assert told["requested"]["max_tokens"] == 20
    assert told["requested"]["workers"] == 1
    assert 0 < told["started_ns"] <= min(p.timing.sent_ns for p in found)
    assert told["ended_ns"] >= max(p.timing.done_ns for p in found)
    assert told["interrupted"] is False
    assert (log_folder(tmp_path) / "client_health-0.jsonl").read_text().count("\n") >= 1
    assert not (tmp_path / log_folder(tmp_path).parents[2] / "results").exists()


def test_workers_share_one_schedule_and_the_concurrency(tmp_path: Path, slow) -> None:
    code, output = run(tmp_path, slow.url, "--concurrency", "9", "--workers", "3")
    assert code == 0, output
    found = shards(tmp_path)
    assert len({p.key for part in found.values() for p in part}) == ROWS
    assert all(len(part) > 10 for part in found.values())
    assert [peak(part) for part in found.values()] == [3, 3, 3]
    assert peak(everything(tmp_path)) == 9
    assert sorted(p.name for p in log_folder(tmp_path).iterdir()) == sorted(
        ["identity.json", "load.json", "samples.jsonl.gz", *(f"{kind}{n}" for kind in ("worker-",) for n in range(3)),
         *(f"client_health-{n}.jsonl" for n in range(3))]
    )  # fmt: skip
    assert f"{ROWS}/{ROWS} finished, 0 failed" in output


def test_a_worker_with_short_requests_takes_those_of_a_worker_with_long_ones(tmp_path: Path) -> None:
    rows = ({"question": f"{'long' if n % 2 else 'short'} {n}"} for n in range(40))
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (tmp_path / "aisb.toml").write_text(
        '[tasks.mixed]\nsummary = "Rows that take long and short"\nevaluate = []\n'
        f'[tasks.mixed.dataset]\npath = "{tmp_path}/rows.jsonl"\n[tasks.mixed.prompt]\nuser = "{{question}}"\n'
    )
    with prompts(lambda text: 0.3 if "long" in text else 0.03) as (url, _):
        words = ("--concurrency", "5", "--workers", "2", "--num-warmups", "0")
        code, output = run(tmp_path, url, *words, task="mixed")
    assert code == 0, output
    found = everything(tmp_path)
    assert len({p.key for p in found}) == 40
    assert peak(found) == 5
    # While there are requests left, nearly all clients are busy in both workers.
    begin, end = (choose(p.timing.sent_ns for p in found) for choose in (min, max))
    busy = sum(min(p.timing.done_ns, end) - p.timing.sent_ns for p in found)
    assert busy / (end - begin) > 0.8 * 5


def test_an_open_loop_is_the_same_schedule_however_many_workers_send_it(tmp_path: Path, mock) -> None:
    plans = []
    for workers in ("1", "2"):
        (work := tmp_path / workers).mkdir()
        code, output = run(work, mock.url, "--request-rate", "100", "--workers", workers)
        assert code == 0, output
        found = sorted(everything(work), key=lambda p: (p.timing.planned_ns, int(p.sample_id)))
        first = found[0].timing.planned_ns
        plans.append([(p.timing.planned_ns - first, p.sample_id) for p in found])
        assert all(p.timing.sent_ns >= p.timing.planned_ns for p in found)
        assert load(work)["requested"]["concurrency"] is None
        assert load(work)["requested"]["arrival"] == "poisson"
    assert plans[0] == plans[1]
    assert plans[0][-1][0] == pytest.approx((ROWS - 1) / 100 * 1e9)


def test_a_pressure_run_asks_rows_again_until_its_time_is_over(tmp_path: Path, mock) -> None:
    code, output = run(
        tmp_path, mock.url, "--pressure", "--pressure-time", "2", "--concurrency", "6", "--num-prompts", "5"
    )
    assert code == 0, output
    found = everything(tmp_path)
    assert len(found) > 20
    assert len({p.key for p in found}) == len(found)
    assert {p.sample_id for p in found} == set("01234")
    assert 1 < peak(found) <= 6
    told = load(tmp_path)
    assert told["planned"] is None
    assert told["requested"]["pressure_time"] == 2
    assert f"{len(found)}/{len(found)} finished, 0 failed" in output


def test_a_pressure_run_never_sends_the_same_prompt_twice(tmp_path: Path) -> None:
    made = ("--set", "task.dataset.input=24", "--set", "task.dataset.output=1", "--concurrency", "4")
    for name, workers in (("one", "1"), ("two", "2")):
        (work := tmp_path / name).mkdir()
        with prompts() as (url, seen):
            words = ("--pressure", "--pressure-time", "1", "--num-prompts", "6", "--workers", workers, *made)
            code, output = run(work, url, *words, task="synthetic")
        assert code == 0, output
        assert len(seen) > 30
        assert len(set(seen)) == len(seen)
        assert {len(prompt.split(" ")) for prompt in seen} == {24}


def test_a_warm_up_is_none_of_the_prompts_that_are_measured(tmp_path: Path) -> None:
    for name, task in (("rows", "demo_gsm8k"), ("made", "synthetic")):
        (work := tmp_path / name).mkdir()
        with prompts() as (url, seen):
            code, output = run(work, url, "--num-prompts", "5", "--num-warmups", "3", task=task)
        assert code == 0, output
        assert len({prompt[:12] for prompt in seen[:3]} & {prompt[:12] for prompt in seen[3:]}) == 0
        assert len(seen) == 8


def test_more_prompts_than_rows_are_made_where_a_dataset_makes_its_rows(tmp_path: Path, mock) -> None:
    code, output = run(
        tmp_path, mock.url, "--num-prompts", "130", "--set", "task.dataset.input=8", task="synthetic"
    )
    assert code == 0, output
    assert len({p.sample_id for p in everything(tmp_path)}) == 130


def test_made_prompts_and_replies_have_the_lengths_of_the_flags(tmp_path: Path) -> None:
    with prompts() as (url, seen):
        words = ("--num-prompts", "4", "--input-len", "24", "--output-len", "3", "--num-warmups", "0")
        code, output = run(tmp_path, url, *words, "--set", "task.dataset.requests=4", task="synthetic")
    assert code == 0, output
    assert [len(prompt.split(" ")) for prompt in seen] == [24] * 4
    (table,) = tmp_path.glob("outputs/default/*/performances/*/synthetic_details.npz")
    with np.load(table) as columns:
        assert columns["max_tokens"].tolist() == [3.0] * 4


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--input-len", "the lengths of their prompts are fixed"),
        ("--output-len", "--max-out-len N limits the replies of any task"),
    ],
)
def test_lengths_of_rows_that_are_read_cannot_be_set(tmp_path: Path, mock, flag: str, said: str) -> None:
    code, output = run(tmp_path, mock.url, flag, "24")
    assert code == 2
    assert f"{flag} is for datasets that generate rows, which 'jsonl', the dataset of demo_gsm8k" in output
    assert said in output
    assert "datasets that generate them: synthetic" in output
    assert run(tmp_path, mock.url, flag, "0", task="synthetic")[0] == 2


def rounds_in_log(work: Path) -> list[int]:
    """The round that each record of the log names; 0 where it names none."""
    found = []
    for path in log_folder(work).glob("worker-*"):
        data = path.read_bytes()
        for start, _ in extents(data):
            size = int.from_bytes(data[start : start + 4], "little")
            header = json.loads(data[start + 4 : start + 4 + size])
            found.append((header["extra"] or {}).get("round", 0))
    return sorted(found)


@pytest.mark.parametrize("load_words", [(), ("--request-rate", "2000"), ("--workers", "2")])
def test_more_prompts_than_rows_are_further_rounds_that_no_cache_answers(
    tmp_path: Path, load_words: tuple[str, ...]
) -> None:
    with prompts() as (url, seen):
        words = ("--num-prompts", "150", "--concurrency", "8", "--set", "task.prompt.shots=0")
        code, output = run(tmp_path, url, *words, *load_words)
    assert code == 0, output
    assert f"150 prompts of {ROWS} rows: rows are sent again in further rounds, marked so that they" in output
    assert "150/150 finished, 0 failed" in output
    found = everything(tmp_path)
    assert len({p.key for p in found}) == 150
    assert rounds_in_log(tmp_path) == [0] * ROWS + [1] * ROWS + [2] * (150 - 2 * ROWS)
    measured = seen[1:]  # after the warm-up
    assert len(measured) == len(set(measured)) == 150
    assert sum(prompt.startswith("[round 1]\n") for prompt in measured) == ROWS
    assert (load(tmp_path)["planned"], load(tmp_path)["requested"]["num_prompts"]) == (150, 150)


def test_rounds_repeat_whole_conversations_and_repeats(tmp_path: Path, mock) -> None:
    words = ("--num-prompts", "70", "--set", "params.num_return_sequences=2", "--concurrency", "16")
    code, output = run(tmp_path, mock.url, *words, "--set", 'task.prompt.followups=["And then?"]')
    assert code == 0, output
    found = everything(tmp_path)
    assert len({p.key for p in found}) == len(found) == 70 * 2 * 2
    assert rounds_in_log(tmp_path).count(1) == 6 * 2 * 2


def test_a_trace_is_sent_once_and_an_accuracy_run_never_repeats_rows(tmp_path: Path, mock) -> None:
    rows = "".join(
        json.dumps({"timestamp": 10 * n, "input_length": 8, "output_length": 2, "hash_ids": [n]}) + "\n"
        for n in range(4)
    )
    (tmp_path / "trace.jsonl").write_text(rows)
    (traced := tmp_path / "traced").mkdir()
    file = ("--set", f"task.dataset.path={tmp_path / 'trace.jsonl'}")
    words = ("--num-prompts", "9", "--use-timestamp", *file)
    code, output = run(traced, mock.url, *words, task="mooncake_trace")
    assert code == 0, output
    assert "9 prompts were requested, but the trace has 4 rows: each is sent once" in output
    assert len(everything(traced)) == 4
    (scored := tmp_path / "scored").mkdir()
    code, output = run(scored, mock.url, "--num-prompts", "99", mode="infer")
    assert code == 0, output
    assert len(everything(scored)) == ROWS


@pytest.mark.parametrize(
    "load_words",
    [
        ("--concurrency", "6"),
        ("--concurrency", "6", "--workers", "2"),
        ("--request-rate", "200", "--arrival", "constant"),
        ("--request-rate", "500", "--concurrency", "2"),
        ("--ramp-up", "linear:50:350"),
    ],
)
def test_a_duration_ends_the_load_and_what_is_in_flight_is_waited_for(
    tmp_path: Path, slow, load_words: tuple[str, ...]
) -> None:
    code, output = run(tmp_path, slow.url, "--duration", "0.8", *load_words)
    assert code == 0, output
    told, found = load(tmp_path), everything(tmp_path)
    begun = min(p.timing.sent_ns for p in found)
    # A request is sent a little after it begins, on a busy machine a second; without an end it would go on.
    assert max(p.timing.sent_ns for p in found) < begun + 3e9
    assert all(p.timing.planned_ns is None or p.timing.planned_ns < begun + 0.8e9 for p in found)
    assert all(p.failure is None for p in found)
    assert max(p.timing.done_ns for p in found) > begun + 0.8e9
    assert f"{len(found)}/{len(found)} finished, 0 failed" in output
    assert told["requested"]["duration"] == 0.8
    assert "interrupted" not in output
    assert "for 0.8 s" in output
    if load_words[:2] == ("--request-rate", "200"):
        assert len(found) == told["planned"] == 160
        assert rounds_in_log(tmp_path).count(2) == 160 - 2 * ROWS
    if load_words[0] == "--ramp-up":  # the ramp reaches its end with the duration
        assert told["planned"] == pytest.approx(0.8 * 300 / math.log(350 / 50), rel=0.02)


def test_the_first_of_duration_and_number_ends_a_load(tmp_path: Path, mock) -> None:
    for name, words, count in (
        ("number", ("--duration", "60", "--num-prompts", "70"), 70),
        ("rate", ("--duration", "60", "--num-prompts", "70", "--request-rate", "1000"), 70),
        ("few", ("--duration", "60", "--num-prompts", "5"), 5),
    ):
        (work := tmp_path / name).mkdir()
        code, output = run(work, mock.url, *words)
        assert code == 0, output
        assert len(everything(work)) == count
    (work := tmp_path / "time").mkdir()
    code, output = run(work, mock.url, "--duration", "0.3", "--num-prompts", "100000", "--concurrency", "2")
    assert code == 0, output
    assert 10 < len(everything(work)) < 10_000
    assert "interrupted" not in output


def test_rows_are_not_served_from_the_cache_of_an_earlier_run_unless_asked(tmp_path: Path, mock) -> None:
    marks = []
    for name, words in (("a", ()), ("b", ()), ("c", ("--set", "load.nonce=false"))):
        (work := tmp_path / name).mkdir()
        code, output = run(work, mock.url, "--num-prompts", "3", *words)
        assert code == 0, output
        marks.append(load(work)["nonce"])
    assert marks[0] != marks[1]
    assert marks[0].startswith("[")
    assert marks[2] is None


def test_ctrl_c_keeps_what_was_measured_and_ends_the_workers(tmp_path: Path, slow) -> None:
    process = begin(
        tmp_path, slow.url, "--concurrency", "4", "--workers", "2", "--set", "params.num_return_sequences=50"
    )
    wait_for(lambda: list(tmp_path.glob("outputs/default/*/log/*/*/worker-1")), process)
    wait_for(lambda: sum(map(len, shards(tmp_path).values())) > 8, process)
    workers = children(process.pid)
    assert len(workers) >= 2
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "stopping: what has finished is kept" in output
    assert "show the result again: aisb run --mode perf_viz --reuse" in output
    assert "certificate: " in output
    assert not any(map(alive, workers))
    assert len(everything(tmp_path)) > 8
    assert load(tmp_path)["interrupted"] is True
    assert not list(log_folder(tmp_path).glob("share-*"))


def test_workers_end_with_a_killed_parent_and_nothing_that_finished_is_lost(tmp_path: Path, slow) -> None:
    process = begin(
        tmp_path, slow.url, "--concurrency", "4", "--workers", "2", "--set", "params.num_return_sequences=50"
    )
    wait_for(lambda: list(tmp_path.glob("outputs/default/*/log/*/*/worker-1")), process)
    wait_for(lambda: sum(map(len, shards(tmp_path).values())) > 8, process)
    workers = children(process.pid)
    process.kill()
    process.communicate()
    ends = time.monotonic() + 10
    while any(map(alive, workers)):
        assert time.monotonic() < ends
        time.sleep(0.01)
    found = everything(tmp_path)
    assert len(found) > 8
    assert all(p.failure is None for p in found)
    assert load(tmp_path)["ended_ns"] is None
    code, output = run(tmp_path, slow.url, "--reuse", mode="perf_viz")
    assert code == 0, output


def test_an_accuracy_run_can_be_shared_out_and_resumed_too(tmp_path: Path, mock) -> None:
    code, output = run(tmp_path, mock.url, "--workers", "2", "--num-prompts", "20", mode="all")
    assert code == 0, output
    assert len(shards(tmp_path)) == 2
    code, output = run(tmp_path, mock.url, "--reuse", "--num-prompts", "30", "--workers", "2", mode="all")
    assert code == 0, output
    assert "Found 20 finished of 30, 0 failed: resuming" in output
    assert len({p.key for p in everything(tmp_path)}) == 30


def test_a_performance_run_is_shown_again_and_scored_and_not_resumed(tmp_path: Path, mock) -> None:
    assert run(tmp_path, mock.url, "--num-prompts", "3")[0] == 0
    code, output = run(tmp_path, mock.url, "--reuse")
    assert code == 2
    assert "is a performance run, which cannot be resumed" in output
    assert "show it again with: aisb run --mode perf_viz --reuse" in output
    assert run(tmp_path, mock.url, "--reuse", mode="perf_viz")[0] == 0
    code, output = run(tmp_path, mock.url, "--reuse", mode="eval")
    assert (code, "accuracy" in output) == (0, True), output
    assert (
        run(tmp_path, mock.url, mode="perf_viz")[1]
        .strip()
        .endswith("--mode perf_viz needs a run to read: --reuse TIMESTAMP, or --reuse for the latest")
    )


def test_an_accuracy_run_says_how_fast_it_was_and_does_not_become_a_performance_run(tmp_path, mock) -> None:
    assert run(tmp_path, mock.url, "--num-prompts", "3", mode="infer")[0] == 0
    code, output = run(tmp_path, mock.url, "--reuse", mode="perf_viz")
    assert (code, "TPOT" in output) == (0, True), output
    code, output = run(tmp_path, mock.url, "--reuse", mode="perf")
    assert code == 2
    assert "is not a performance run, and cannot become one" in output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--request-rate", "-1"), "load.request_rate: must be requests a second, at least 0.001 (it is -1)"),
        (
            ("--request-rate", "nan"),
            "load.request_rate: must be requests a second, at least 0.001 (it is nan)",
        ),
        (("--ramp-up", "linear:9:1"), "load.ramp_up: 'linear:9:1' goes down"),
        (
            ("--ramp-up", "linear:1:9", "--request-rate", "5"),
            "load.ramp_up: gives the rates itself; omit request_rate",
        ),
        (("--use-timestamp",), "load.use_timestamp: request 0 has no time"),
        (("--use-timestamp", "--request-rate", "5"), "load.use_timestamp: sends at the trace's own times"),
        (("--burstiness", "2"), "load.burstiness: has no effect without request_rate or ramp_up"),
        (("--pressure", "--ramp-up", "linear:1:9"), "load.pressure_time: adds clients step by step"),
        (("--pressure", "--duration", "9"), "load.pressure_time: adds clients step by step"),
        (("--concurrency", "64000", "--pressure"), "load.concurrency: 64,000 cannot be in flight"),
    ],
)
def test_a_load_that_cannot_be_had_is_refused_before_the_first_request(
    tmp_path: Path, mock, words, said
) -> None:
    if "64000" in words:
        words = ("--concurrency", "64000", "--pressure", "--workers", "1")
        from aisb_engine._load.connection_limits import connection_limits

        limits = connection_limits()
        if limits.files is None or limits.files > 64_100:
            pytest.skip("this machine can hold that many")
    code, output = run(tmp_path, mock.url, *words)
    assert code == 2
    assert said in output
    assert not list(tmp_path.glob("outputs/default/*"))


def test_pressure_and_duration_belong_to_performance_runs(tmp_path: Path, mock) -> None:
    code, output = run(tmp_path, mock.url, "--pressure", mode="all")
    assert code == 2
    assert "load.pressure_time: repeats rows, which only --mode perf can report" in output
    code, output = run(tmp_path, mock.url, "--duration", "5", mode="all")
    assert code == 2
    assert "load.duration: repeats rows, which only --mode perf can report" in output


def test_failures_are_failures_and_not_tried_again(tmp_path: Path) -> None:
    with start_mock(MockOptions(faults=("status-503:1",))) as broken:
        code, output = run(tmp_path, broken.url, "--num-prompts", "5", "--num-warmups", "0")
    assert code == 1, output
    assert "5 failed" in output
    assert [p.attempts for p in everything(tmp_path)] == [1] * 5


TALK = """
[tasks.talk]
summary = "Three questions each"
[tasks.talk.dataset]
use = "jsonl"
path = "./talk.jsonl"
[tasks.talk.prompt]
user = "{first}"
followups = "{later}"
"""


def test_a_conversation_goes_on_from_its_first_turn_without_an_answer(tmp_path: Path) -> None:
    rows = [{"first": f"one {n}", "later": ["two", "three"]} for n in range(3)]
    (tmp_path / "talk.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "aisb.toml").write_text(TALK.replace("./talk", f"{tmp_path}/talk"))
    with start_mock(MockOptions(faults=("status-400@2",), tokens=4)) as mock:
        code, output = run(tmp_path, mock.url, "--concurrency", "1", mode="infer", task="talk")
        assert code == 1, output
        assert "not sent: turn 1 of its conversation failed" in "".join(
            p.failure.message for p in everything(tmp_path) if p.failure
        )
        code, output = run(tmp_path, mock.url, "--reuse", mode="infer", task="talk")
    assert "Found 7 finished of 9, 2 failed: resuming" in output
    assert code == 0, output
    last = {p.key: p for p in everything(tmp_path)}
    assert set(last) == {(str(n), 0, turn) for n in range(3) for turn in range(3)}
    assert all(p.failure is None for p in last.values())


def test_every_turn_of_a_conversation_is_scored_and_none_is_missing(tmp_path: Path, mock) -> None:
    rows = [{"first": f"one {n}", "later": ["two", "three"]} for n in range(3)]
    (tmp_path / "talk.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    graded = TALK + '[[tasks.talk.evaluate]]\nuse = "exact-match"\n'
    graded = graded.replace(
        "[tasks.talk.prompt]", '[tasks.talk.sample]\ntarget = "{first}"\n[tasks.talk.prompt]'
    )
    (tmp_path / "aisb.toml").write_text(graded.replace("./talk", f"{tmp_path}/talk"))
    code, output = run(tmp_path, mock.url, mode="all", task="talk")
    assert code == 0, output
    (file,) = tmp_path.glob("outputs/default/*/results/*/talk.json")
    result = json.loads(file.read_text())
    assert (result["predictions"], result["not_sent"]) == (9, 0)
    assert "not sent yet" not in output
