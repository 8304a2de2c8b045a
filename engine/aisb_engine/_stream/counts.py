"""Derive the number of tokens in each chunk of a reply from the running count in a service's events.

vLLM's `continuous_usage_stats` and llama.cpp's `timings_per_token` give the number of tokens so far in each
event. A chunk holds the growth of that count, whether or not its tokens have text yet.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from operator import le, sub

from aisb._types import TOKEN_KINDS, ChunkKind

MIN_COUNTS_PER_OUTLIER = 4
"""At most one in this many counts may contradict the others, and is ignored; beyond that, none is used."""
MAX_TOKENS = 2**31 - 1
"""The largest value of the arrays; larger counts are clipped to it. No reply has so many tokens."""


def growth(places: Sequence[int], counts: Sequence[int], runs: Iterable[tuple[ChunkKind, int]]) -> array[int]:
    """Return the tokens in each chunk; empty if the counts do not determine them.

    The chunks at `places` have the running counts `counts`; `runs` are the kinds of all chunks. A chunk
    without a count gets 0, and the next chunk with a count gets the tokens of both. Counts must cover half of
    the chunks with tokens, since most services give a single count at the end.
    """
    none: array[int] = array("i")
    if len(counts) < 2 or counts[-1] == MAX_TOKENS:
        return none
    if not all(map(le, counts, islice(counts, 1, None))):
        kept = _longest_non_decreasing(counts)
        if (len(counts) - len(kept)) * MIN_COUNTS_PER_OUTLIER > len(counts):
            return none
        places, counts = [places[at] for at in kept], [counts[at] for at in kept]
    flags = b"".join([bytes([kind in TOKEN_KINDS]) * count for kind, count in runs])
    if not _covers(places, counts, flags):
        return none
    tokens = array("i", bytes(4 * len(flags)))
    for place, more in zip(places, map(sub, counts, chain((0,), counts)), strict=True):
        tokens[place] = more
    return tokens


def _covers(places: Sequence[int], counts: Sequence[int], flags: bytes) -> bool:
    """Return whether the counts span at least half of the chunks with tokens."""
    last_text = flags.rfind(1)
    end = bisect_right(places, last_text) - 1
    if end < 0 or counts[end] == 0:
        return False
    begin = bisect_right(counts, 0)
    while end and counts[end - 1] == counts[end]:
        end -= 1
    first, last = flags.find(1, places[begin]), flags.find(1, places[end])
    return 0 <= first < last and 2 * flags.count(1, first, last) >= flags.count(1) - 1


def _longest_non_decreasing(counts: Sequence[int]) -> list[int]:
    """Return the positions of a longest non-decreasing subsequence that ends with the last count."""
    ends: list[int] = []  # for each length, the lowest last count of a subsequence of that length
    at: list[int] = []  # and its position
    before: dict[int, int] = {}  # for each position, the previous one in its subsequence
    for place, count in enumerate(counts):
        if count <= counts[-1]:
            length = bisect_right(ends, count)
            if length:
                before[place] = at[length - 1]
            ends[length : length + 1] = [count]
            at[length : length + 1] = [place]
    positions = [at[-1]]
    while positions[-1] in before:
        positions.append(before[positions[-1]])
    return positions[::-1]
