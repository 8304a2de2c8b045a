"""Reading the events of a stream that differ in their text alone without taking each apart.

Nearly every event of a reply is the one before with another text. Where a backend says that its `decode`
copies the text out as it stands (`copies_text`), the rest of the event need not be parsed again, nor the HTTP
framing around it: that is two thirds of what a streamed chunk costs beside its arrival.
"""

from __future__ import annotations

import orjson

from aisb_engine._stream.chunks import SIZES, first_chunk
from aisb_engine._stream.compiled import Pattern
from aisb_engine._stream.pattern import NOTHING, Found, PlainPattern

_MISSES = 8
"""After how many unlike events in a row the pattern is given up: some services put a count in each."""


class Alike:
    """What the latest events of one reply had in common. `framed` events have HTTP's chunks around them."""

    __slots__ = ("_framed", "_misses", "pattern")

    def __init__(self, *, framed: bool) -> None:
        self._framed = framed
        self.pattern: PlainPattern | None = None
        self._misses = 0

    @property
    def helps(self) -> bool:
        """Whether there is still hope of a pattern."""
        return self._misses < _MISSES

    def first(self, data: bytes) -> int:
        """Return where the first event in a piece ends, or its chunk of HTTP; the length when unclear."""
        if self._framed:
            return first_chunk(data)
        end = data.find(b"\n\n")
        return end + 2 if end >= 0 else len(data)

    def learn(self, data: bytes, payload: bytes, text: str) -> None:
        """Take the pattern from an event that has this text and nothing else.

        `payload` is its data, and `data` the piece as it came, with HTTP around it.
        """
        try:
            literal = orjson.dumps(text)
        except orjson.JSONEncodeError:  # half a character
            return
        if payload.count(literal) != 1 or b"\n" in payload:
            return
        event = b"data: %b\n\n" % payload
        for size in SIZES if self._framed else (b"",):
            if data == (b"%b\r\n%b\r\n" % (size % len(event), event) if size else event):
                head, tail = event.split(literal)
                self.pattern = Pattern(head, tail, size, orjson.loads)

    def miss(self) -> None:
        """Take note of an event that was read in the usual way."""
        self._misses += 1

    def read(self, times: list[int], datas: list[bytes]) -> Found:
        """Read pieces with their stamps, up to the first event that is not like the pattern."""
        found = self.pattern.read(times, datas) if self.pattern else NOTHING
        if found[0]:
            self._misses = 0
        return found
