"""A proxy that answers the first attempts at some requests as no service should, and passes on all others."""

from __future__ import annotations

import gzip
import http.client
import os
import random
import signal
import threading
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

DEEP = b"[" * 100_000
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"


def _chunked(*parts: bytes) -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return HEAD + b"transfer-encoding: chunked\r\n\r\n" + body


def _sized(body: bytes, head: bytes = HEAD, more: bytes = b"") -> bytes:
    return head + more + b"content-length: %d\r\n\r\n" % len(body) + body


REPLIES: dict[str, bytes] = {
    "nested event": _sized(b"data: " + DEEP + b"\n\n"),
    "nested error": _sized(DEEP, b"HTTP/1.1 500 X\r\ncontent-type: application/json\r\n"),
    "bad chunk size": HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\ndata: {}\n\n\r\n",
    "negative length": HEAD + b"content-length: -5\r\n\r\n",
    "two lengths": HEAD + b"content-length: 5\r\ncontent-length: 7\r\n\r\nhello",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,
    "endless head": b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 40_000,
    "cut chunk": _chunked(b'data: {"choices":[{"delta":{"content":"so"}}]}\n\n')[:-20],
    "gzip bomb": _sized(gzip.compress(bytes(80_000_000)), more=b"content-encoding: gzip\r\n"),
    "broken gzip": _sized(b"\x1f\x8b\x08\x00nothing", more=b"content-encoding: gzip\r\n"),
    "bytes that are no text": _sized(b"data: \xff\xfe\x00{\n\n" * 50),
    "redirect": b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
    "choices of other types": _sized(b'data: {"choices":[{"delta":5},7,null]}\n\ndata: [DONE]\n\n'),
    "numbers that are none": _sized(b'data: {"choices":[],"usage":{"prompt_tokens":1e999}}\n\n'),
    "only the end": _sized(b"data: [DONE]\n\n"),
    "1xx for ever": b"HTTP/1.1 100 Continue\r\n\r\n" * 2_000,
    "an odd status": b"HTTP/1.1 799 ???\r\ncontent-length: 0\r\n\r\n",
}


class _Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.startswith("/torture/"):
            self.server.begin(int(self.path.rpartition("/")[2]))  # type: ignore[attr-defined]
            self._send(200, b"{}", "application/json")
            return
        self._pass_on(b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        reply = self.server.hostile_reply(body)  # type: ignore[attr-defined]
        if reply is None:
            self._pass_on(body)
            return
        self.close_connection = True
        try:
            self.wfile.write(reply)
        except OSError:
            return

    def _pass_on(self, body: bytes) -> None:
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=20)  # type: ignore[attr-defined]
        try:
            upstream.request(self.command, self.path, body or None, {"content-type": "application/json"})
            answer = upstream.getresponse()
            data = answer.read()
            self._send(answer.status, data, answer.getheader("content-type") or "text/plain")
        except OSError:
            self.close_connection = True
        finally:
            upstream.close()

    def _send(self, status: int, data: bytes, kind: str) -> None:
        try:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    upstream = ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Proxy)
        self._lock = threading.Lock()
        self.begin(0)

    def begin(self, seed: int) -> None:
        with self._lock:
            self._seed, self._counts = seed, dict[bytes, int]()

    def hostile_reply(self, body: bytes) -> bytes | None:
        """Return a hostile reply to an attempt, up to two for each request; None where it is passed on."""
        key = sha256(body).digest()
        with self._lock:
            attempt = self._counts[key] = self._counts.get(key, 0) + 1
            draw = random.Random(f"{self._seed} {attempt} {key.hex()}")
        return draw.choice(list(REPLIES.values())) if attempt <= 2 and draw.random() < 0.4 else None


def start(upstream: str) -> tuple[int, str]:
    """Start the proxy in a forked process, which ends with this one; return its process id and its address."""
    reader, writer = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        os.close(writer)
        with os.fdopen(reader) as said:
            return pid, said.readline().strip()
    try:
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(0)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        server = _Server()
        server.upstream = urlsplit(upstream).netloc
        os.write(writer, f"http://127.0.0.1:{server.server_port}\n".encode())
        os.close(writer)
        server.serve_forever()
    finally:
        os._exit(0)
