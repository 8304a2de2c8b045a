"""`--wait`: a service that is still loading is waited for; and readiness paths that a gateway does not have."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from forked import Forked, run_forked

from aisb_testing._fixtures import Answering

LOADING = {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}
REPLY = {"choices": [{"message": {"role": "assistant", "content": "7"}, "finish_reason": "stop"}]}
PAGES = {"/v1/models": {"data": [{"id": "m"}]}, "/v1/chat/completions": REPLY, "/health": {"status": "ok"}}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def service(port: int, is_loading: Callable[[str], bool]) -> Iterator[list[str]]:
    """A service that answers 503 where it is loading; yields the paths that were asked for and answered."""
    answered: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            body, status = json.dumps(PAGES.get(self.path, {})).encode(), 200 if self.path in PAGES else 404
            if is_loading(self.path):
                body, status = json.dumps(LOADING).encode(), 503
            elif status == 200:
                answered.append(self.path)
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - a name of http.server

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield answered
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def command(port: int, *words: str) -> list[str]:
    return [
        sys.executable, "-m", "aisb_cli.main", "run", "--models", "vllm_api_general_chat", "--datasets", "demo_gsm8k",
        "--num-prompts", "1", "--mode", "infer", "--url", f"http://127.0.0.1:{port}", *words,
    ]  # fmt: skip


def run(work: Path, port: int, *words: str) -> subprocess.CompletedProcess[str]:
    return run_forked(
        command(port, *words), cwd=work, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_service_that_starts_and_then_loads_is_waited_for(tmp_path: Path) -> None:
    port = free_port()
    started = Forked(
        command(port, "--wait", "60"),
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert started.stdout
    try:
        refused = started.stdout.readline()
        looks: list[str] = []

        def is_loading(path: str) -> bool:
            looks.append(path)
            return looks.count(path) == 1 and path != "/v1/chat/completions"  # the list, then the model

        with service(port, is_loading) as answered:
            output, _ = started.communicate(timeout=60)
    finally:
        started.kill()
    assert started.returncode == 0, output
    assert f"waiting up to 60 s more: 127.0.0.1:{port} refused the connection" in refused
    assert f"127.0.0.1:{port}/v1/models is not ready (503: Loading model)" in output
    assert f"127.0.0.1:{port}/health is not ready (503: Loading model)" in output
    assert "it is ready after " in output
    assert answered[:2] == ["/v1/models", "/health"]
    assert answered.count("/v1/chat/completions") == 1


def test_the_end_of_the_wait_is_an_error_that_says_why(tmp_path: Path) -> None:
    port = free_port()
    ended = run(tmp_path, port, "--wait", "0.3")
    assert ended.returncode == 3
    assert (
        "error: vllm-api-general-chat: it was not ready within the 0.3 s of --wait: "
        f"127.0.0.1:{port} refused the connection; is the service running, and on this port?"
    ) in ended.stderr
    with service(port, lambda path: True):
        ended = run(tmp_path, port, "--wait", "0.3")
        at_once = run(tmp_path, port)
    assert ended.returncode == at_once.returncode == 3
    assert "within the 0.3 s of --wait: 127.0.0.1" in ended.stderr
    assert "/v1/models is not ready (503: Loading model)" in ended.stderr
    assert "try again when it is" in at_once.stderr
    assert "waiting" not in at_once.stderr
    assert not list(tmp_path.glob("outputs/default/*"))


def test_what_waiting_cannot_mend_is_an_error_at_once(tmp_path: Path) -> None:
    began = time.monotonic()
    with service(port := free_port(), lambda path: False):
        ended = run(tmp_path, port, "--wait", "50", "--model-name", "other")
    assert ended.returncode == 3
    assert "does not list a model 'other'" in ended.stderr
    assert time.monotonic() - began < 40
    assert run(tmp_path, port, "--wait", "-1").returncode == 2


TRITON = {
    "/v2": (200, {"name": "triton", "version": "2"}),
    "/v2/models/m": (200, {"name": "m", "inputs": []}),
    "/v2/models/m/generate": (200, {"text_output": "7"}),
}


@pytest.mark.parametrize(("status", "passes"), [(404, True), (400, False)])
def test_check_model_false_passes_over_a_readiness_path_that_a_gateway_does_not_have(
    tmp_path: Path, answering: Callable[..., Answering], status: int, passes: bool
) -> None:
    pages: dict[str, Any] = {**TRITON, "/v2/models/m/ready": (status, {"error": "not ready"})}
    words = [
        sys.executable, "-m", "aisb_cli.main", "run", "--models", "triton_api_general", "--datasets", "demo_gsm8k",
        "--num-prompts", "1", "--mode", "infer", "--url", answering(pages).url, "--model-name", "m",
    ]  # fmt: skip

    def asked(*more: str) -> subprocess.CompletedProcess[str]:
        return run_forked(
            [*words, *more], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
        )

    checked = asked()
    assert checked.returncode == 3
    assert f"the model 'm' is not ready ({status}: not ready)" in checked.stderr
    assert ("--set model.check_model=false" in checked.stderr) is passes
    unchecked = asked("--set", "model.check_model=false")
    assert (unchecked.returncode == 0) is passes, unchecked.stderr
    if passes:
        assert "it is unknown whether the model is ready" in unchecked.stderr + unchecked.stdout
