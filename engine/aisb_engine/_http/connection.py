"""One connection of HTTP/1.1: it stamps every piece of a reply before it looks at it.

This is the hot path. What comes goes to the connection's `Arrivals`, which take a stamp before they look at
it. They keep a piece of a streamed reply with HTTP's framing around it, where its last bytes show that the
reply does not end with it, and hand over the rest to the connection, which leaves its meaning to whoever
asked.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, cast

import httptools

from aisb._errors import AttemptFailed
from aisb._types import Failure
from aisb_engine._http.transport import FIRST, Clock, Decoder, Exchange, Watch, decoder_for
from aisb_engine._stream.arrivals import GOES_ON
from aisb_engine._stream.chunks import first_chunk
from aisb_engine._stream.compiled import Arrivals

if TYPE_CHECKING:
    from aisb_engine._spec import Timeouts

_LAST = b"0\r\n\r\n"
"""The chunk that ends a body."""
_EVENTS = re.compile(rb"[0-9A-Fa-f]{1,8}\r\ndata: ")
"""How a chunk begins that holds events."""
_LONG = 2_048
"""From how many bytes on a reply's beginning is looked through for its first chunk."""


class Pool(Protocol):
    """Whose connection it is."""

    timeouts: Timeouts
    clock: Clock

    def release(self, connection: Connection) -> None:
        """Take back a connection that can carry another request."""

    def forget(self, connection: Connection) -> None:
        """Take note that a connection is gone."""


class Stale(Exception):  # noqa: N818 - the pool catches it, nobody else sees it
    """A kept connection was closed before anything of the reply arrived."""


