"""The receiving end of a connection: it stamps incoming bytes before anything parses them."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from typing import Final

from .reader import StreamReader

now_ns: Final = perf_counter_ns


class Inbox:
    """Passes the bytes of one connection to the reader of the expected reply.

    It calls `ended` when a reply is complete or cannot be read further, `exceeded` when a reply is too large,
    and `unexpected(stamp, data)` when data arrives while no reply is expected.

    If the clock has `began_ns`, as a `RunClock` does, `receive` reads `perf_counter_ns` itself: calling the
    clock would double the cost of most pieces.
    """

    def __init__(
        self, clock: Callable[[], int], ended: Callable[[], None], exceeded: Callable[[], None]
    ) -> None:
        self.unexpected: Callable[[int, bytes], None] | None = None
        self._clock = clock
        began: int | None = getattr(clock, "began_ns", None)
        self._began_ns: int = began or 0
        self._is_run_clock: bool = began is not None
        self._ended = ended
        self._exceeded = exceeded
        self._reader: StreamReader | None = None
        self._left: int = 0  # bytes that may still arrive

    def expect(self, reader: StreamReader, max_bytes: int) -> None:
        """Pass the bytes that arrive from now on to this reader, up to `max_bytes` of them."""
        self._reader = reader
        self._left = max_bytes

    def stop(self) -> None:
        """Expect no reply any more."""
        self._reader = None

    def receive(self, data: bytes) -> None:
        """Stamp bytes that arrived, and pass them on."""
        stamp: int = now_ns() - self._began_ns if self._is_run_clock else self._clock()
        reader = self._reader
        if reader is None:
            if self.unexpected is not None:
                self.unexpected(stamp, data)
            return
        self._left -= len(data)
        if self._left < 0:
            self._exceeded()
        elif reader.feed(stamp, data):
            self._ended()
