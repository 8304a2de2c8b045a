"""Group requests into batches: sorted by length, within a token budget, with little padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

Item = TypeVar("Item")
MOST_PADDING = 0.09
"""The maximum fraction of padding among the tokens of one batch."""
MIN_SHARED_TOKENS = 16
"""A shared prefix is cached from this many tokens on."""
LEAST_SAVED = 96
"""The tokens that a shared prefix must save over all rows that share it."""


def packs(
    items: Sequence[Item], length: Callable[[Item], int], *, budget: int, padding: bool = True
) -> Iterator[list[Item]]:
    """Yield groups of items, longest first; each holds at most `budget` tokens after padding.

    An item longer than the budget is a group of its own. Without `padding`, all items of a group have one
    length.
    """
    group: list[Item] = []
    widest = held = 0
    most = MOST_PADDING if padding else 0.0
    for item in sorted(items, key=length, reverse=True):
        size = max(1, length(item))
        computed = widest * (len(group) + 1)
        if group and (computed > budget or computed - held - size > most * computed):
            yield group
            group = []
        if not group:
            widest, held = size, 0
        group.append(item)
        held += size
    if group:
        yield group


def shared(rows: Sequence[list[int]]) -> list[int]:
    """Return for each row the length of the prefix that is worth computing once for several rows.

    The shared prefix that saves most is chosen first (its length times the number of further rows); then the
    search repeats within those rows and among the others. It finds few-shot examples, and the prompt of a
    repeated sample.
    """
    order = sorted(range(len(rows)), key=lambda number: rows[number])
    alike = [common(rows[a], rows[b]) for a, b in pairwise(order)]
    found = [0] * len(rows)
    open_parts = [(0, len(order), 0)]
    while open_parts:
        begin, end, base = open_parts.pop()
        if end - begin < 2:
            continue
        left, right, height = _largest(alike[begin : end - 1], base)
        if height - base < MIN_SHARED_TOKENS or (right - left - 1) * (height - base) < LEAST_SAVED:
            continue
        left, right = begin + left, begin + right
        for place in range(left, right):
            found[order[place]] = max(found[order[place]], height)
        open_parts += [(left, right, height), (begin, left, base), (right, end, base)]
    return found


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """Return the length of the common prefix of two rows."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _largest(heights: Sequence[int], base: int) -> tuple[int, int, int]:
    """Return the rows [left, right) and the height of the largest rectangle above `base`."""
    best, answer = 0, (0, 0, 0)
    stack: list[tuple[int, int]] = []
    for place, height in enumerate([*heights, base]):
        begin = place
        while stack and stack[-1][1] >= height:
            begin, tall = stack.pop()
            saved = (place - begin) * (tall - base)
            if saved > best:
                best, answer = saved, (begin, place + 1, tall)
        stack.append((begin, height))
    return answer
