"""A service in a thread whose handler answers with JSON: for tests that need more than pages by path."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class JsonHandler(BaseHTTPRequestHandler):
    """Answers with JSON, and logs nothing; a subclass has `get` and `post`, which call `answer`."""

    def get(self) -> None:
        """Answer a GET request."""
        self.answer(404, {"detail": "Not Found"})

    def post(self) -> None:
        """Answer a POST request."""
        self.get()

    def do_GET(self) -> None:
        """Call `get`."""
        self.get()

    def do_POST(self) -> None:
        """Call `post`."""
        self.post()

    def read_body(self) -> bytes:
        """Return the body of the request."""
        return self.rfile.read(int(self.headers["content-length"]))

    def answer(self, status: int, body: Any) -> None:
        """Send a reply; bytes are sent unchanged."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@contextmanager
def serving(handler: type[JsonHandler], **attributes: Any) -> Iterator[Any]:
    """Serve on a free port; the server has `url` and the attributes, which its handlers find as `self.server`."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    for name, value in attributes.items():
        setattr(server, name, value)
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
