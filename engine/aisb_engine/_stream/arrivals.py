"""What comes over one connection, stamped before it is looked at, and kept while the reply goes on.

aisb-speedups does the same at less cost, and is used where it is installed (`aisb_engine._stream.compiled`).
"""

from __future__ import annotations

from collections.abc import Callable

from aisb_engine._stream.pattern import PlainPattern

GOES_ON = b"\n\n\r\n"
"""How a piece ends that is a whole event in a whole chunk. A chunked body ends with CR LF CR LF."""


class PlainArrivals:
    """Stamps each piece; keeps it when it ends as an event does in a chunk of HTTP, hands it over when not.

    `other` is called with a stamp and a piece. Nothing is kept before `keep`, which says where to, and for
    how many bytes there is room; when these are used up `full` is called.
    """

    __slots__ = ("_clock", "_full", "_latest", "_other", "_pieces", "_room", "_stamps")

    def __init__(
        self, clock: Callable[[], int], other: Callable[[int, bytes], None], full: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._other = other
        self._full = full
        self._latest: int | None = None
        self.keep([], [], 0, None)

    def keep(self, pieces: list[bytes], stamps: list[int], room: int, pattern: PlainPattern | None) -> None:
        """Keep pieces and stamps in these lists, up to so many bytes.

        The compiled form reads pieces that are like the pattern at once, and keeps what comes after others.
        """
        del pattern  # a loop of Python over the events of a piece costs more than one over many pieces
        self._pieces = pieces
        self._stamps = stamps
        self._room = room

    def read(self) -> tuple[bytes, str]:
        """Return the stamps (as an array of type q has them) and the text of what was read at once.

        It came before all that is kept.
        """
        return b"", ""

    def latest(self) -> int | None:
        """Return the stamp of what came last."""
        return self._latest

    def stop(self) -> None:
        """Keep nothing from here on, and forget what came."""
        self._latest = None
        self.keep([], [], 0, None)

    def receive(self, data: bytes) -> None:
        """Take a piece that has come."""
        stamp = self._latest = self._clock()
        if self._room > 0 and data[-4:] == GOES_ON:
            self._pieces.append(data)
            self._stamps.append(stamp)
            self._room -= len(data)
            if self._room <= 0:
                self._full()
        else:
            self._other(stamp, data)
