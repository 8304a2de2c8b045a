"""A long reply in a fraction of its size while it is under way: ten thousand of them wait at once."""

from __future__ import annotations

import sys
import zlib
from array import array
from itertools import accumulate, chain, islice
from operator import sub

from aisb._types import ChunkKind

WAITING = 128
"""How many stamps wait before they are folded; short replies never are."""
LOOSE = 32
"""How many pieces of text wait before they are joined: a string each costs ten times its letters."""
BLOCK = 2_048
"""From how many bytes on a text is compressed, to half of that; short replies never are."""
_HIGHEST, *_OTHERS = (3, 0, 1, 2) if sys.byteorder == "little" else (0, 1, 2, 3)
"""Where the bytes of a number lie."""


class Stamps:
    """Nanoseconds in the order of arrival. What has waited is kept as gaps, mostly of three bytes."""

    __slots__ = ("_first", "_folded", "_last", "_recent", "append", "frombytes")

    def __init__(self) -> None:
        self._first = self._last = 0
        # Blocks that never grow: arrays that do, in ten thousand replies at once, leave holes behind.
        self._folded: list[bytes | array[int]] = []
        self._recent = array("q")
        self.append = self._recent.append
        self.frombytes = self._recent.frombytes

    def fold(self) -> None:
        """Make what has come since small, when it is worth it."""
        recent = self._recent
        while len(recent) >= WAITING:
            block = recent[:WAITING]
            if not self._folded:
                self._first = self._last = block[0]
            self._folded.append(_packed(array("q", map(sub, block, chain((self._last,), block)))))
            self._last = block[-1]
            del recent[:WAITING]

    def all(self) -> array[int]:
        """Return every stamp."""
        if not self._folded:
            return self._recent
        gaps = chain((self._first,), *map(_unpacked, self._folded))
        stamps = array("q", islice(accumulate(gaps), 1, None))
        stamps.extend(self._recent)
        return stamps


def _packed(gaps: array[int]) -> bytes | array[int]:
    """Return gaps in four bytes each, in three where the highest ones are all the same, or else as they are.

    The highest byte counts 16.8 ms: the gaps of a steady reply have it in common.
    """
    try:
        data = array("I", gaps).tobytes()
    except OverflowError:  # a gap of more than four seconds, or a clock that went back
        return gaps
    highest = data[_HIGHEST::4]
    if highest.count(highest[0]) < WAITING:
        return data
    return highest[:1] + b"".join([data[place::4] for place in _OTHERS])


def _unpacked(block: bytes | array[int]) -> array[int]:
    """Return the gaps of a block."""
    if not isinstance(block, bytes):
        return block
    gaps = array("I")
    if len(block) == 4 * WAITING:
        gaps.frombytes(block)
        return gaps
    data = bytearray(4 * WAITING)
    data[_HIGHEST::4] = block[:1] * WAITING
    for number, place in enumerate(_OTHERS):
        data[place::4] = block[1 + number * WAITING : 1 + (number + 1) * WAITING]
    gaps.frombytes(data)
    return gaps


class Texts:
    """The pieces of a text in the order of arrival. What has waited is kept compressed."""

    __slots__ = ("_joined", "_packed", "_recent", "append", "extend")

    def __init__(self) -> None:
        self._packed: list[bytes] = []
        # As UTF-8: one letter beyond Latin-1 makes every letter of a string two bytes, or four.
        self._joined = bytearray()
        self._recent: list[str] = []
        self.append = self._recent.append
        self.extend = self._recent.extend

    def fold(self) -> None:
        """Make what has come since small, when it is worth it."""
        if len(self._recent) < LOOSE and sum(map(len, self._recent)) < BLOCK:
            return
        self._joined += "".join(self._recent).encode("utf-8", "surrogatepass")
        self._recent.clear()
        if len(self._joined) >= BLOCK:
            self._packed.append(zlib.compress(self._joined, 1))
            self._joined = bytearray()

    def all(self) -> str:
        """Return the whole text."""
        recent = "".join(self._recent)
        if not (self._joined or self._packed):
            return recent
        before = b"".join([*map(zlib.decompress, self._packed), self._joined])
        return before.decode("utf-8", "surrogatepass") + recent


class Runs:
    """Kinds in the order of arrival, as how often each comes in a row."""

    __slots__ = ("count", "runs")

    def __init__(self) -> None:
        self.runs: list[tuple[ChunkKind, int]] = []
        self.count = 0

    def add(self, kind: ChunkKind, count: int = 1) -> None:
        """Add a kind, so often in a row."""
        self.count += count
        if self.runs and self.runs[-1][0] == kind:
            count += self.runs.pop()[1]
        self.runs.append((kind, count))
