"""Carrying requests over HTTP/1.1 at the least cost: a pool of connections, kept open between requests."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aisb._backend import HttpBackend, host_and_port, port_of
from aisb._errors import AttemptFailed
from aisb._types import Failure
from aisb_engine._http.connection import Connection, Stale
from aisb_engine._http.fetch import tls_context, why_unreachable
from aisb_engine._http.transport import Clock, Exchange, WireRequest

if TYPE_CHECKING:
    from aisb_engine._spec import Timeouts


class NativeTransport:
    """HTTP/1.1 over connections of its own, kept open between requests."""

    def __init__(self, backend: HttpBackend, *, timeouts: Timeouts, clock: Clock, limit: int) -> None:
        parts = urlsplit(backend.url)
        self.timeouts = timeouts
        self.clock = clock
        self._url = backend.url
        self._host = parts.hostname or ""
        self._port = port_of(backend.url)
        self._tls = tls_context(backend)
        if self._tls:
            self._tls.set_alpn_protocols(["http/1.1"])
        self._limit = limit
        self._held = 0  # connections that are open or being opened
        self._open: set[Connection] = set()
        self._idle: dict[
            Connection, None
        ] = {}  # the one used last is used first: it is the least likely to be stale
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = False
        self._empty: asyncio.Event | None = None

    async def exchange(self, request: WireRequest, exchange: Exchange) -> None:
        """Send a request and gather the whole reply."""
        begun = self.clock()
        data = _message(request)
        del request  # its body is here a second time, and may stay for as long as the reply lasts
        fresh = False
        while True:
            if self._idle and not (fresh or self._closed):
                connection = self._idle.popitem()[0]
            else:
                connection = await self._connection(exchange, fresh=fresh)
            try:
                await connection.carry(data, exchange, begun)
                return
            except Stale:
                # The server closed a kept connection while the request was on its way, and answered nothing.
                exchange.reset()
                fresh = True

    async def aclose(self) -> None:
        """Close every connection."""
        self._closed = True
        for connection in list(self._open):
            connection.abort()
        while self._waiting:
            self._wake()
        if self._open:
            self._empty = asyncio.Event()
            await self._empty.wait()

    async def _connection(self, exchange: Exchange, *, fresh: bool) -> Connection:
        while not self._closed:
            if self._idle and not fresh:
                return self._idle.popitem()[0]
            if self._held >= self._limit and self._idle:
                next(iter(self._idle)).abort()
            elif self._held < self._limit:
                return await self._connect(exchange)
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._wake()
                raise
        raise AttemptFailed(Failure("connect", "the transport is closed"))

    async def _connect(self, exchange: Exchange) -> Connection:
        self._held += 1
        connection = Connection(self)
        try:
            async with asyncio.timeout(self.timeouts.connect) as limit:
                await asyncio.get_running_loop().create_connection(
                    lambda: connection,
                    self._host,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls else None,
                )
        except BaseException as error:
            self._held -= 1
            self._wake()
            connection.abort()
            if isinstance(error, TimeoutError) and limit.expired():
                text = f"no connection to {host_and_port(self._url)} within {self.timeouts.connect:g} s"
                raise AttemptFailed(Failure("connect", text)) from error
            if isinstance(error, OSError | UnicodeError):
                raise AttemptFailed(Failure("connect", why_unreachable(error, self._url))) from error
            raise
        if not connection.alive:
            self._held -= 1
            self._wake()
            text = "the connection was closed as soon as it was open"
            raise AttemptFailed(Failure("cut", text))
        exchange.connected_ns = self.clock()
        self._open.add(connection)
        return connection

    def release(self, connection: Connection) -> None:
        """Take back a connection that can carry another request."""
        self._idle[connection] = None
        self._wake()

    def forget(self, connection: Connection) -> None:
        """Take note that a connection is gone."""
        if connection in self._open:
            self._open.remove(connection)
            self._held -= 1
            self._idle.pop(connection, None)
            if self._empty is not None and not self._open:
                self._empty.set()
            self._wake()

    def _wake(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return


def _message(request: WireRequest) -> bytes:
    """Return the bytes of a request."""
    head = [f"{request.method} {request.target} HTTP/1.1\r\n"]
    head += [f"{name}: {value}\r\n" for name, value in request.headers]
    if request.body or request.method != "GET":
        head.append(f"content-length: {len(request.body)}\r\n")
    head.append("\r\n")
    return "".join(head).encode("latin-1") + request.body
