"""A small real HTTP service on a loopback port, told by each test what to answer."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

Answer = tuple[int, object] | tuple[int, object, dict[str, str]]
Answers = dict[str, Answer | Callable[[dict[str, object]], Answer]]


class Service:
    """Answers by path, with what is set or what a function makes of the body; `asked` keeps (path, headers)."""

    def __init__(self, answers: Answers) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                service.asked.append((self.path, {key.lower(): value for key, value in self.headers.items()}))
                answer = answers.get(self.path, (404, {"detail": "Not Found"}))
                if callable(answer):
                    answer = answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                status, body, *more = answer
                data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
                self.send_response(status)
                for key, value in (more[0] if more else {}).items():
                    self.send_header(key, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.place = self.url.removeprefix("http://")
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def serve() -> Iterator[Callable[..., Service]]:
    running: list[Service] = []

    def start(answers: Answers) -> Service:
        running.append(Service(answers))
        return running[-1]

    yield start
    for service in running:
        service.close()