class Connection(asyncio.BaseProtocol):
    """One connection, which carries one exchange at a time. What comes goes to its `Arrivals` first."""

    __slots__ = (
        "_answer", "_arrivals", "_clock", "_complete", "_decoder", "_exchange", "_feed", "_framed", "_headed",
        "_keep", "_leaves_frames", "_parser", "_paused", "_surplus", "_transport", "_unframing", "_used",
        "_watch", "_within", "data_received",
    )  # fmt: skip

    def __init__(self, pool: Pool) -> None:
        self._within = pool
        self._clock = pool.clock
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._paused = False
        self._used = False
        self._parser = httptools.HttpResponseParser(self)
        self._feed: Callable[[bytes], None] = self._parser.feed_data
        self._arrivals = Arrivals(self._clock, self._take, self._take_what_waits)
        self.data_received = self._arrivals.receive
        self._watch = Watch(pool.timeouts, pool.clock, self._fail)

    async def carry(self, data: bytes, exchange: Exchange, begun: int) -> None:
        """Send one request and gather its reply into an exchange."""
        loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[None] = loop.create_future()
        self._exchange = exchange
        self._headed = self._complete = self._surplus = self._keep = False
        self._leaves_frames = self._unframing = False
        self._decoder: Decoder | None = None
        transport = self._transport
        if transport is None or transport.is_closing():
            self._exchange = None
            if self._used:
                raise Stale
            raise AttemptFailed(Failure("cut", "the connection was closed before the request was sent"))
        # Stamped before the call that sends: a process that loses its processor right after it would else
        # take the service's first milliseconds for its own, and report a first token sooner than it came.
        handed = self._clock()
        transport.write(data)
        if not self._paused:
            exchange.sent_ns = handed
        self._watch.begin(exchange, begun)
        try:
            await self._answer
        except asyncio.CancelledError:
            if self._exchange is exchange:
                self._let_go()
                self.abort()
            raise

    @property
    def alive(self) -> bool:
        """Whether the connection was made and is not lost."""
        return self._transport is not None

    def abort(self) -> None:
        """Close at once; `connection_lost` follows."""
        if self._transport is not None:
            self._transport.abort()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        # Waiting bytes pause, so "not paused" means that the request was handed over; and uvloop writes at
        # once instead of at the end of the loop's turn. Not 0, at which
        # asyncio's TLS would pause always.
        self._transport.set_write_buffer_limits(high=1, low=0)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._exchange is not None and self._exchange.sent_ns is None:
            self._exchange.sent_ns = self._clock()

    def eof_received(self) -> None:
        if (exchange := self._exchange) is not None and self._headed and not self._framed:
            exchange.last_ns = self._clock()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._within.forget(self)
        if self._exchange is not None:
            self._hand_over(self._exchange)
        if self._exchange is not None:
            self._break_off(self._exchange, exc)
        self._watch.close()

    def _break_off(self, exchange: Exchange, exc: Exception | None) -> None:
        """Settle what an exchange is whose connection is lost."""
        if self._headed and not self._framed and exc is None:
            self._complete = True
            self._finish()
        elif self._headed:
            self._fail(Failure("cut", "the connection was closed in the middle of the reply"))
        elif self._used and exchange.last_ns is None:
            self._let_go()
            if not self._answer.done():
                self._answer.set_exception(Stale())
        else:
            self._fail(Failure("cut", "the connection was closed before the reply began"))

    # What has come, with its stamp.

    def _take(self, stamp: int, data: bytes) -> None:
        """Look at a piece that does not simply go on."""
        exchange = self._exchange
        if exchange is None:  # nobody asked: a late error page, or a server out of step
            self.abort()
            return
        if len(data) > _LONG and not self._headed:
            self._begin(exchange, stamp, data)
        else:
            self._go_on(exchange, stamp, data)

    def _take_what_waits(self) -> None:
        """Let it be worked out, since it is much."""
        if self._exchange is not None:
            self._hand_over(self._exchange)
        if self._exchange is not None:
            self._leave_frames(self._exchange)

    def _leave_frames(self, exchange: Exchange) -> None:
        """Let what comes wait as it is, up to what ends the reply."""
        self._leaves_frames = True
        if exchange.read is None:
            exchange.read, exchange.latest = self._arrivals.read, self._arrivals.latest
            room = FIRST
        else:
            room = exchange.full
        # What has not been read yet comes before what would be read at once.
        pattern = None if exchange.pieces else exchange.pattern
        self._arrivals.keep(exchange.frames, exchange.frames_ns, room, pattern)

    def _begin(self, exchange: Exchange, stamp: int, data: bytes) -> None:
        """Take a reply's first bytes where much came at once: after its first chunk they may wait."""
        body = data.find(b"\r\n\r\n") + 4
        rest = body + first_chunk(data[body:])
        for part in (data[:body], data[body:rest], data[rest:]):
            if part and self._exchange is exchange:
                self._go_on(exchange, stamp, part)

    def _go_on(self, exchange: Exchange, stamp: int, data: bytes) -> None:
        if not self._leaves_frames and exchange.aligned and exchange.unframe and _EVENTS.match(data):
            self._leaves_frames = self._watch.seen = True
        if self._leaves_frames:
            # What comes before the chunk that ends the reply is as good as any other.
            last = len(_LAST) if data.endswith(GOES_ON + _LAST) else 0
            if last or data.endswith(GOES_ON):
                exchange.frames.append(data[: len(data) - last])
                exchange.frames_ns.append(stamp)
                if not last:
                    self._leave_frames(exchange)
                    return
                data = data[-last:]
            self._hand_over(exchange)
            if self._exchange is None:  # it broke in what had waited
                return
        exchange.last_ns = stamp
        try:
            self._feed(data)
        except Exception as error:  # noqa: BLE001 - whatever a reply does ends this one attempt
            if not self._complete:
                self._fail(_why_broken(error, data))
                return
            self._keep = False  # what follows the reply is broken, the reply is not
        if self._complete:
            self._finish()
        elif self._leaves_frames:
            self._leave_frames(exchange)

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._surplus = self._complete

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._headed and self._exchange is not None:  # what comes after the body are trailers
            self._exchange.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        exchange = self._exchange
        if self._complete or exchange is None:
            return
        status = self._parser.get_status_code()
        if status < 200:  # an interim reply; the real one follows
            exchange.headers.clear()
            return
        exchange.status = status
        exchange.headers_ns = exchange.last_ns
        self._headed = True
        headers = exchange.headers
        self._framed = "content-length" in headers or "transfer-encoding" in headers or status in (204, 304)
        self._decoder = decoder_for(headers)
        chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        if chunked and exchange.takes_frames and self._decoder is None and status < 300:
            exchange.unframe = self._unframe
            exchange.aligned = True

    def on_body(self, body: bytes) -> None:
        exchange = self._exchange
        if exchange is None or self._complete:
            return
        if self._decoder is not None:
            body = self._decoder.feed(body)
            if not body:
                return
        exchange.pieces.append((exchange.last_ns, body))  # type: ignore[arg-type]
        exchange.size += len(body)
        if exchange.size >= exchange.full and exchange.on_full is not None and not self._unframing:
            self._watch.full()
            exchange.on_full(exchange)
        if not self._leaves_frames and exchange.unframe is not None and body.startswith(b"data:"):
            self._leaves_frames = self._watch.seen = True

    def on_chunk_header(self) -> None:
        if self._exchange is not None:
            self._exchange.aligned = False

    def on_chunk_complete(self) -> None:
        if self._exchange is not None:
            self._exchange.aligned = True

    def on_message_complete(self) -> None:
        if self._headed:
            self._complete = True
            self._keep = self._parser.should_keep_alive()

    # Frames that wait.

    def _hand_over(self, exchange: Exchange) -> None:
        """Let what waits be worked out now."""
        exchange.last_ns = exchange.latest_ns()
        if (exchange.frames or exchange.read) and exchange.on_full is not None:
            exchange.on_full(exchange)
        if exchange.frames:  # nobody wanted them, and still the parser must know of them
            exchange.pieces = self._unframe(*exchange.take_frames())

    def _unframe(self, stamps: Sequence[int], frames: Sequence[bytes]) -> list[tuple[int, bytes]]:
        """Return the pieces of the body in frames that have waited, as many as are valid HTTP."""
        exchange = self._exchange
        if exchange is None:
            return []
        latest = exchange.last_ns
        self._unframing = True
        for stamp, data in zip(stamps, frames, strict=True):
            exchange.last_ns = stamp
            try:
                self._feed(data)
            except Exception as error:  # noqa: BLE001 - whatever a reply does ends this one attempt
                self._fail(_why_broken(error, data))
                break
        self._unframing = False
        exchange.last_ns = latest
        return exchange.take()

    # The end.

    def _let_go(self) -> None:
        """Have nothing more to do with the exchange."""
        self._exchange = None
        self._watch.stop()
        self._arrivals.stop()

    def _finish(self) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        if self._decoder is not None and not self._decoder.complete:
            self._fail(Failure("cut", "the compressed reply ends in the middle"))
            return
        exchange.done_ns = exchange.last_ns
        self._let_go()
        self._used = True
        if not self._answer.done():
            self._answer.set_result(None)
        transport = self._transport
        if self._keep and not self._surplus and not self._paused and transport and not transport.is_closing():
            self._within.release(self)
        else:
            self.abort()

    def _fail(self, failure: Failure) -> None:
        if self._exchange is not None:
            self._hand_over(self._exchange)
        exchange = self._exchange
        if exchange is None:
            return
        self._let_go()
        if not self._answer.done():
            self._answer.set_exception(AttemptFailed(replace(failure, status=exchange.status or None)))
        self.abort()


def _why_broken(error: Exception, data: bytes) -> Failure:
    inner = error.__context__ or error  # the parser wraps what its callbacks raise
    if isinstance(inner, AttemptFailed):
        return inner.failure
    return Failure("protocol", f"the reply is not valid HTTP ({inner}): {data[:80]!r}")
