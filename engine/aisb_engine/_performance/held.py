"""What the tokens that a reply's chunks say tell about its pace.

A token may come before its text: half of a character, or what a parser holds back until it knows what it is.
Such tokens stand at chunks without text, and belong to the next chunk that has some.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from aisb._types import TOKEN_KINDS, ChunkKind


class Held(NamedTuple):
    """The tokens of one reply by its chunks; None where they do not say them.

    `total` are all of them, `first` those that came up to the first chunk that holds some, `end` those after
    the last one, whose text never came: the end token. `pace_ns` is the time from that first chunk to that
    last one. `lone` is true where each chunk after the first one holds one token.
    """

    total: int | None = None
    first: int | None = None
    end: int | None = None
    pace_ns: int | None = None
    lone: bool | None = None


def held_tokens(tokens: Any, bearing: Any) -> Any:
    """Return the tokens of each chunk that bears tokens, with those that came since the one before it."""
    import numpy as np

    return np.diff(np.cumsum(tokens)[bearing], prepend=0)


def held(tokens: Any, gaps: Any, runs: Sequence[tuple[ChunkKind, int]]) -> Held:
    """Return what the tokens of a reply's chunks say; `gaps` are the nanoseconds between all its chunks."""
    import numpy as np

    total = int(tokens.sum())
    bearing = np.repeat([kind in TOKEN_KINDS for kind, _ in runs], [count for _, count in runs])
    by_chunk = held_tokens(tokens, bearing)
    (holding,) = by_chunk.nonzero()
    if not len(holding):
        return Held(total)
    place = bearing.nonzero()[0]
    first, last = place[holding[0]], place[holding[-1]]
    return Held(
        total,
        int(by_chunk[holding[0]]),
        total - int(by_chunk.sum()),
        int(gaps[first:last].sum()),
        len(holding) == len(by_chunk) and bool((by_chunk[1:] == 1).all()),
    )
