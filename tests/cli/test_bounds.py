"""What a reply, a run folder and this machine may cost at most, and what is said where it does not suffice."""

from __future__ import annotations

import gzip
import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from forked import run_forked

from aisb_mock import MockOptions, start_mock

MB = 1_000_000


class Ended(NamedTuple):
    code: int
    said: str


def aisb(*words: str, cwd: Path, memory: int | None = None, files: int | None = None) -> Ended:
    wanted = {resource.RLIMIT_AS: memory, resource.RLIMIT_NOFILE: files}
    ended = run_forked(
        [sys.executable, "-m", "aisb_cli.main", *words],
        cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=240,
        limits={kind: value for kind, value in wanted.items() if value},
        env={**{k: v for k, v in os.environ.items() if not k.startswith("AISB_")}, "COLUMNS": "80"},
    )  # fmt: skip
    return Ended(ended.returncode, ended.stdout.decode("utf-8", "replace"))


class _Large(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer(b'{"data": [{"id": "tiny"}]}', {})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer(self.server.body, self.server.more)  # type: ignore[attr-defined]

    def _answer(self, body: bytes, more: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in {
            "content-type": "application/json",
            "content-length": str(len(body)),
            **more,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def service() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Large)
    server.handle_error = lambda *_: None  # a reply that is too large is not read to its end
    server.body, server.more = b"", {}
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def asked(service: Any, *more: str, count: int = 1) -> list[str]:
    return [
        "run", "--models", "vllm_api_general_chat", "--datasets", "demo_gsm8k", "--num-prompts", str(count),
        "--set", "load.retries=0", "--url", f"http://127.0.0.1:{service.server_port}", *more,
    ]  # fmt: skip


def reply_of(size: int) -> bytes:
    return json.dumps({"choices": [{"message": {"content": "7" * size}, "finish_reason": "stop"}]}).encode()


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["native", pytest.param("httpx", marks=pytest.mark.slow)])
def test_a_gzip_bomb_is_a_failure_and_takes_little_memory(
    service: Any, tmp_path: Path, transport: str
) -> None:
    service.body = gzip.compress(reply_of(1000 * MB), 9)
    service.more = {"content-encoding": "gzip"}
    ended = aisb(*asked(service, "--set", f"model.transport={transport}"), cwd=tmp_path, memory=2_000 * MB)
    assert ended.code == 1, ended.said
    assert "the reply is larger than 64,000,000 bytes (load.max_reply)" in " ".join(ended.said.split())


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["native", pytest.param("httpx", marks=pytest.mark.slow)])
def test_the_largest_reply_is_an_option(service: Any, tmp_path: Path, transport: str) -> None:
    service.body = reply_of(300_000)
    given = ("--set", f"model.transport={transport}", "--set")
    ended = aisb(*asked(service, *given, "load.max_reply=200000"), cwd=tmp_path)
    assert ended.code == 1, ended.said
    assert "the reply is larger than 200,000 bytes (load.max_reply)" in " ".join(ended.said.split())
    ended = aisb(*asked(service, *given, "load.max_reply=400000"), cwd=tmp_path)
    assert ended.code == 0, ended.said


@pytest.mark.parametrize("transport", ["native", pytest.param("httpx", marks=pytest.mark.slow)])
def test_the_longest_head_is_an_option(service: Any, tmp_path: Path, transport: str) -> None:
    service.body, service.more = reply_of(3), {"x-trace": "y" * 5_000}
    given = ("--set", f"model.transport={transport}", "--set")
    ended = aisb(*asked(service, *given, "load.max_head=4096"), cwd=tmp_path)
    assert ended.code == 1, ended.said
    assert "its head is longer than 4096 bytes (load.max_head)" in " ".join(ended.said.split())
    ended = aisb(*asked(service, *given, "load.max_head=8192"), cwd=tmp_path)
    assert ended.code == 0, ended.said


def test_scoring_does_not_write_through_a_symbolic_link(tmp_path: Path) -> None:
    made = aisb("run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "2", cwd=tmp_path)
    assert made.code == 0, made.said
    (folder,) = tmp_path.glob("outputs/default/*/results/sim")
    (elsewhere := tmp_path / "elsewhere").mkdir()
    kept = elsewhere / "demo_gsm8k.json"
    kept.write_text("mine")
    folder.rename(folder.with_name("before"))
    folder.symlink_to(elsewhere)
    ended = aisb("score", "latest", cwd=tmp_path)
    assert ended.code == 2
    assert "results/sim is a symbolic link, and aisb does not write through links" in " ".join(
        ended.said.split()
    )
    assert kept.read_text() == "mine"
    assert list(elsewhere.iterdir()) == [kept]


@pytest.mark.slow
@pytest.mark.parametrize("concurrency", ["8", "512"])
def test_few_open_files_are_answered_with_fewer_workers_or_one_line(tmp_path: Path, concurrency: str) -> None:
    with start_mock(MockOptions()) as mock:
        ended = aisb(
            "run", "--models", "vllm_api_stream_chat", "--url", mock.url, "--datasets", "demo_gsm8k",
            "--set", "params.num_return_sequences=16", "--concurrency", concurrency, "--num-prompts", "64",
            cwd=tmp_path, files=64,
        )  # fmt: skip
    if concurrency == "8":
        assert ended.code == 0, ended.said
    else:
        assert ended.code == 2, ended.said
        assert "512 cannot be in flight" in ended.said
        assert len(ended.said.splitlines()) <= 2, ended.said


@pytest.mark.parametrize("more", [(), ("--concurrency", "1"), ("--workers", "2")])
def test_too_few_open_files_for_any_run_are_said_in_one_line(tmp_path: Path, more: tuple[str, ...]) -> None:
    words = ("run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "2", *more)
    ended = aisb(*words, cwd=tmp_path, files=16)
    assert ended.code == 5, ended.said
    line = "this process may open 16 files at a time, and a run needs at least 32: raise `ulimit -Hn`"
    assert ended.said.splitlines() == [f"error: {line}"]
    assert not list(tmp_path.glob("outputs/default/2*"))


def test_a_run_folder_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    made = aisb("run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "2", cwd=tmp_path)
    assert made.code == 0, made.said
    (folder,) = tmp_path.glob("outputs/default/*")
    (folder / ".lock").unlink()
    (folder / ".lock").mkdir()  # binds root, too, which permissions do not
    for words in (("score", "latest"), ("run", "--reuse")):
        ended = aisb(*words, cwd=tmp_path)
        assert ended.code == 5, ended.said
        assert f"{folder.name} cannot be written: Is a directory; it can still be read" in ended.said
        assert len(ended.said.splitlines()) == 1


def test_log_lines_that_cannot_be_written_end_the_run_with_what_to_do(tmp_path: Path) -> None:
    words = ("run", "--models", "sim", "--datasets", "demo_gsm8k")
    assert aisb(*words, "--num-prompts", "2", cwd=tmp_path).code == 0
    (lines,) = tmp_path.glob("outputs/default/*/logs/infer/sim/demo_gsm8k.out")
    lines.unlink()
    lines.mkdir()
    ended = aisb("run", "--reuse", "--num-prompts", "4", cwd=tmp_path)
    assert ended.code == 5, ended.said
    assert f"{lines.name} cannot be written: Is a directory\n  all finished requests are kept" in ended.said
    lines.rmdir()
    resumed = aisb("run", "--reuse", "--num-prompts", "4", cwd=tmp_path)
    assert resumed.code == 0, resumed.said
