"""Reading the events of a stream that differ in their text alone without taking each apart.

Nearly every event of a reply is the one before with another text. Where a backend says that its `decode`
copies the text out as it stands (`copies_text`), the rest of the event need not be parsed again: that is two
thirds of what a streamed chunk costs beside its arrival.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import orjson

_MISSES = 8
"""After how many unlike events in a row the pattern is given up: some services put a count in each."""


class Alike:
    """What the latest events of one reply had in common."""

    __slots__ = ("_head", "_misses", "_tail")

    def __init__(self) -> None:
        self._head = self._tail = b""
        self._misses = 0

    @property
    def helps(self) -> bool:
        """Whether there is still hope of a pattern."""
        return self._misses < _MISSES

    def miss(self) -> None:
        """Take note of a piece that was read in the usual way."""
        self._misses += 1

    def learn(self, data: bytes, text: str) -> None:
        """Take the pattern from a piece that is one whole event with a text and nothing else."""
        try:
            literal = orjson.dumps(text)
        except orjson.JSONEncodeError:  # half a character
            return
        if not (data.startswith(b"data: ") and data.endswith(b"\n\n")):
            return
        if data.count(b"\n") == 2 and data.count(literal) == 1:
            self._head, self._tail = data.split(literal)

    def texts(self, pieces: Sequence[tuple[int, bytes]], at: int) -> list[str]:
        """Return the texts of the pieces from `at` on, up to the first that is not like the pattern.

        A piece is like it when all around its text is equal to the byte, and what stands in between is one
        JSON string: so it is one event, and neither line ends nor other members can hide in it.
        """
        head, tail, loads = self._head, self._tail, orjson.loads
        texts: list[str] = []
        if not head:
            return texts
        start, end = len(head), -len(tail)
        try:
            for _, data in islice(pieces, at, None):
                if not (data.startswith(head) and data.endswith(tail)):
                    break
                text = loads(data[start:end])
                if text.__class__ is not str or not text:
                    break
                texts.append(text)
        except orjson.JSONDecodeError:
            pass  # not like the pattern: read in the usual way, which says what is wrong if something is
        if texts:
            self._misses = 0
        return texts
