"""Compute the pace of a reply from the token counts in its chunks.

A token may be reported before its text: half of a character, or text that a parser holds back until it knows
what it is. Such tokens are in chunks without text, and belong to the next chunk with text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from aisb._types import TOKEN_KINDS, ChunkKind


class Held(NamedTuple):
    """The tokens of one reply by its chunks; None if the chunks do not report them.

    `total` counts all of them, `first` those up to the first chunk with tokens, and `end` those after the
    last one, whose text never came: the end token. `pace_ns` is the time from that first chunk to that last
    one. `lone` is true if each chunk after the first one has one token.
    """

    total: int | None = None
    first: int | None = None
    end: int | None = None
    pace_ns: int | None = None
    lone: bool | None = None


def held_tokens(tokens: Any, bearing: Any) -> Any:
    """Return the tokens of each chunk with text, including those reported since the chunk before it."""
    import numpy as np

    return np.diff(np.cumsum(tokens)[bearing], prepend=0)


def held(tokens: Any, gaps: Any, runs: Sequence[tuple[ChunkKind, int]]) -> Held:
    """Return the token facts of a reply's chunks; `gaps` are the nanoseconds between all its chunks."""
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
