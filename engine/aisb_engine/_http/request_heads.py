"""Encode requests as HTTP/1.1."""

from __future__ import annotations

from aisb_engine._http.transport import WireRequest


class RequestHeads:
    """Encodes requests, and caches the latest head, because most requests of a run share it."""

    __slots__ = ("_head", "_headers", "_method", "_target")

    def __init__(self) -> None:
        self._headers: tuple[tuple[str, str], ...] | None = None
        self._method = self._target = ""
        self._head = b""

    def message(self, request: WireRequest) -> bytes:
        """Return the bytes of a request."""
        method, headers, body = request.method, request.headers, request.body
        if headers is not self._headers or request.target != self._target or method != self._method:
            self._method, self._target, self._headers = method, request.target, headers
            lines = [
                f"{method} {request.target} HTTP/1.1\r\n",
                *(f"{name}: {value}\r\n" for name, value in headers),
            ]
            self._head = "".join(lines).encode("latin-1")
        if not body and method == "GET":
            return self._head + b"\r\n"
        return b"%bcontent-length: %d\r\n\r\n%b" % (self._head, len(body), body)
