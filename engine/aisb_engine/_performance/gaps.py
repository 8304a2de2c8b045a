"""The time between chunks (ICL) and between tokens (ITL), pooled over the requests of each stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from aisb import Distribution
from aisb_engine._performance.columns import LogColumns
from aisb_engine._performance.spreads import Counted, Fine, ValueTally, Wanted, pooled

if TYPE_CHECKING:
    from aisb_engine._performance.latency import Requests
    from aisb_engine._performance.split import Split

STABLE, ONE_EACH, SHARED = 1, 2, 4
"""Bits of a key: the gap is in the stable stage; its chunk has one token, so that it counts as an ICL and an
ITL; it is the share of one token in the gap before a larger chunk."""
_ICL = {0, STABLE, ONE_EACH, STABLE | ONE_EACH}
_ITL = {ONE_EACH, STABLE | ONE_EACH, SHARED, STABLE | SHARED}
POOLS = {
    "ICL total": frozenset(_ICL),
    "ICL stable": frozenset(key for key in _ICL if key & STABLE),
    "ITL total": frozenset(_ITL),
    "ITL stable": frozenset(key for key in _ITL if key & STABLE),
}


def gap_distributions(
    columns: LogColumns,
    requests: Requests,
    inside: Any,
    percentiles: Sequence[float],
    split: Split | None = None,
) -> Mapping[str, Distribution | None]:
    """Return the distribution of each of POOLS over answered requests; `inside` marks the stable stage.

    With `split`, each of its processes counts a part of the requests; the result is the same.
    """
    import numpy as np

    rows = (requests.ok & (columns["streamed"] == 1) & ~requests.at_once).nonzero()[0]
    stable = np.where(inside, STABLE, 0)
    keys = stable + np.where(requests.one_each == 1, ONE_EACH, 0)
    shared = np.where(requests.one_each == 0, stable + SHARED, 0)
    if split is None:
        return pooled(Counted(partial(_stream, columns, rows, keys, shared)), POOLS, percentiles)
    parts = [(columns.part(some), keys[some], shared[some]) for some in np.array_split(rows, split.count)]
    return pooled(_Split(split, parts), POOLS, percentiles)


def _stream(columns: LogColumns, rows: Any, keys: Any, shared: Any) -> Iterator[tuple[int, Any]]:
    """Yield (key, gaps) of these rows; those in `shared` also a second time, divided by tokens."""
    for row, gaps in columns.gaps(rows):
        yield int(keys[row]), gaps
    for row, shares in columns.per_token(rows[shared[rows] > 0]):
        yield int(shared[row]), shares


class _Split:
    """Counts by several processes, each over its part of the requests."""

    def __init__(self, split: Split, parts: Sequence[tuple[LogColumns, Any, Any]]) -> None:
        self._split = split
        self._parts = parts

    def coarsely(self) -> dict[int, ValueTally]:
        """Return the number of values in each bucket, and their sum and range."""
        tallies: dict[int, ValueTally] = {}
        for found in self._split.each(_coarsely, self._parts):
            for key, tally in found.items():
                tallies.setdefault(key, ValueTally()).take(tally)
        return tallies

    def finely(self, wanted: Wanted) -> Fine:
        """Return the number of values on each nanosecond of the wanted buckets."""
        first, *more = self._split.each(_finely, [(wanted,)] * self._split.count)
        for found in more:
            for key, buckets in found.items():
                for bucket, counts in buckets.items():
                    first[key][bucket] += counts
        return first


def _coarsely(state: dict[str, Any], columns: LogColumns, keys: Any, shared: Any) -> dict[int, ValueTally]:
    """Count a part in a worker process, which keeps it for the second pass."""
    import numpy as np

    rows = np.arange(len(columns))
    state["part"] = Counted(partial(_stream, columns, rows, keys, shared))
    found: dict[int, ValueTally] = state["part"].coarsely()
    return found


def _finely(state: dict[str, Any], wanted: Wanted) -> dict[int, dict[int, Any]]:
    """Count the same part in the second pass."""
    found: dict[int, dict[int, Any]] = state["part"].finely(wanted)
    return found
