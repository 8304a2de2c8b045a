"""Tell a model's reasoning from what it says: `<think>` blocks are never read for an answer."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

TAGS = ("think", "thinking")


class VisibleText(NamedTuple):
    """A text without its reasoning, and where its pieces stand in the raw text."""

    text: str
    starts: tuple[int, ...]
    raw_starts: tuple[int, ...]

    @classmethod
    def of(cls, raw: str, tags: Sequence[str] = TAGS) -> VisibleText:
        """Take the reasoning out of a raw text.

        Without a closing tag all that follows is reasoning; without an opening one, all that stands before.
        """
        if "<" not in raw:
            return cls(raw, (0,), (0,))
        pieces: list[tuple[int, int]] = []
        start: int | None = 0
        for tag in _pattern(tuple(tags)).finditer(raw):
            if tag[1]:
                if start is not None:  # the prompt opened it
                    pieces.clear()
                start = tag.end()
            elif start is not None:
                pieces.append((start, tag.start()))
                start = None
        if start is not None:
            pieces.append((start, len(raw)))
        pieces = [(a, b) for a, b in pieces if raw[a:b].strip()] or [(len(raw), len(raw))]
        starts = [0]
        for a, b in pieces[:-1]:
            starts.append(starts[-1] + b - a)
        return cls("".join(raw[a:b] for a, b in pieces), tuple(starts), tuple(a for a, _ in pieces))

    def raw(self, span: tuple[int, int]) -> tuple[int, int]:
        """Return where a span of the seen text stands in the raw text."""
        start, end = span
        return (self._at(start), self._at(end - 1) + 1 if end > start else self._at(start))

    def _at(self, position: int) -> int:
        piece = bisect_right(self.starts, position) - 1
        return self.raw_starts[piece] + position - self.starts[piece]


@lru_cache(maxsize=16)
def _pattern(tags: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"<(/?)(?:{'|'.join(map(re.escape, tags))})>", re.IGNORECASE)
