"""The native HTTP/1.1 client: a pool of connections that stay open between requests, at low overhead.

The `Inbox` of a connection takes a time stamp of all received bytes before anything parses them, and feeds
them to the `StreamReader` of the exchange.
"""

from __future__ import annotations

import asyncio
import select
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import cast
from urllib.parse import urlsplit

from aisb._backend import HttpBackend, host_and_port, port_of
from aisb._errors import AttemptFailed
from aisb._types import Failure
from aisb_engine._http.fetch import tls_context, why_unreachable
from aisb_engine._http.request_heads import RequestHeads
from aisb_engine._http.transport import (
    END_WAIT,
    OUT_OF_STEP,
    SUCCESS,
    Deadlines,
    Exchange,
    TransportSettings,
    WireRequest,
    is_close_race,
    reuse_given_up,
)
from aisb_engine._stream import Inbox
from aisb_engine._stream.compression import too_large

DRAIN = 1.0
"""The time in seconds that a connection waits for the end of a reply after its last event."""
MOST_DRAINING = 64
"""The maximum number of connections that wait for the end of a reply."""
READ_WITHIN = 0.1
"""The time in which the unread input of an idle connection is received."""


class StaleConnection(Exception):  # noqa: N818 - private: the pool always catches it
    """An idle connection was closed before the service can have read the request."""


class NativeTransport:
    """The pool of connections to one service, at most `limit` of them."""

    def __init__(self, backend: HttpBackend, settings: TransportSettings) -> None:
        self.max_reply, self.max_head = settings.max_reply, settings.max_head
        self._say = settings.say
        parts = urlsplit(backend.url)
        self.timeouts = settings.timeouts
        self.clock = settings.clock
        self.shared: tuple[str, tuple[tuple[str, str], ...]] | None = None
        self._url = backend.url
        self._host = parts.hostname or ""
        self._port = port_of(backend.url)
        self._tls = tls_context(backend)
        self.is_tls = self._tls is not None
        if self._tls:
            self._tls.set_alpn_protocols(["http/1.1"])
        self._limit = settings.limit
        self._held = 0  # connections that are open or being opened
        self._open: set[Connection] = set()
        # The longest idle connection is used first: bytes that a service sent without a request have arrived.
        self._idle: dict[Connection, None] = {}
        # Connections that have the last event, but not the end of the HTTP body. `limit` does not count them.
        self._draining: dict[Connection, None] = {}
        self.ends_late = False  # the HTTP body of the latest reply did not end with its last event
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = False
        self.keeps_connections = True  # until the service sends a reply that no request asked for
        self._empty: asyncio.Event | None = None
        self._heads = RequestHeads()

    async def exchange(self, request: WireRequest, exchange: Exchange) -> None:
        """Send a request, and feed the reply to the exchange's reader until it has ended."""
        begun = self.clock()
        data = self._heads.message(request)
        del request  # frees its body, which `data` contains, while the reply arrives
        fresh = False
        while True:
            connection = None if fresh or self._closed else self._kept()
            if connection is None:
                connection = await self._connection(exchange, fresh=fresh)
            try:
                await connection.carry(data, exchange, begun)
                return
            except StaleConnection:
                exchange.resent += exchange.sent_ns is not None
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

    def _kept(self) -> Connection | None:
        """Return an idle connection without unread input; None if there is none."""
        while self._idle:
            connection = next(iter(self._idle))
            del self._idle[connection]
            if not connection.has_input():
                return connection
            connection.close_when_read()
        return None

    async def _connection(self, exchange: Exchange, *, fresh: bool) -> Connection:
        while not self._closed:
            if not fresh and (kept := self._kept()) is not None:
                return kept
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
        begun = self.clock()
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
            raise AttemptFailed(Failure("cut", "the connection was closed as soon as it was open"))
        if self._closed:  # the pool was closed while the connection opened
            connection.abort()
            raise AttemptFailed(Failure("connect", "the transport is closed"))
        exchange.connected_ns = self.clock()
        connection.connect_ns = exchange.connected_ns - begun
        self._open.add(connection)
        return connection

    def release(self, connection: Connection) -> None:
        """Take back a connection that can carry another request."""
        if self._draining and connection in self._draining:
            del self._draining[connection]
            if self._held >= self._limit:
                self._draining[connection] = None
                connection.abort()
                return
            self._held += 1
        self._idle[connection] = None
        if self._waiting:
            self._wake()

    def distrust(self, replies: int) -> None:
        """Carry one request per connection from now on: the service sends replies that no request asked for.

        On a kept connection, such a reply would be taken for that of the next request, and so on. Requests
        that are under way on one fail, so that they are tried again. `replies` is the number of replies that
        the connection has carried: the same may have happened to them.
        """
        if self.keeps_connections:
            self._say(reuse_given_up(replies))
        self.keeps_connections = False
        for connection in list(self._open):
            connection.give_up_reuse()

    def drain(self, connection: Connection) -> None:
        """Free the connection's place in the pool while it waits for the end of its reply."""
        if len(self._draining) >= MOST_DRAINING:
            next(iter(self._draining)).abort()
        self._draining[connection] = None
        self._held -= 1
        self._wake()

    def forget(self, connection: Connection) -> None:
        """Remove a connection that is closed."""
        if connection in self._open:
            self._open.remove(connection)
            if connection in self._draining:
                del self._draining[connection]
            else:
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


