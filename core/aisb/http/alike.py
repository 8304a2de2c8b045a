"""Reading the events of a stream that differ in their text alone without taking each apart.

Nearly every event of a reply is the one before with another text. Where a backend says that its `decode`
copies the text out as it stands (`copies_text`), the rest of the event need not be parsed again, nor the HTTP
framing around it: that is two thirds of what a streamed chunk costs beside its arrival.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, chain, repeat

import orjson

_MISSES = 8
"""After how many unlike events in a row the pattern is given up: some services put a count in each."""
_TEXT = {str}
_SIZES = (b"%x\r\n", b"%X\r\n")
"""How a chunk of HTTP says its size; servers differ in the letters."""


class Alike:
    """What the latest events of one reply had in common."""

    __slots__ = ("_heads", "_misses", "_size", "_tail")

    def __init__(self) -> None:
        self._heads: _Heads | None = None
        self._tail = b""
        self._size = b""
        self._misses = 0

    @property
    def helps(self) -> bool:
        """Whether there is still hope of a pattern."""
        return self._misses < _MISSES

    def miss(self) -> None:
        """Take note of a piece that was read in the usual way."""
        self._misses += 1

    def framed(self, frame: bytes, bodies: Sequence[bytes]) -> bool:
        """Return whether a frame is whole chunks with these bodies, and note how their sizes are written."""
        for size in (self._size, *_SIZES) if self._size else _SIZES:
            if frame == b"".join([size % len(body) + body + b"\r\n" for body in bodies]):
                if size is not self._size:
                    self._size, self._heads = size, None
                return True
        return False  # the next frame begins in the middle of a chunk, for all that is known

    def learn(self, data: bytes, payload: bytes, text: str) -> None:
        """Take the pattern from the last event of a piece: its payload has this text and nothing else."""
        try:
            literal = orjson.dumps(text)
        except orjson.JSONEncodeError:  # half a character
            return
        event = b"data: %b\n\n" % payload
        if data.endswith(event) and b"\n" not in payload and payload.count(literal) == 1:
            head, tail = event.split(literal)
            self._tail = tail + b"\r\n" if self._size else tail
            self._heads = _Heads(head, self._tail, self._size)

    def read(self, times: Sequence[int], datas: Sequence[bytes]) -> tuple[int, Sequence[int], list[str]]:
        """Read pieces with their stamps, up to the first that is not like the pattern.

        Returns how many they are, and the stamps and texts of their events. A piece is like the pattern when
        all around its text is equal to the byte, and what stands in between is one JSON string: so it is one
        event, and neither line ends nor other members can hide in it. A frame is like it when its size is
        right too: then it is one whole chunk, which an HTTP parser need not see. Or it is several such, one
        after another.
        """
        heads, tail = self._heads, self._tail
        if heads is None:
            return 0, (), []
        lengths = [*map(len, datas)]
        if max(lengths) < heads.two:
            texts = heads.texts(datas, lengths, tail)
            if texts:
                self._misses = 0
                return len(texts), times[: len(texts)], texts
        parts = b"".join(datas).split(tail)  # which has its line ends last, so no two of it can overlap
        parts.pop()
        if not parts:
            return 0, (), []
        lengths_inside = [len(part) + len(tail) for part in parts]
        texts = heads.texts(parts, lengths_inside, b"")
        # Of whole pieces alone: those that end where an event ends.
        inside = [0, *accumulate(lengths_inside[: len(texts)])]
        each: list[int] = []
        before = 0
        for end in accumulate(lengths):
            at = bisect_left(inside, end)
            if at == len(inside) or inside[at] != end:
                break
            each.append(at - before)
            before = at
        if each:
            self._misses = 0
        return len(each), [*chain.from_iterable(map(repeat, times, each))], texts[:before]


def _texts(literals: Sequence[bytes]) -> list[str]:
    """Return what these are as JSON, up to the first that is not one string with something in it."""
    joined = b",".join(literals)
    # All at once. Without an escaped quote among them, as many strings as literals have no quote but their
    # own two: then each literal is one string.
    if b'\\"' not in joined:
        try:
            texts: list[str] = orjson.loads(b"[%b]" % joined)
        except orjson.JSONDecodeError:
            pass
        else:
            if len(texts) == len(literals) and {*map(type, texts)} == _TEXT and all(texts):
                return texts
    texts = []
    for literal in literals:
        try:
            text = orjson.loads(literal)
        except orjson.JSONDecodeError:  # read in the usual way, which says what is wrong if something is
            break
        if text.__class__ is not str or not text:
            break
        texts.append(text)
    return texts


class _Heads(dict[int, bytes]):
    """What an event begins with, by its length: where HTTP is around it, its chunk's size comes first.

    `inner` says where its text is, for every length that was looked up. Nothing shorter than `two` holds two
    events.
    """

    def __init__(self, head: bytes, tail: bytes, size: bytes) -> None:
        self._head = head
        self._tail = len(tail)
        self._size = size
        self.inner: dict[int, slice] = {}
        self.two = 2 * (len(head) + len(tail))

    def __missing__(self, length: int) -> bytes:
        """Work out a length that is new."""
        line = _size_line(self._size, length) if self._size else b""
        found = self[length] = line + self._head
        self.inner[length] = slice(len(found), length - self._tail)
        return found

    def texts(self, events: Sequence[bytes], lengths: Sequence[int], tail: bytes) -> list[str]:
        """Return the texts of events of these lengths, which end with `tail`, up to the first that is unlike.

        By columns, so that the loops are C's: what all of them would be is put together, and compared once.
        """
        heads = [*map(self.__getitem__, lengths)]
        inner = self.inner
        literals = [event[inner[length]] for event, length in zip(events, lengths, strict=True)]
        made = b"".join(chain.from_iterable(zip(heads, literals, repeat(tail))))
        if made != b"".join(events):
            for place, event in enumerate(events):
                if heads[place] + literals[place] + tail != event:
                    del literals[place:]
                    break
        return _texts(literals)


@lru_cache(maxsize=4096)
def _size_line(size: bytes, length: int) -> bytes:
    """Return how a chunk begins that is this long with its size and line ends."""
    for digits in range(1, 9):
        line = size % max(0, length - digits - 4)
        if len(line) == digits + 2:
            return line
    return bytes(length + 1)  # no chunk has this length: nothing begins with this
