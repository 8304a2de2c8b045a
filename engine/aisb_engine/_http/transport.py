"""Carrying requests to a service: the bytes and stamps of one attempt, its deadlines, and what carries it."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from aisb._backend import HttpBackend
from aisb._errors import AttemptFailed
from aisb._types import Failure
from aisb_engine._http.fetch import proxy_for
from aisb_engine._stream.pattern import PlainPattern

if TYPE_CHECKING:
    from aisb_engine._spec import Timeouts

Clock = Callable[[], int]
Unframe = Callable[[Sequence[int], Sequence[bytes]], list[tuple[int, bytes]]]
"""Takes the framing of HTTP off pieces with their stamps: what is left of each is a piece of the body."""
FULL = 8_192
"""Bytes that wait at most before they are worked out: some 40 chunks, a tenth of a millisecond."""
FIRST = 2_048
"""The same of a reply's first bytes: from then on, what is like them can be read as it comes."""


class WireRequest(NamedTuple):
    """One HTTP request, ready to be written; `target` is the path with the URL's prefix."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Exchange:
    """What one attempt sent and got, with stamps; what arrived stays here when the attempt fails.

    `pieces` are (stamp, bytes) of the body in order. At `full` waiting bytes `on_full` is called, which takes
    them. `connected_ns` is None on a connection that was open already. Header names are in lower case.

    With `takes_frames` a transport may leave pieces as they came, with the framing of HTTP around them, in
    `frames`, their stamps in `frames_ns`: apart, because a tuple for each would be the garbage collector's
    work. They come after all `pieces`, and `unframe` returns the pieces in some of them. While `aligned`,
    what comes next begins with a chunk of HTTP, and whole chunks need not be unframed.

    Once whoever takes them has set a `pattern`, a transport may read what is like it at once: `read` returns
    the stamps and the text of that. It comes after all `pieces`, and before all `frames`.
    """

    __slots__ = (
        "aligned", "connected_ns", "done_ns", "frames", "frames_ns", "full", "headers", "headers_ns",
        "last_ns", "latest", "on_full", "pattern", "pieces", "read", "sent_ns", "size", "status",
        "takes_frames", "unframe",
    )  # fmt: skip

    def __init__(
        self,
        on_full: Callable[[Exchange], None] | None = None,
        full: int = FULL,
        *,
        takes_frames: bool = False,
    ) -> None:
        self.on_full = on_full
        self.full = full
        self.takes_frames = takes_frames
        self.reset()

    def reset(self) -> None:
        """Forget an attempt of which nothing arrived."""
        self.connected_ns: int | None = None
        self.sent_ns: int | None = None
        self.headers_ns: int | None = None
        self.last_ns: int | None = None
        self.done_ns: int | None = None
        self.status = 0
        self.headers: dict[str, str] = {}
        self.pieces: list[tuple[int, bytes]] = []
        self.frames: list[bytes] = []
        self.frames_ns: list[int] = []
        self.unframe: Unframe | None = None
        self.pattern: PlainPattern | None = None
        self.read: Callable[[], tuple[bytes, str]] | None = None
        self.latest: Callable[[], int | None] | None = None  # in place of `last_ns`, while frames may wait
        self.aligned = False
        self.size = 0

    def take(self) -> list[tuple[int, bytes]]:
        """Return the pieces that wait, and forget them."""
        pieces, self.pieces, self.size = self.pieces, [], 0
        return pieces

    def latest_ns(self) -> int | None:
        """Return when something came last."""
        return self.latest() if self.latest else self.last_ns

    def take_frames(self) -> tuple[list[int], list[bytes]]:
        """Return the stamps of the pieces that wait as they came, and the pieces; forget them."""
        taken = self.frames_ns, self.frames
        self.frames_ns, self.frames = [], []
        return taken


class Transport(Protocol):
    """What carries requests to one service."""

    async def exchange(self, request: WireRequest, exchange: Exchange) -> None:
        """Send a request and gather the whole reply. Raise `AttemptFailed` when there is none."""

    async def aclose(self) -> None:
        """Close every connection."""


def open_transport(backend: HttpBackend, *, timeouts: Timeouts, clock: Clock, limit: int) -> Transport:
    """Return what carries requests to a backend's service, over at most `limit` connections.

    Raises:
        UsageError: a certificate file or the port is wrong.
        ServiceError: the proxy that the environment names cannot be used.
    """
    proxy = proxy_for(backend.url)
    if proxy or backend.transport == "httpx":
        from aisb_engine._http.transport_httpx import HttpxTransport

        return HttpxTransport(backend, proxy=proxy, timeouts=timeouts, clock=clock, limit=limit)
    from aisb_engine._http.transport_native import NativeTransport

    return NativeTransport(backend, timeouts=timeouts, clock=clock, limit=limit)


class Watch:
    """Says when a reply takes too long: one timer, set again only when it fires, whatever ends in between.

    Until the first byte of the body that is not a comment, `first_byte` holds. From the first byte of the
    body on, comments included, `between_bytes` holds too. `total` counts from the beginning, connecting
    included.
    """

    __slots__ = ("_begun", "_clock", "_due", "_exchange", "_give_up", "_timeouts", "_timer", "seen")

    def __init__(self, timeouts: Timeouts, clock: Clock, give_up: Callable[[Failure], None]) -> None:
        self._timeouts = timeouts
        self._clock = clock
        self._give_up = give_up
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._exchange: Exchange | None = None
        self._begun = 0
        self.seen = False

    def begin(self, exchange: Exchange, begun: int) -> None:
        """Watch an exchange that began at this time."""
        self._exchange, self._begun, self.seen = exchange, begun, False
        limits, loop = self._timeouts, asyncio.get_running_loop()
        soonest = min(limits.first_byte, limits.between_bytes, limits.total)
        if (
            self._timer is None or self._due > loop.time() + soonest
        ):  # else that of an earlier exchange will do
            self._set(soonest, loop)

    def stop(self) -> None:
        """Watch it no longer. The timer stays for the next one: setting it costs more than its firing."""
        self._exchange = None

    def close(self) -> None:
        """Let go of the timer."""
        self._exchange = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def full(self) -> None:
        """Look at the pieces before they are taken."""
        if self._exchange is not None:
            self.seen = self.seen or not only_comments(self._exchange.pieces)

    def _set(self, seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = loop.time() + seconds
        self._timer = loop.call_at(self._due, self._look)

    def _look(self) -> None:
        self._timer = None
        exchange = self._exchange
        if exchange is None:
            return
        limits, now = self._timeouts, self._clock()
        self.full()
        left = limits.total - (now - self._begun) / 1e9
        text = f"the reply was not complete after {limits.total:g} s in all (load.timeouts.total)"
        if not self.seen:
            first = limits.first_byte - (now - (exchange.sent_ns or self._begun)) / 1e9
            if first < left:
                left, text = first, f"no first byte within {limits.first_byte:g} s (load.timeouts.first_byte)"
        gap = limits.between_bytes
        latest = exchange.latest_ns()
        if latest is not None and (self.seen or exchange.pieces):
            gap -= (now - latest) / 1e9
        if gap < left:
            left = gap
            text = (
                f"nothing came for {limits.between_bytes:g} s in the middle of the reply "
                "(load.timeouts.between_bytes)"
            )
        if left <= 0:
            self._give_up(Failure("timeout", text, exchange.status or None))
        else:
            # Never a busy loop, also when the clock that was handed in stands still.
            self._set(max(left, 0.001), asyncio.get_running_loop())


def only_comments(pieces: list[tuple[int, bytes]]) -> bool:
    """Return whether a body holds nothing but comments of an event stream so far."""
    lines = b"".join(data for _, data in pieces).removeprefix(b"\xef\xbb\xbf").splitlines()
    return all(not line or line[:1] == b":" for line in lines)


class Decoder:
    """Undo gzip or deflate, for services that compress although identity was asked for."""

    def __init__(self, coding: str) -> None:
        self._inflate = zlib.decompressobj(47)  # 47: gzip or zlib, by what the data begins with
        self._raw = coding == "deflate"  # which some servers send without its zlib header

    @property
    def complete(self) -> bool:
        """Whether the end of the compressed data was seen."""
        return self._inflate.eof

    def feed(self, data: bytes) -> bytes:
        """Return what these bytes decompress to. Raise `AttemptFailed` when they are damaged."""
        if self._inflate.eof:
            return b""
        try:
            return self._inflate.decompress(data)
        except zlib.error as error:
            if not self._raw:
                raise AttemptFailed(
                    Failure("protocol", f"the compressed reply is damaged ({error})")
                ) from error
            self._raw = False
            self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
            return self.feed(data)


def decoder_for(headers: Mapping[str, str]) -> Decoder | None:
    """Return what undoes a reply's compression, if it has one. Raise `AttemptFailed` for an unknown one."""
    coding = headers.get("content-encoding", "").strip().lower()
    if coding in ("", "identity"):
        return None
    if coding in ("gzip", "x-gzip", "deflate"):
        return Decoder(coding)
    text = f"the reply is compressed with {coding!r} although none was asked for"
    raise AttemptFailed(Failure("protocol", text))
