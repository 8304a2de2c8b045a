"""What comes over one connection, stamped before it is looked at, and kept while the reply goes on.

`aisb._compiled` does the same at less cost, and is used where it is there (`aisb.compiled`).
"""

from __future__ import annotations

from collections.abc import Callable

GOES_ON = b"\n\n\r\n"
"""How a piece ends that is a whole event in a whole chunk. A chunked body ends with CR LF CR LF."""


class PlainArrivals:
    """Stamps each piece; keeps it when it ends as an event does in a chunk of HTTP, hands it over when not.

    `other` is called with a stamp and a piece. Nothing is kept before `keep`, which says where to, and for
    how many bytes there is room; when these are used up `full` is called.
    """

    __slots__ = ("_clock", "_full", "_other", "_pieces", "_room", "_stamps")

    def __init__(
        self, clock: Callable[[], int], other: Callable[[int, bytes], None], full: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._other = other
        self._full = full
        self.stop()

    def keep(self, pieces: list[bytes], stamps: list[int], room: int) -> None:
        """Keep pieces and stamps in these lists, up to so many bytes."""
        self._pieces = pieces
        self._stamps = stamps
        self._room = room

    def stop(self) -> None:
        """Keep nothing from here on."""
        self.keep([], [], 0)

    def receive(self, data: bytes) -> None:
        """Take a piece that has come."""
        stamp = self._clock()
        if self._room > 0 and data[-4:] == GOES_ON:
            self._pieces.append(data)
            self._stamps.append(stamp)
            self._room -= len(data)
            if self._room <= 0:
                self._full()
        else:
            self._other(stamp, data)
