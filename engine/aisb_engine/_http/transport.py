"""The transport interface: a request as it is sent, the exchange with its reply, and the deadlines."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from aisb._backend import HttpBackend, HttpCall
from aisb._types import Failure
from aisb_engine._http.fetch import proxy_for
from aisb_engine._stream.compression import LARGEST_REPLY
from aisb_engine._stream.head import LONGEST_HEAD

if TYPE_CHECKING:
    from aisb_engine._spec import Timeouts
    from aisb_engine._stream.reader import StreamReader

Clock = Callable[[], int]


class WireRequest:
    """One encoded HTTP request; `target` is the path with the URL's prefix.

    `call` is the call that it encodes. A class with slots: creating a named tuple takes half as long again.
    """

    __slots__ = ("body", "call", "headers", "method", "target")

    def __init__(
        self,
        method: str,
        target: str,
        headers: tuple[tuple[str, str], ...],
        body: bytes,
        call: HttpCall | None = None,
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.call = call


class Exchange:
    """One request in flight, and the reader of its reply. Stamps are nanoseconds of the run's clock.

    `connected_ns` is None if the connection was already open. `resent` counts how often the request was
    written again because its connection was closed during the write; `sent_ns` is the time of the first
    write.
    """

    __slots__ = ("connected_ns", "reader", "resent", "sent_ns")

    def __init__(self, reader: StreamReader) -> None:
        self.resent = 0
        self.start(reader)

    def start(self, reader: StreamReader) -> None:
        """Reset the stamps, and set the reader of the next reply."""
        self.reader = reader
        self.connected_ns: int | None = None
        self.sent_ns: int | None = None


class Transport(Protocol):
    """Sends requests to one service.

    `shared` holds what all requests have in common: the path in the service's URL, and the headers.
    """

    shared: tuple[str, tuple[tuple[str, str], ...]] | None

    async def exchange(self, request: WireRequest, exchange: Exchange) -> None:
        """Send a request, and feed the reply to the exchange's reader until it has ended.

        Raises:
            AttemptFailed: there is no reply, or it is incomplete.
        """

    async def aclose(self) -> None:
        """Close every connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportSettings:
    """What a transport keeps to: at most `limit` connections, deadlines, and the largest reply.

    A reply fails if it has more than `max_reply` bytes, decompressed, or a head of more than `max_head`.
    `say` shows the user a line about the service, such as that it sends replies that no request asked for.
    """

    timeouts: Timeouts
    clock: Clock
    limit: int
    max_reply: int = LARGEST_REPLY
    max_head: int = LONGEST_HEAD
    say: Callable[[str], None] = lambda _line: None


def open_transport(backend: HttpBackend, settings: TransportSettings) -> Transport:
    """Return a transport to a backend's service.

    Raises:
        UsageError: a certificate file or the port is wrong.
        ServiceError: the proxy of the environment variables cannot be used.
    """
    proxy = proxy_for(backend.url)
    if proxy or backend.transport == "httpx":
        from aisb_engine._http.transport_httpx import HttpxTransport

        return HttpxTransport(backend, settings, proxy=proxy)
    from aisb_engine._http.native import NativeTransport

    return NativeTransport(backend, settings)


OUT_OF_STEP = "the service sent a reply that no request asked for: this one may be that of another request"
SUCCESS = re.compile(rb"HTTP/1\.\d 2")
"""How a reply of success begins. An idle connection may also receive an error page before it is closed."""


def reuse_given_up(replies: int) -> str:
    """Return the line for the user when connections are no longer kept, after so many replies."""
    return (
        "the service sent a reply that no request asked for: each request has a connection of its "
        f"own from now on; up to {replies} earlier replies may be those of other requests"
    )


END_WAIT = 0.01
"""The time in seconds that a reply waits for the end of its HTTP body after its last event."""
_RACE_NS = 10_000_000
"""The minimum window of a close race: on loopback, two connect times are shorter than a scheduling delay."""


def is_close_race(exchange: Exchange, connect_ns: int, now_ns: int) -> bool:
    """Return whether an idle connection was closed before the service can have read the request.

    A service may close an idle connection while a request is on its way (RFC 9112, 9.3.1). Then nothing was
    received, and either the request could not be written, or the close came within two connect times of it.
    A later close is the service's reaction to the request, and sending it again would hide a failure.
    """
    if exchange.reader.status or exchange.reader.last_ns is not None:
        return False
    return exchange.sent_ns is None or now_ns - exchange.sent_ns <= max(_RACE_NS, 2 * connect_ns)


class Deadlines:
    """Ends a reply that takes too long.

    `first_byte` applies until a part of the body arrives that is not a comment; `between_bytes` applies from
    the first byte of the body, comments included. `total` counts from the beginning, connecting included.
    """

    __slots__ = ("_clock", "_due_at", "_exchange", "_give_up", "_soonest", "_start_ns", "_timeouts", "_timer")

    def __init__(self, timeouts: Timeouts, clock: Clock, give_up: Callable[[Failure], None]) -> None:
        self._timeouts = timeouts
        self._soonest = min(timeouts.first_byte, timeouts.between_bytes, timeouts.total)
        self._clock = clock
        self._give_up = give_up
        self._timer: asyncio.TimerHandle | None = None
        self._due_at = 0.0
        self._exchange: Exchange | None = None
        self._start_ns = 0

    def begin(self, exchange: Exchange, start_ns: int, loop: asyncio.AbstractEventLoop) -> None:
        """Apply the deadlines to an exchange that began at `start_ns`."""
        self._exchange, self._start_ns = exchange, start_ns
        # Setting a timer is costly: reuse the timer of an earlier exchange if it fires soon enough.
        if self._timer is None or self._due_at > loop.time() + self._soonest:
            self._set(self._soonest, loop)

    def stop(self) -> None:
        """Stop watching the exchange."""
        self._exchange = None

    def close(self) -> None:
        """Cancel the timer."""
        self._exchange = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due_at = loop.time() + seconds
        self._timer = loop.call_at(self._due_at, self._check)

    def _check(self) -> None:
        self._timer = None
        exchange = self._exchange
        if exchange is None:
            return
        # Deadlines move with every chunk, so they are evaluated when the timer fires, not at every chunk.
        left, text = self._time_left(exchange)
        if left <= 0:
            self._give_up(Failure("timeout", text, exchange.reader.status or None))
        else:
            # Avoids a busy loop, even if the clock stands still, as one in a test may.
            self._set(max(left, 0.001), asyncio.get_running_loop())

    def _time_left(self, exchange: Exchange) -> tuple[float, str]:
        """Return the seconds until the first deadline, and the message for missing it."""
        limits, now, reader = self._timeouts, self._clock(), exchange.reader
        left = limits.total - (now - self._start_ns) / 1e9
        text = f"the reply was not complete after {limits.total:g} s in all (load.timeouts.total)"
        if not reader.answer_began():
            first = limits.first_byte - (now - (exchange.sent_ns or self._start_ns)) / 1e9
            if first < left:
                left, text = first, f"no first byte within {limits.first_byte:g} s (load.timeouts.first_byte)"
        gap = limits.between_bytes
        if reader.last_ns is not None and reader.body_ns is not None:
            gap -= (now - reader.last_ns) / 1e9
        if gap < left:
            left = gap
            text = (
                f"nothing came for {limits.between_bytes:g} s in the middle of the reply "
                "(load.timeouts.between_bytes)"
            )
        return left, text
