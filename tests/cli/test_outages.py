"""A service that is gone for a while costs a run some time, and one that is gone for good ends it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from forked import run_forked

from aisb_engine._spec import RunTable

REPLY = {"choices": [{"message": {"content": "The answer is 18."}, "finish_reason": "stop"}]}
SILENT = 0
"""The status of a request that is never answered."""
SOON = ("load.brake.failures=6", "load.brake.seconds=0", "load.brake.probe=0.05", "load.backoff=0.01")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(200, {"data": [{"id": "tiny"}]}, {})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        server: Any = self.server
        with server.lock:
            number, server.number = server.number, server.number + 1
            status = server.status(number)
            server.statuses.append(status)
        if status == SILENT:
            server.stopped.wait(60)
            return
        self._answer(status, REPLY if status == 200 else {"error": "no engine"}, server.headers)

    def _answer(self, status: int, body: Any, headers: dict[str, str]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-length": str(len(data)), **(headers if status != 200 else {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def service() -> Iterator[Any]:
    """A service that answers its n-th request with the status that `status(n)` gives."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads, server.block_on_close, server.handle_error = True, False, lambda *_: None
    server.lock, server.number, server.statuses, server.headers = threading.Lock(), 0, [], {}
    server.stopped = threading.Event()
    server.status = lambda number: 200
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.stopped.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def aisb(service: Any, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    def aisb(*words: str, settings: tuple[str, ...] = ()) -> tuple[int, str]:
        sets = [word for each in settings for word in ("--set", each)]
        ended = run_forked(
            [sys.executable, "-m", "aisb_cli.main", *words, *sets],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=120,
            env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"},
        )  # fmt: skip
        assert "Traceback" not in ended.stdout, ended.stdout
        return ended.returncode, ended.stdout

    return aisb


def asked(service: Any, *more: str, mode: str = "all") -> list[str]:
    return [
        "run", "--mode", mode, "--models", "vllm_api_general_chat", "--datasets", "demo_gsm8k",
        "--url", f"http://127.0.0.1:{service.server_port}", "--concurrency", "4", *more,
    ]  # fmt: skip


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_run_pauses_while_a_service_restarts_and_asks_again_what_failed_meanwhile(
    service: Any, aisb: Any, workers: str
) -> None:
    service.status = lambda number: 503 if 20 <= number < 60 else 200
    settings = (
        *SOON,
        "load.retries=2",
    )  # a request that fails while others still succeed is no part of the outage
    code, said = aisb(*asked(service, "--workers", workers), settings=settings)
    assert code == 0, said
    assert re.search(r"paused: \d+ attempts failed in \d+ s and none succeeded \(status: HTTP 503", said), (
        said
    )
    assert "trying again every 0.05 s, for 600 s in all (load.outage)" in said
    assert "resumed: the service answers again after" in said
    assert "0 failed" in said
    assert "64/64" in said
    assert service.statuses.count(503) == 40
    assert service.statuses.count(200) == 64


def test_a_service_that_stays_away_ends_the_run_and_the_printed_command_goes_on(
    service: Any, aisb: Any
) -> None:
    service.status = lambda number: 200 if number < 10 else 503
    settings = (*SOON, "load.retries=0", "load.outage=0.4")
    code, said = aisb(*asked(service), settings=settings)
    assert code == 3, said
    assert re.search(
        r"stopped: demo_gsm8k · \S+: nothing succeeded for \d s \(load.outage\): status: HTTP 503", said
    )
    assert "accuracy" not in said
    (command,) = re.findall(r"resume with: aisb (run --reuse .*)", said)
    code, listed = aisb("runs", "list")
    assert "partial" in listed
    service.status = lambda number: 200
    code, said = aisb(*command.split())
    assert code == 0, said
    assert service.statuses.count(200) == 64


def test_a_probe_that_is_never_answered_does_not_keep_the_next_one_waiting(service: Any, aisb: Any) -> None:
    # As a connection of which a restarted service knows nothing.
    service.status = lambda number: SILENT if number == 20 else 503 if 4 <= number < 20 else 200
    settings = (*SOON, "load.retries=2", "load.brake.patience=0.2", "load.timeouts.first_byte=5")
    code, said = aisb(*asked(service), settings=settings)
    assert code == 0, said
    assert "64/64" in said
    assert float(re.search(r"resumed: the service answers again after (\d+) s", said)[1]) < 5


def test_a_probe_that_fails_after_the_outage_uses_no_retry(service: Any, aisb: Any) -> None:
    # At most 9 requests begin before the pause, so that the 13th is a probe. It fails a second after the others succeed.
    service.status = lambda number: SILENT if number == 12 else 503 if number < 12 else 200
    settings = (*SOON, "load.retries=0", "load.brake.patience=0.2", "load.timeouts.first_byte=1")
    code, said = aisb(*asked(service), settings=settings)
    assert code == 0, said
    assert "64/64" in said
    assert "0 failed" in said
    assert service.statuses.count(200) == 64


def test_an_outage_under_two_workers_ends_with_3_too(service: Any, aisb: Any) -> None:
    service.status = lambda number: 503
    settings = (*SOON, "load.retries=0", "load.outage=0.3")
    code, said = aisb(*asked(service, "--workers", "2"), settings=settings)
    assert code == 3, said
    assert "nothing succeeded for" in said
    assert "resume with: aisb run --reuse" in said


def test_requests_that_a_working_service_refuses_do_not_pause_a_run(service: Any, aisb: Any) -> None:
    service.status = lambda number: 400
    code, said = aisb(*asked(service), settings=(*SOON, "load.outage=0.3"))
    assert code == 1, said
    assert "paused" not in said
    assert len(service.statuses) == 64


@pytest.mark.parametrize(("limit", "most"), [("5", 5), ("10%", 7)])
def test_a_run_ends_after_as_many_failures_as_were_allowed(
    service: Any, aisb: Any, limit: str, most: int
) -> None:
    service.status = lambda number: 500 if number % 2 else 200
    words = asked(service, "--stop-after-failures", limit, "--max-failures", "60", "--concurrency", "2")
    code, said = aisb(*words, settings=("load.retries=0",))
    assert code == 1, said
    assert f"stopped: {most} requests failed (--stop-after-failures {limit})" in said
    assert "requests have no answer yet" in said
    assert "resume with: aisb run --reuse" in said
    assert most <= service.statuses.count(500) <= most + 2
    assert "partial" in aisb("runs", "list")[1]


def test_fewer_failures_than_that_leave_the_exit_code_to_max_failures(service: Any, aisb: Any) -> None:
    service.status = lambda number: 500 if number < 3 else 200
    words = asked(service, "--stop-after-failures", "4", "--num-prompts", "8", "--max-failures")
    assert aisb(*words, "3", settings=("load.retries=0",))[0] == 0
    service.number = 0
    assert aisb(*words, "2", settings=("load.retries=0",))[0] == 1


def test_a_limit_that_is_none_is_refused(service: Any, aisb: Any) -> None:
    code, said = aisb(*asked(service, "--stop-after-failures", "0%"))
    assert code == 2, said
    assert "give a number of failed requests, such as 20, or a share of all requests, such as 5%" in said
    assert not service.statuses


@pytest.mark.parametrize("limit", ["0", "-1", "many", "0%", "101%", "5 %", "1.5"])
def test_a_limit_is_a_number_or_a_part(limit: str) -> None:
    with pytest.raises(ValueError, match="stop_after_failures"):
        RunTable(stop_after_failures=limit)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_pressure_run_does_not_storm_a_service_that_is_gone(service: Any, aisb: Any, workers: str) -> None:
    service.status = lambda number: 200 if number < 20 else 503
    words = ("--pressure", "--pressure-time", "2", "--concurrency", "8", "--workers", workers)
    code, said = aisb(*asked(service, *words, mode="perf"))
    assert code == 1, said
    assert service.statuses.count(503) < 250
    assert re.search(r"\d+ attempts failed in \d s and none succeeded", said)
    assert "clients are slowed down until one succeeds" in said


def test_a_pressure_run_is_at_full_pressure_again_after_the_first_answer(service: Any, aisb: Any) -> None:
    service.status = lambda number: 503 if 20 <= number < 60 else 200
    words = ("--pressure", "--pressure-time", "2", "--concurrency", "8")
    _code, said = aisb(*asked(service, *words, mode="perf"), settings=("load.brake.failures=20",))
    assert "clients are slowed down until one succeeds" in said
    assert service.statuses.count(200) > 100


def test_a_wait_that_a_service_asks_for_is_said_and_bounded(service: Any, aisb: Any) -> None:
    service.status = lambda number: 429 if number < 4 else 200
    service.headers = {"retry-after": "100"}
    code, said = aisb(*asked(service, "--num-prompts", "8"), settings=("load.longest_delay=0.2",))
    assert code == 0, said
    line = (
        "the service asks to wait 100 s before the next attempt (Retry-After); "
        "it follows after 0.2 s, the maximum (load.longest_delay)"
    )
    assert said.count(line) == 1
