"""One client connection of the mock server: HTTP/1.1 with keep-alive, one reply at a time."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from time import monotonic_ns
from typing import TYPE_CHECKING, NamedTuple, cast

import httptools

from aisb_mock._delivery import Delivery, reply_bytes

if TYPE_CHECKING:
    from aisb_mock._rehearsed import Rerun
    from aisb_mock._server import Server


class HttpMessage(NamedTuple):
    """A received request; `arrival` is the time of its last byte."""

    method: bytes
    path: str
    headers: dict[bytes, bytes]
    body: bytes
    keep_alive: bool
    arrival: int


class MockConnection(asyncio.Protocol):
    """Reads requests, and passes each to the server when the previous reply is complete."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[HttpMessage] = deque()
        self._busy = False
        self._keep_alive = True
        self._delivery: Delivery | Rerun | None = None
        self.paused = False
        self._begin()

    @property
    def gone(self) -> bool:
        """Whether the client has disconnected."""
        return self._transport is None

    def write(self, data: bytes) -> None:
        """Send bytes, unless the client has disconnected."""
        if self._transport is None:
            return
        if not self.paused:
            # Write to the socket directly: the event loop's transport would double the cost.
            try:
                sent = os.write(self._file, data)
            except BlockingIOError:
                sent = 0
            except OSError:  # the client has disconnected; `connection_lost` follows
                return
            if sent == len(data):
                return
            data = data[sent:]
        self._transport.write(data)

    def deliver(self, delivery: Delivery | Rerun) -> None:
        """Send a reply at its own pace."""
        self._delivery = delivery
        self._server.pacer.add(delivery, monotonic_ns())

    def reply(self, data: bytes) -> None:
        """Send a whole reply."""
        self.write(data)
        self.finished()

    def finished(self, *, close: bool = False) -> None:
        """Continue with the next request, or close."""
        self._delivery = None
        self._busy = False
        if self._transport is None:
            return
        if close or not self._keep_alive:
            self._transport.close()
        elif self._waiting:
            self._serve(self._waiting.popleft())

    def abort(self) -> None:
        """Close at once, even during a reply."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Prepare for a client."""
        self._transport = cast("asyncio.Transport", transport)
        self._file = self._transport.get_extra_info("socket").fileno()
        # Pause while the transport has buffered bytes, so that direct writes cannot overtake them.
        self._transport.set_write_buffer_limits(high=0)
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the reason does not matter
        """Abort the reply that is still being sent."""
        self._transport = None
        self._server.connections.discard(self)
        if self._delivery is not None:
            self._delivery.abort()

    def pause_writing(self) -> None:
        """Pause sending while the client does not read."""
        self.paused = True

    def resume_writing(self) -> None:
        """Resume sending, with everything that has become due meanwhile."""
        self.paused = False
        if self._delivery is not None:
            self._server.pacer.add(self._delivery, monotonic_ns())

    def data_received(self, data: bytes) -> None:
        """Parse received bytes."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._keep_alive = False
            self.reply(reply_bytes(400, b"Invalid HTTP request received.", b"text/plain"))

    # callbacks of httptools

    def on_url(self, url: bytes) -> None:
        """Append a piece of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a header."""
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Answer `Expect: 100-continue`, so that the client sends its body."""
        if self._headers.get(b"expect", b"").lower() == b"100-continue":
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Append a piece of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Serve the request now, or after the one that is being answered."""
        message = HttpMessage(
            method=self._parser.get_method(),
            path=self._url.partition(b"?")[0].decode("latin-1"),
            headers=self._headers,
            body=self._body[0] if len(self._body) == 1 else b"".join(self._body),
            keep_alive=self._parser.should_keep_alive() and self._parser.get_http_version() == "1.1",
            arrival=monotonic_ns(),
        )
        self._begin()
        if self._busy:
            self._waiting.append(message)
        else:
            self._serve(message)

    def _begin(self) -> None:
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []

    def _serve(self, message: HttpMessage) -> None:
        self._busy = True
        self._keep_alive = message.keep_alive
        self._server.serve(self, message)
