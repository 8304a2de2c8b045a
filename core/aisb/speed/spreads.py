"""Averages and percentiles: of a number a request, and of a billion gaps that do not fit in memory.

Percentiles are numpy's linear ones in both cases, and both are exact. Gaps are read twice: the first time
they are counted in 67,000 buckets, each 1/2048 of its value wide; then it is known in which few buckets the
wanted order statistics lie, and the second time only what falls into those is counted, to the nanosecond.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Stream = Callable[[], Iterable[tuple[int, Any]]]
"""Gives (key, whole nanoseconds) again and again; the key says to which pools the values belong."""

_SHIFT = 12
_BELOW = 126 << (23 - _SHIFT)
_BUCKETS = (160 << (23 - _SHIFT)) - _BELOW
_LIMIT = 2**32
_BATCH = 1 << 17
_SLACK = 256
"""How far rounding to float32 moves a value of 32 bits at most."""


@dataclass(frozen=True, slots=True)
class Spread:
    """What is known about many values of one number. `percentiles` has a value for each one wanted."""

    n: int
    average: float
    minimum: float
    maximum: float
    median: float
    percentiles: Mapping[float, float]

    def too_few_for(self, percent: float) -> bool:
        """Whether less than one value lies beyond a percentile: it is then little more than the maximum."""
        return self.n * (100 - percent) < 100


def spread(values: NDArray[np.float64], percentiles: Sequence[float]) -> Spread | None:
    """Return the spread of the values that are known (not NaN); None when there is none."""
    import numpy as np

    known = values[~np.isnan(values)]
    if not len(known):
        return None
    found = np.percentile(known, [50, *percentiles])
    return Spread(
        len(known),
        float(known.mean()),
        float(known.min()),
        float(known.max()),
        float(found[0]),
        dict(zip(percentiles, map(float, found[1:]), strict=True)),
    )


def pooled(
    stream: Stream, pools: Mapping[str, frozenset[int]], percentiles: Sequence[float]
) -> dict[str, Spread | None]:
    """Return the spread, in milliseconds, of each pool: the values under any of its keys."""
    tallies: dict[int, _Tally] = {}
    for key, batch in _batches(stream()):
        tallies.setdefault(key, _Tally()).add(batch)
    found = {name: _Pool([tallies[key] for key in keys if key in tallies]) for name, keys in pools.items()}
    wanted = [50.0, *percentiles]
    for pool in found.values():
        pool.want(wanted)
    if any(tally.exact for tally in tallies.values()):
        for key, batch in _batches(stream()):
            tallies[key].refine(batch)
    return {name: pool.spread(wanted) for name, pool in found.items()}


def _batches(stream: Iterable[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
    """Join the values of a key to batches that are worth a call of numpy."""
    import numpy as np

    waiting: dict[int, tuple[Any, int]] = {}
    for key, given in stream:
        values, odd = _fitting(given)
        if len(odd):
            yield key, odd
        if len(values) > _BATCH // 2:
            for start in range(0, len(values), _BATCH):
                yield key, values[start : start + _BATCH]
            continue
        buffer, used = waiting.get(key) or (np.empty(_BATCH, np.uint32), 0)
        if used + len(values) > _BATCH:
            yield key, buffer[:used]
            used = 0
        buffer[used : used + len(values)] = values
        waiting[key] = (buffer, used + len(values))
    for key, (buffer, used) in waiting.items():
        yield key, buffer[:used]


def _fitting(values: Any) -> tuple[Any, Any]:
    """Return the values that 32 bits hold, and the others."""
    import numpy as np

    if values.dtype == np.uint32 or not len(values) or (values.min() >= 0 and values.max() < _LIMIT):
        return values.astype(np.uint32, copy=False), values[:0]
    fits = (values >= 0) & (values < _LIMIT)
    return values[fits].astype(np.uint32), values[~fits].astype(np.int64)


def _buckets(batch: Any) -> Any:
    """Return the bucket of each value: monotone in the value."""
    import numpy as np

    buckets = batch.astype(np.float32).view(np.int32)
    buckets >>= _SHIFT
    buckets -= _BELOW
    return np.maximum(buckets, 0, out=buckets)


class _Tally:
    """How many values of one key lie in each bucket, and in `exact` on each nanosecond of those that matter.

    Values that no bucket holds are kept as they are, in `odd`.
    """

    def __init__(self) -> None:
        import numpy as np

        self.counts = np.zeros(_BUCKETS, np.int64)
        self.total = 0
        self.odd: list[Any] = []
        self.minimum: int | None = None
        self.maximum: int | None = None
        self.exact: dict[int, tuple[int, Any]] = {}
        self.matters = np.zeros(_BUCKETS, np.bool_)

    def add(self, batch: Any) -> None:
        """Count a batch of values of 32 bits, or keep one of others."""
        import numpy as np

        if not len(batch):
            return
        if batch.dtype == np.uint32:
            found = np.bincount(_buckets(batch))
            self.counts[: len(found)] += found
        else:
            self.odd.append(batch)
        self.total += int(batch.sum(dtype=np.int64))
        low, high = int(batch.min()), int(batch.max())
        self.minimum = low if self.minimum is None else min(self.minimum, low)
        self.maximum = high if self.maximum is None else max(self.maximum, high)

    def want(self, bucket: int) -> None:
        """Let a bucket be counted to the nanosecond."""
        import numpy as np

        if bucket not in self.exact:
            low = max(0, _edge(bucket) - _SLACK)
            self.exact[bucket] = (low, np.zeros(_edge(bucket + 1) + _SLACK - low, np.int64))
            self.matters[bucket] = True

    def refine(self, batch: Any) -> None:
        """Count, to the nanosecond, what lies in the buckets that matter."""
        import numpy as np

        if batch.dtype != np.uint32 or not self.exact:
            return
        buckets = _buckets(batch)
        chosen = np.flatnonzero(self.matters.take(buckets, mode="clip"))
        values, buckets = batch[chosen], buckets[chosen]
        for bucket, (low, counts) in self.exact.items():
            inside = values[buckets == bucket]
            if len(inside):
                found = np.bincount(inside - np.uint32(low))
                counts[: len(found)] += found


@dataclass(slots=True)
class _Pool:
    """Some tallies taken together: their sorted values, as far as they are wanted."""

    tallies: list[_Tally]
    below: Any = None
    above: Any = None
    sums: Any = None

    @property
    def n(self) -> int:
        return len(self.below) + int(self.sums[-1]) + len(self.above)

    def want(self, percents: Sequence[float]) -> None:
        """Find the buckets in which the order statistics around each percentile lie."""
        import numpy as np

        odd = np.sort(np.concatenate([np.zeros(0, np.int64), *(o for t in self.tallies for o in t.odd)]))
        self.below, self.above = odd[odd < 0], odd[odd >= 0]
        counts = np.zeros(_BUCKETS, np.int64)
        for tally in self.tallies:
            counts += tally.counts
        self.sums = counts.cumsum()
        if not self.n:
            return
        for percent in percents:
            place = floor(percent / 100 * (self.n - 1))
            for rank in (place, min(place + 1, self.n - 1)):
                inner = rank - len(self.below)
                if 0 <= inner < self.sums[-1]:
                    bucket = int(np.searchsorted(self.sums, inner, side="right"))
                    for tally in self.tallies:
                        tally.want(bucket)

    def spread(self, percents: Sequence[float]) -> Spread | None:
        """Return the spread in milliseconds."""
        if not self.n:
            return None
        median, *rest = [self._percentile(percent) for percent in percents]
        return Spread(
            self.n,
            sum(tally.total for tally in self.tallies) / self.n / 1e6,
            min(low for t in self.tallies if (low := t.minimum) is not None) / 1e6,
            max(high for t in self.tallies if (high := t.maximum) is not None) / 1e6,
            median,
            dict(zip(percents[1:], rest, strict=True)),
        )

    def _percentile(self, percent: float) -> float:
        place = percent / 100 * (self.n - 1)
        low = self._ranked(floor(place))
        high = self._ranked(min(floor(place) + 1, self.n - 1))
        share = place - floor(place)
        # As numpy interpolates: from the nearer end.
        value = low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share)
        return value / 1e6

    def _ranked(self, rank: int) -> int:
        """Return the value that stands at a place when all are sorted."""
        import numpy as np

        inner = rank - len(self.below)
        if inner < 0:
            return int(self.below[rank])
        if inner >= self.sums[-1]:
            return int(self.above[inner - self.sums[-1]])
        bucket = int(np.searchsorted(self.sums, inner, side="right"))
        low = self.tallies[0].exact[bucket][0]
        counts = sum(tally.exact[bucket][1] for tally in self.tallies)
        before = int(self.sums[bucket - 1]) if bucket else 0
        return low + int(np.searchsorted(counts.cumsum(), inner - before, side="right"))


def _edge(bucket: int) -> int:
    """Return the value at which a bucket begins."""
    import numpy as np

    if bucket <= 0:
        return 0
    bits = np.array([min(bucket + _BELOW, 255 << (23 - _SHIFT)) << _SHIFT], np.int32)
    return int(bits.view(np.float32)[0])
