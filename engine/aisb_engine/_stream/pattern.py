"""Reading events that differ in their text alone, without taking each apart.

aisb-speedups does the same at less cost, and is used where it is installed (`aisb_engine._stream.compiled`).
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate, chain, repeat
from operator import sub
from typing import Any, TypeAlias

from aisb_engine._stream.chunks import size_line

Found: TypeAlias = tuple[bytes, str, int, int]
"""Events that were like the pattern: a stamp for each, as an array of type q has them, and their text; they
fill so many whole pieces, and of the next one so many bytes."""

NOTHING: Found = (b"", "", 0, 0)
_TEXT = {str}


class PlainPattern:
    """What events have around their text: all up to its first quote, and all after its last.

    `size` is how the chunk of HTTP around each event says its length (`b"%x"`, `b"%X"`), empty where there is
    none. `loads` reads JSON, and raises `ValueError` for what is none.
    """

    __slots__ = ("_around", "_heads", "_loads", "_tail")

    def __init__(self, head: bytes, tail: bytes, size: bytes, loads: Callable[[bytes], Any]) -> None:
        self._around = len(head) + len(tail)
        self._tail = tail + b"\r\n" if size else tail
        self._heads = _Heads(head, self._tail, size + b"\r\n" if size else b"")
        self._loads = loads

    def read(self, times: list[int], datas: list[bytes]) -> Found:
        """Read pieces with their stamps, up to the first event that is not like the pattern.

        An event is like it when all around its text is equal to the byte, and what stands in between is one
        JSON string: so it is one event, and neither line ends nor other members can hide in it. With HTTP
        around it its size is right too: then it is one whole chunk, which an HTTP parser need not see.
        """
        lengths = [*map(len, datas)]
        if max(lengths, default=0) < 2 * self._around:
            texts = self._texts(datas, lengths, self._tail)
            if texts:
                return array("q", times[: len(texts)]).tobytes(), "".join(texts), len(texts), 0
        parts = b"".join(datas).split(self._tail)  # which has its line ends last: no two of it can overlap
        parts.pop()
        sizes = [len(part) + len(self._tail) for part in parts]
        texts = self._texts(parts, sizes, b"")
        if not texts:
            return NOTHING
        # How many of the events had come with each piece, by where they end.
        ends = [*accumulate(sizes[: len(texts)])]
        pieces = [*accumulate(lengths)]
        whole = bisect_right(pieces, ends[-1])
        upto = [bisect_right(ends, end) for end in pieces[:whole]]
        each = [*map(sub, upto, chain((0,), upto)), len(texts) - (upto[-1] if upto else 0)]
        stamps = array("q", chain.from_iterable(map(repeat, times, each))).tobytes()
        return stamps, "".join(texts), whole, ends[-1] - (pieces[whole - 1] if whole else 0)

    def _texts(self, events: Sequence[bytes], lengths: Sequence[int], tail: bytes) -> list[str]:
        """Return the texts of events of these lengths, which end with `tail`, up to the first that is unlike.

        By columns, so that the loops are C's: what all of them would be is put together, and compared once.
        """
        heads = [*map(self._heads.__getitem__, lengths)]
        inner = self._heads.inner
        literals = [event[inner[length]] for event, length in zip(events, lengths, strict=True)]
        made = b"".join(chain.from_iterable(zip(heads, literals, repeat(tail))))
        if made != b"".join(events):
            for place, event in enumerate(events):
                if heads[place] + literals[place] + tail != event:
                    del literals[place:]
                    break
        return self._read(literals)

    def _read(self, literals: Sequence[bytes]) -> list[str]:
        """Return what these are as JSON, up to the first that is not one string with something in it."""
        joined = b",".join(literals)
        # All at once. Without an escaped quote among them, as many strings as literals have no quote but
        # their own two: then each literal is one string.
        if b'\\"' not in joined:
            try:
                texts: list[str] = self._loads(b"[%b]" % joined)
            except ValueError:
                pass
            else:
                if len(texts) == len(literals) and {*map(type, texts)} == _TEXT and all(texts):
                    return texts
        texts = []
        for literal in literals:
            try:
                text = self._loads(literal)
            except ValueError:  # read in the usual way, which says what is wrong if something is
                break
            if text.__class__ is not str or not text:
                break
            texts.append(text)
        return texts


class _Heads(dict[int, bytes]):
    """What an event begins with, by its length: where HTTP is around it, its chunk's size comes first.

    `inner` says where its text is, for every length that was looked up.
    """

    def __init__(self, head: bytes, tail: bytes, size: bytes) -> None:
        self._head = head
        self._tail = len(tail)
        self._size = size
        self.inner: dict[int, slice] = {}

    def __missing__(self, length: int) -> bytes:
        """Work out a length that is new."""
        line = size_line(self._size, length) if self._size else b""
        found = self[length] = line + self._head
        self.inner[length] = slice(len(found), length - self._tail)
        return found
