"""What a server counts beside a performance run is shown; one that will not say costs the run nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from forked import run_forked

REPLY = [
    {"choices": [{"index": 0, "delta": {"content": "42"}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 1}},
]
SPECULATING = """\
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{{engine="0",model_name="m"}} {running}
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{{engine="0",model_name="m"}} 1.0
# TYPE vllm:spec_decode_num_drafts_total counter
vllm:spec_decode_num_drafts_total{{engine="0",model_name="m"}} {drafts}
# TYPE vllm:spec_decode_num_draft_tokens_total counter
vllm:spec_decode_num_draft_tokens_total{{engine="0",model_name="m"}} {drafted}
# TYPE vllm:spec_decode_num_accepted_tokens_total counter
vllm:spec_decode_num_accepted_tokens_total{{engine="0",model_name="m"}} {accepted}
# TYPE vllm:spec_decode_num_accepted_tokens_per_pos_total counter
vllm:spec_decode_num_accepted_tokens_per_pos_total{{engine="0",model_name="m",position="0"}} {first}
vllm:spec_decode_num_accepted_tokens_per_pos_total{{engine="0",model_name="m",position="1"}} {second}
"""


@contextmanager
def service(*, metrics: str) -> Iterator[str]:
    """A chat service that takes 0.1 s for a reply; `/metrics` as named: "speculating" or "hangs"."""
    asked = [0]
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def send(self, kind: str, data: bytes) -> None:
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            if self.path == "/v1/models":
                self.send("application/json", json.dumps({"data": [{"id": "m"}]}).encode())
            elif self.path == "/metrics" and metrics == "hangs":
                over.wait(60)
            elif self.path == "/metrics":
                drafts = 10 * asked[0]
                text = SPECULATING.format(
                    running=3.0, drafts=drafts, drafted=2 * drafts, accepted=drafts, first=8 * asked[0],
                    second=2 * asked[0],
                )  # fmt: skip
                self.send("text/plain", text.encode())
            else:
                self.send_error(404)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            asked[0] += 1
            time.sleep(0.1)
            events = [f"data: {json.dumps(event)}\n\n" for event in REPLY]
            self.send("text/event-stream", "".join([*events, "data: [DONE]\n\n"]).encode())

        def log_message(self, *_: object) -> None:
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def perf(work: Path, url: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, "-m", "aisb_cli.main", "run", "--mode", "perf", "--tables", "--models", "vllm_api_stream_chat",
        "--datasets", "demo_gsm8k", "--url", url, "--num-prompts", "12", "--concurrency", "2", *words,
    ]  # fmt: skip
    return run_forked(command, cwd=work, capture_output=True, text=True, check=False, timeout=90)


def load(work: Path) -> dict:
    (file,) = work.glob("outputs/default/*/log/*/*/load.json")
    return json.loads(file.read_text())


def test_speculative_decoding_and_what_runs_at_the_server_are_shown(tmp_path: Path) -> None:
    with service(metrics="speculating") as url:
        ended = perf(tmp_path, url, "--spec-decode")
    assert ended.returncode == 0, ended.stderr
    assert "Acceptance Rate           50.00 %" in ended.stdout
    assert "Acceptance Length         2.00 token/step" in ended.stdout
    assert "Drafts                    120" in ended.stdout
    assert "Acceptance at Position 0  80.00 %" in ended.stdout
    assert "Acceptance at Position 1  20.00 %" in ended.stdout
    assert "requests at the server: 3 running on average and 3 at most, 1 waiting on" in ended.stdout
    kept = load(tmp_path)["counters"]
    assert kept["after"]['vllm:spec_decode_num_accepted_tokens_per_pos_total{position="1"}'] == 26
    assert kept["after"]["accepted_tokens_at_1"] == 26
    assert kept["during"]["running"]["maximum"] == 3


def test_a_server_that_does_not_speculate_says_so_where_it_was_asked(tmp_path: Path) -> None:
    ended = run_forked(
        [
            sys.executable, "-m", "aisb_cli.main", "run", "--mode", "perf", "--tables", "--models", "sim", "--datasets",
            "demo_gsm8k", "--num-prompts", "3", "--spec-decode",
        ],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "Speculative decoding: the server counted none during the run" in ended.stdout


def test_counters_that_hang_neither_fail_nor_hold_up_a_run(tmp_path: Path) -> None:
    with service(metrics="hangs") as url:
        ended = perf(tmp_path, url)
    assert ended.returncode == 0, ended.stderr
    assert "server counters could not be read: no answer within 2 s" in ended.stdout
    told = load(tmp_path)
    assert told["counters"] == {"before": {}, "after": {}, "during": {}}
    assert told["started_ns"] < 4e9  # they were waited for once, and briefly
    (requests,) = tmp_path.glob("outputs/default/*/performances/*/demo_gsm8k_requests.csv")
    assert requests.read_text().count(",true,") == 12
