"""Encode requests as HTTP/1.1."""

from __future__ import annotations

from aisb_engine._http.transport import WireRequest


class RequestHeads:
    """Encodes requests, and caches the latest head, because most requests of a run share it."""

    __slots__ = ("_first_line", "_head", "_headers")

    def __init__(self) -> None:
        self._headers: tuple[tuple[str, str], ...] | None = None
        self._first_line = ("", "")
        self._head = b""

    def message(self, request: WireRequest) -> bytes:
        """Return the bytes of a request."""
        method, target, headers, body, _ = request
        if headers is not self._headers or (method, target) != self._first_line:
            self._headers, self._first_line = headers, (method, target)
            lines = [f"{method} {target} HTTP/1.1\r\n", *(f"{name}: {value}\r\n" for name, value in headers)]
            self._head = "".join(lines).encode("latin-1")
        if not body and method == "GET":
            return self._head + b"\r\n"
        return b"%bcontent-length: %d\r\n\r\n%b" % (self._head, len(body), body)
