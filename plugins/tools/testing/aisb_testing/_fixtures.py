"""Fixtures for the tests of plugins; pytest finds them if aisb-testing is installed.

`mock(accuracy=1, faults=("cut:0.1",))` starts a mock server with these options, and `answering({"/v1/models":
(200, {"data": []})})` a service that answers by path, for replies that the mock server cannot give.
`scripted(script)` starts a `ScriptedService`. All stop with the test. `make_task("gsm8k")` resolves a task
over rows that the test wrote, see `_tasks.py`.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from aisb import Backend
from aisb_engine import EngineClient
from aisb_mock import MockOptions, MockProcess, start_mock
from aisb_testing._browser import browser, chromium
from aisb_testing._scripted import ScriptedService
from aisb_testing._tasks import data, make_task, plugins

__all__ = ["answering", "browser", "chromium", "data", "make_task", "mock", "plugins", "scripted"]

FixtureAnswer = tuple[int, Any] | tuple[int, Any, Mapping[str, str]]
"""Status, body (JSON, or a text as it is), and headers."""
Answers = Mapping[str, FixtureAnswer | Callable[[Any], FixtureAnswer]]
"""Answers by path; a function gets the posted body. Any other path is a 404."""


@pytest.fixture(autouse=True, scope="session")
def _client() -> None:
    """Set the engine's client on backends that a test creates itself."""
    Backend.client = EngineClient()


@pytest.fixture(autouse=True, scope="session")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Use a cache folder of the tests for media that runs extract from rows."""
    os.environ["AISB_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def mock() -> Iterator[Callable[..., MockProcess]]:
    """Start mock servers with the options given."""
    running: list[MockProcess] = []

    def start(**options: Any) -> MockProcess:
        running.append(start_mock(MockOptions(**options)))
        return running[-1]

    yield start
    for process in running:
        process.stop()


class Answering:
    """A service that answers by path.

    `asked` holds the path and headers of each request, `bodies` the posted bodies.
    """

    def __init__(self, answers: Answers, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.bodies: list[Any] = []
        service = self

        class Exchange(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                service.asked.append(
                    (self.path, {name.lower(): value for name, value in self.headers.items()})
                )
                answer = answers.get(self.path, (404, {"detail": "Not Found"}))
                posted = self.rfile.read(int(self.headers["content-length"] or 0))
                if posted:
                    service.bodies.append(json.loads(posted))
                status, body, *more = answer(service.bodies[-1]) if callable(answer) else answer
                data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in (more[0] if more else {}).items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the class names it
                """Print nothing."""

        class Server(ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        self._server = Server((host, 0), Exchange)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.place = f"{f'[{host}]' if ':' in host else host}:{self._server.server_port}"
        self.url = f"{'https' if tls else 'http'}://{self.place}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def answering() -> Iterator[Callable[..., Answering]]:
    """Start services that answer by path; `host` and `tls` say where and how."""
    running: list[Answering] = []

    def start(answers: Answers, **more: Any) -> Answering:
        running.append(Answering(answers, **more))
        return running[-1]

    yield start
    for service in running:
        service.close()


@pytest.fixture
def scripted() -> Iterator[Callable[..., ScriptedService]]:
    """Start services that play a script, and record the true events."""
    running: list[ScriptedService] = []

    def start(script: Any, **options: Any) -> ScriptedService:
        running.append(ScriptedService(script, **options).start())
        return running[-1]

    yield start
    for service in running:
        service.stop()
