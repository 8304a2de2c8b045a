"""Reading the events of a stream that differ in their text alone without taking each apart.

Nearly every event of a reply is the one before with another text. Where a backend says that its `decode`
copies the text out as it stands (`copies_text`), the rest of the event need not be parsed again, nor the HTTP
framing around it: that is two thirds of what a streamed chunk costs beside its arrival.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, chain, repeat
from operator import sub
from typing import NamedTuple

import orjson

from aisb.http.chunks import SIZES, first_chunk, size_line

_MISSES = 8
"""After how many unlike events in a row the pattern is given up: some services put a count in each."""
_TEXT = {str}


class Found(NamedTuple):
    """Events that were like the pattern: their stamps and texts, and where what follows them begins.

    They fill `whole` pieces, and of the next one the first `part` bytes.
    """

    stamps: Sequence[int] = ()
    texts: Sequence[str] = ()
    whole: int = 0
    part: int = 0


_NOTHING = Found()


class Alike:
    """What the latest events of one reply had in common. `framed` events have HTTP's chunks around them."""

    __slots__ = ("_framed", "_heads", "_misses", "_size", "_tail")

    def __init__(self, *, framed: bool) -> None:
        self._framed = framed
        self._heads: _Heads | None = None
        self._tail = b""
        self._size = b""
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

    def learn(self, data: bytes, body: bytes, payload: bytes, text: str) -> None:
        """Take the pattern from an event that has this text and nothing else.

        `payload` is its data, `body` the piece of the reply's body that ends with it, and `data` the piece as
        it came, with HTTP around it.
        """
        try:
            literal = orjson.dumps(text)
        except orjson.JSONEncodeError:  # half a character
            return
        event = b"data: %b\n\n" % payload
        if body != event or b"\n" in payload or payload.count(literal) != 1:
            return
        head, tail = event.split(literal)
        size = next((size for size in SIZES if data == size % len(body) + body + b"\r\n"), b"")
        if bool(size) == self._framed:
            self._size, self._tail = size, tail + b"\r\n" if size else tail
            self._heads = _Heads(head, self._tail, size)

    def miss(self) -> None:
        """Take note of an event that was read in the usual way."""
        self._misses += 1

    def read(self, times: Sequence[int], datas: Sequence[bytes]) -> Found:
        """Read pieces with their stamps, up to the first event that is not like the pattern.

        An event is like it when all around its text is equal to the byte, and what stands in between is one
        JSON string: so it is one event, and neither line ends nor other members can hide in it. With HTTP
        around it its size is right too: then it is one whole chunk, which an HTTP parser need not see.
        """
        heads, tail = self._heads, self._tail
        if heads is None:
            return _NOTHING
        lengths = [*map(len, datas)]
        if max(lengths) < heads.two:
            texts = heads.texts(datas, lengths, tail)
            if texts:
                self._misses = 0
                return Found(times[: len(texts)], texts, len(texts))
        parts = b"".join(datas).split(tail)  # which has its line ends last, so no two of it can overlap
        parts.pop()
        if not parts:
            return _NOTHING
        sizes = [len(part) + len(tail) for part in parts]
        texts = heads.texts(parts, sizes, b"")
        if not texts:
            return _NOTHING
        self._misses = 0
        # How many of the events had come with each piece, by where they end.
        ends = [*accumulate(sizes[: len(texts)])]
        pieces = [*accumulate(lengths)]
        whole = bisect_right(pieces, ends[-1])
        upto = [bisect_right(ends, end) for end in pieces[:whole]]
        each = [*map(sub, upto, chain((0,), upto)), len(texts) - (upto[-1] if upto else 0)]
        stamps = [*chain.from_iterable(map(repeat, times, each))]
        return Found(stamps, texts, whole, ends[-1] - (pieces[whole - 1] if whole else 0))


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
        line = size_line(self._size, length) if self._size else b""
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