class Connection(asyncio.Protocol):
    """One connection, which carries one exchange at a time."""

    __slots__ = (
        "_answer", "_clock", "_deadlines", "_end_timer", "_exchange", "_handed_ns", "_inbox", "_last_event",
        "_loop", "_paused", "_poll", "_pool", "_replies", "_transport", "connect_ns", "data_received",
    )  # fmt: skip

    def __init__(self, pool: NativeTransport) -> None:
        self._pool = pool
        self._clock = pool.clock
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._inbox = Inbox(pool.clock, self._finish, self._exceed)
        self._inbox.unexpected = self._reject
        self.data_received: Callable[[bytes], None] = self._inbox.receive  # type: ignore[assignment]
        self._poll: select.poll | None = None
        self._paused = False
        self._replies = 0  # the number of replies that it carried
        self.connect_ns = 0  # the time that it took to open
        self._handed_ns = 0  # when the latest request was written to the socket
        self._last_event = 0.0  # when the last event arrived, in the loop's time
        self._end_timer: asyncio.TimerHandle | None = None
        self._deadlines = Deadlines(pool.timeouts, pool.clock, self._fail)

    async def carry(self, data: bytes, exchange: Exchange, begun: int) -> None:
        """Send one request, and feed its reply to the exchange's reader."""
        transport = self._transport
        if transport is None or transport.is_closing():
            if self._replies:
                raise StaleConnection
            raise AttemptFailed(Failure("cut", "the connection was closed before the request was sent"))
        self._answer: asyncio.Future[None] = self._loop.create_future()
        self._exchange = exchange
        pool, reader = self._pool, exchange.reader
        reader.max_reply, reader.max_head = pool.max_reply, pool.max_head
        self._inbox.expect(reader, pool.max_reply + pool.max_head)
        # Stamped before the call that sends. If the process lost its CPU between the call and a later stamp,
        # the service would already be at work, and the reported time to first token would be too short.
        self._handed_ns = self._clock()
        transport.write(data)
        if not self._paused and exchange.sent_ns is None:
            exchange.sent_ns = self._handed_ns
        self._deadlines.begin(exchange, begun, self._loop)
        try:
            await self._answer
        except asyncio.CancelledError:
            if self._exchange is exchange:
                self._detach()
                self.abort()
            raise

    @property
    def alive(self) -> bool:
        """Whether the connection is open."""
        return self._transport is not None

    def has_input(self) -> bool:
        """Return whether an idle connection was closed or has unread bytes, which belong to no later reply.

        Always False under TLS, where such bytes may belong to the protocol itself.
        """
        return self._poll is not None and bool(self._poll.poll(0))

    def close_when_read(self) -> None:
        """Close an idle connection after its unread input was received, which tells what it is."""
        self._loop.call_later(READ_WITHIN, self.abort)

    def give_up_reuse(self) -> None:
        """Close a connection that is idle, or fail its exchange if an earlier one may get in its way."""
        if self._exchange is None:
            self.abort()
        elif self._replies:
            self._exchange.reader.status = 0  # whatever has come is not known to be its reply
            self._fail(Failure("cut", OUT_OF_STEP))

    def abort(self) -> None:
        """Close at once; `connection_lost` follows."""
        if self._transport is not None:
            self._transport.abort()

    # Callbacks of the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        # Any buffered byte pauses writing, so "not paused" means that the socket has the whole request. This
        # also makes uvloop write at once, not at the end of the loop's turn. With 0, asyncio's TLS would
        # always pause.
        self._transport.set_write_buffer_limits(high=1, low=0)
        opened = transport.get_extra_info("socket")
        if opened is not None and not self._pool.is_tls and hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(opened.fileno(), select.POLLIN)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._exchange is not None and self._exchange.sent_ns is None:
            self._exchange.sent_ns = self._clock()

    def eof_received(self) -> None:
        if self._exchange is not None and self._exchange.reader.status:
            self._exchange.reader.last_ns = self._clock()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._pool.forget(self)
        exchange = self._exchange
        if exchange is not None:
            reader = exchange.reader
            if exc is None and reader.close():
                self._finish()
            elif reader.done:
                self._complete(exchange)
            elif reader.status:
                self._fail(Failure("cut", "the connection was closed in the middle of the reply"))
            elif self._replies and is_close_race(exchange, self.connect_ns, self._clock()):
                exchange.sent_ns = exchange.sent_ns or self._handed_ns
                self._detach()
                if not self._answer.done():
                    self._answer.set_exception(StaleConnection())
            else:
                self._fail(Failure("cut", "the connection was closed before the reply began"))
        self._deadlines.close()
        self._stop_end_timer()

    # How an exchange ends.

    def _detach(self) -> None:
        self._exchange = None
        self._inbox.stop()
        self._deadlines.stop()

    def _finish(self) -> None:
        """Finish the exchange when its reply has ended, or when its last event has arrived.

        The end of the HTTP body nearly always arrives with the last event or right after it. The exchange
        waits for it, so that the connection can be used again. If it came too late once, the next exchange
        does not wait.
        """
        exchange = self._exchange
        if exchange is None:
            return
        if exchange.reader.done_ns is not None:
            self._complete(exchange)
        elif self._end_timer is None:
            self._last_event = self._loop.time()
            if self._pool.ends_late:
                self._complete_early()
            else:
                self._end_timer = self._loop.call_later(END_WAIT, self._complete_early)

    def _complete(self, exchange: Exchange) -> None:
        """Return the reply to the caller, and the connection to the pool."""
        reader = exchange.reader
        if reader.done_ns is None:
            reader.done_ns = reader.last_ns
        self._return_reply()
        self._free(exchange)

    def _complete_early(self) -> None:
        """Return the reply before its HTTP body has ended; the connection waits for that end separately."""
        exchange = self._exchange
        if exchange is None:
            return
        self._pool.ends_late = True
        exchange.reader.done_ns = exchange.reader.last_ns
        self._return_reply()
        if exchange.reader.keep_alive:
            self._inbox.unexpected = partial(self._drain, exchange)
            self._end_timer = self._loop.call_later(DRAIN, self.abort)
            self._pool.drain(self)
        else:
            self.abort()

    def _return_reply(self) -> None:
        if self._end_timer is not None:
            self._stop_end_timer()
        self._detach()
        self._replies += 1
        if not self._answer.done():
            self._answer.set_result(None)

    def _drain(self, exchange: Exchange, stamp_ns: int, data: bytes) -> None:
        """Read the rest of a reply that was already returned."""
        exchange.reader.feed(stamp_ns, data)
        if exchange.reader.close():
            self._stop_end_timer()
            self._inbox.unexpected = self._reject
            self._pool.ends_late = self._loop.time() - self._last_event > END_WAIT
            self._free(exchange)

    def _reject(self, stamp_ns: int, data: bytes) -> None:
        """Close the connection: unexpected bytes are a late error page, or the server is out of step."""
        del stamp_ns
        self.abort()
        if SUCCESS.match(data):
            self._pool.distrust(self._replies)

    def _exceed(self) -> None:
        self._fail(too_large(self._pool.max_reply))

    def _free(self, exchange: Exchange) -> None:
        """Return the connection to the pool; close it if it cannot be used again."""
        transport = self._transport
        keeps = exchange.reader.keep_alive and self._pool.keeps_connections
        if keeps and not self._paused and transport and not transport.is_closing():
            self._pool.release(self)
        else:
            self.abort()

    def _stop_end_timer(self) -> None:
        if self._end_timer is not None:
            self._end_timer.cancel()
            self._end_timer = None

    def _fail(self, failure: Failure) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        self._detach()
        if not self._answer.done():
            self._answer.set_exception(AttemptFailed(replace(failure, status=exchange.reader.status or None)))
        self.abort()
