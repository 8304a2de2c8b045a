"""Stamps in a third of their size while a long reply is under way: ten thousand of them wait at once."""

from __future__ import annotations

from array import array
from itertools import accumulate, chain, islice
from operator import sub

WIDE = 1 << 32
WAITING = 128
"""How many stamps wait before they are folded; short replies never are."""


class Stamps:
    """Nanoseconds in the order of arrival. What has waited is kept as gaps of four bytes each."""

    __slots__ = ("_first", "_gaps", "_last", "_recent", "append", "extend")

    def __init__(self) -> None:
        self._first = self._last = 0
        self._gaps: array[int] | None = None
        self._recent = array("q")
        self.append = self._recent.append
        self.extend = self._recent.extend

    def fold(self) -> None:
        """Make what has come since small, when it is worth it."""
        recent = self._recent
        if len(recent) < WAITING:
            return
        if self._gaps is None:
            self._first = self._last = recent[0]
            self._gaps = array("I")
        gaps = array("q", map(sub, recent, chain((self._last,), recent)))
        if self._gaps.typecode == "I" and (min(gaps) < 0 or max(gaps) >= WIDE):
            self._gaps = array("q", self._gaps)
        self._gaps.extend(array(self._gaps.typecode, gaps))
        self._last = recent[-1]
        del recent[:]

    def all(self) -> array[int]:
        """Return every stamp."""
        if self._gaps is None:
            return self._recent
        folded = array("q", islice(accumulate(chain((self._first,), self._gaps)), 1, None))
        folded.extend(self._recent)
        return folded
