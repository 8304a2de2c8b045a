"""The receiving end of a connection: it stamps what arrives, before anything is parsed."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from typing import Final

from .reader import StreamReader

now_ns: Final = perf_counter_ns


class Inbox:
    """Takes what arrives on one connection, and gives it to the reader of the reply that is expected.

    `ended` is called when a reply is whole or cannot be read on, `exceeded` when more bytes came than a reply
    may have, and `unexpected` with a stamp and bytes that arrive while no reply is expected.

    A clock that counts from its `began_ns` of `perf_counter_ns`, as a run's does, is read here: calling it
    costs as much as the rest of what is done with most pieces.
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
        self._left: int = 0  # bytes that may still come

    def expect(self, reader: StreamReader, most: int) -> None:
        """Give what arrives from now on to this reader, `most` bytes of it."""
        self._reader = reader
        self._left = most

    def stop(self) -> None:
        """Expect nothing any more."""
        self._reader = None

    def receive(self, data: bytes) -> None:
        """Take bytes as they arrive."""
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
