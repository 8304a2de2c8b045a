"""JSON that is nested 100,000 deep: in a reply it fails that request, in a file it is an error in one line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from forked import run_forked

DEPTH = 100_000
DEEP_OBJECT = b'{"error":' * DEPTH
DEEP_LIST = b"[" * DEPTH
CLOSED = b"[" * DEPTH + b"]" * DEPTH
DELTA = {"index": 0, "delta": {"content": "The answer is 18."}, "finish_reason": "stop"}
ANSWER = b"data: " + json.dumps({"choices": [DELTA]}).encode() + b"\n\ndata: [DONE]\n\n"

REPLIES: dict[str, tuple[int, bytes]] = {
    "an error body": (500, DEEP_OBJECT),
    "an error body that is whole": (500, b'{"error":' + CLOSED + b"}"),
    "a refusal": (400, DEEP_OBJECT),
    "an event": (200, b"data: " + DEEP_LIST + b"\n\ndata: [DONE]\n\n"),
    "an event that is whole": (200, b"data: " + CLOSED + b"\n\ndata: [DONE]\n\n"),
    "a last event without its end": (200, b"data: " + CLOSED),
    "an error event": (200, b'data: {"error":' + CLOSED + b"}\n\n"),
}


@contextmanager
def service(status: int, body: bytes, every: int) -> Iterator[str]:
    """Serve chat completions, of which every n-th is the odd reply; yield the address."""
    lock, counts = threading.Lock(), {"posts": 0}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._reply(200, "application/json", b'{"data": [{"id": "tiny"}]}')

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                counts["posts"] += 1
                odd = counts["posts"] % every == 0
            self._reply(*((status, "text/event-stream", body) if odd else (200, "text/event-stream", ANSWER)))

        def _reply(self, code: int, kind: str, data: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def aisb(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AISB_", "OPENAI_"))}
    ended = run_forked(
        [sys.executable, "-m", "aisb_cli.main", *words],
        cwd=cwd, capture_output=True, text=True, check=False, timeout=100, env={**environment, "COLUMNS": "200"},
    )  # fmt: skip
    assert "Traceback" not in ended.stderr, ended.stderr
    assert "defect" not in ended.stderr, ended.stderr
    return ended


@pytest.mark.parametrize("kind", REPLIES)
def test_a_reply_that_is_nested_too_deeply_is_a_failure_of_its_request(tmp_path: Path, kind: str) -> None:
    words = ("--models", "vllm_api_stream_chat", "--datasets", "demo_gsm8k", "--num-prompts", "12")
    more = ("--set", "load.retries=0", "--set", "load.num_warmups=0", "--concurrency", "2")
    with service(*REPLIES[kind], every=4) as url:
        ended = aisb("run", *words, *more, "--url", url, "--model-name", "tiny", cwd=tmp_path)
    assert ended.returncode == 1, ended.stderr
    (predictions,) = tmp_path.glob("outputs/default/*/predictions/*/demo_gsm8k.jsonl")
    failures = [json.loads(line)["failure"] for line in predictions.read_text().splitlines()]
    found = [failure["kind"] for failure in failures if failure]
    assert len(failures) == 12
    assert found == ["protocol"] * 3


def deep_manifest(run: Path) -> None:
    (run / "configs/manifest.json").write_bytes(DEEP_OBJECT)


def deep_result(run: Path) -> None:
    (run / "results/sim/demo_gsm8k.json").write_bytes(DEEP_LIST)


def deep_configuration(run: Path) -> None:
    (config,) = run.glob("configs/2*.toml")
    config.write_bytes(b"a = " + CLOSED)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("made")
    assert (
        aisb("run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "3", cwd=work).returncode
        == 0
    )
    return work


@pytest.mark.slow
@pytest.mark.parametrize("damage", [deep_manifest, deep_result, deep_configuration])
def test_a_run_folder_with_a_file_nested_too_deeply_is_an_error_in_a_line(
    made: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    shutil.copytree(made / "outputs", tmp_path / "outputs")
    (run,) = tmp_path.glob("outputs/default/*")
    damage(run)
    for words in (["runs", "list"], ["runs", "show"], ["score"], ["report"], ["run", "--reuse"], ["logs"]):
        assert aisb(*words, cwd=tmp_path).returncode in {0, 1, 2}, words


@pytest.mark.parametrize("file", ["rows.jsonl", "rows.json"])
def test_a_row_that_is_nested_too_deeply_is_named_with_its_place(tmp_path: Path, file: str) -> None:
    rows = [b'{"question": "1 + 1?", "answer": "2"}', b'{"question": ' + CLOSED + b', "answer": "2"}']
    text = b"[" + b",\n".join(rows) + b"]" if file.endswith(".json") else b"\n".join(rows)
    (tmp_path / file).write_bytes(text)
    (tmp_path / "deep.toml").write_text(
        f'version = 1\nsummary = "Deep"\n[dataset]\nuse = "{file.partition(".")[2]}"\npath = "./{file}"\n'
        '[prompt]\nuser = "{question}"\n[sample]\ntarget = "{answer}"\n'
    )
    ended = aisb("run", "--models", "sim", "--datasets", "./deep.toml", cwd=tmp_path)
    assert ended.returncode == 2
    assert f"{file}" in ended.stderr
    assert "not JSON: it is nested too deeply" in ended.stderr
