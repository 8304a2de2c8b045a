"""Compute averages and percentiles, also of a billion gaps that do not fit into memory.

Percentiles are interpolated linearly, as numpy does, and exact in both cases. Gaps are read twice. The first
pass counts them in 67,000 buckets, each 1/2048 of its value wide, which tells the few buckets that contain
the wanted order statistics. The second pass counts the values in those buckets to the nanosecond.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from math import floor
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from aisb import Distribution
from aisb_engine._performance.early_stopping import certified

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ValueStream = Callable[[], Iterable[tuple[int, Any]]]
"""Returns an iterator of (key, whole nanoseconds) at each call; the key selects the pools of the values."""
Wanted: TypeAlias = Mapping[int, Collection[int]]
"""The buckets to count exactly, by key."""
Fine: TypeAlias = Mapping[int, Mapping[int, Any]]
"""The number of values on each nanosecond, by key and bucket."""

_SHIFT = 12
_BELOW = 126 << (23 - _SHIFT)
_BUCKETS = (160 << (23 - _SHIFT)) - _BELOW
_LIMIT = 2**32
_BATCH = 1 << 17
_SLACK = 256
"""The largest relative error of rounding a 32-bit value to float32."""


def distribution_of(values: NDArray[np.float64], percentiles: Sequence[float]) -> Distribution | None:
    """Return the distribution of the known (not NaN) values; None if there are none."""
    import numpy as np

    known = values[~np.isnan(values)]
    if not len(known):
        return None
    known = np.sort(known)
    found = np.percentile(known, [50, *percentiles])
    return Distribution(
        len(known),
        float(known.mean()),
        float(known.min()),
        float(known.max()),
        float(found[0]),
        dict(zip(percentiles, map(float, found[1:]), strict=True)),
        certified(known, percentiles),
    )


class ValueTally:
    """The number of values of one key in each bucket; values outside all buckets are kept in `odd`."""

    def __init__(self) -> None:
        import numpy as np

        self.counts = np.zeros(_BUCKETS, np.int64)
        self.total = 0
        self.odd: list[Any] = []
        self.minimum: int | None = None
        self.maximum: int | None = None

    def add(self, batch: Any) -> None:
        """Count a batch of 32-bit values, or keep a batch of others."""
        import numpy as np

        if not len(batch):
            return
        if batch.dtype == np.uint32:
            found = np.bincount(_buckets(batch))
            self.counts[: len(found)] += found
        else:
            self.odd.append(batch)
        self._reach(int(batch.sum(dtype=np.int64)), int(batch.min()), int(batch.max()))

    def take(self, other: ValueTally) -> None:
        """Add the counts of another tally."""
        self.counts += other.counts
        self.odd += other.odd
        if other.minimum is not None and other.maximum is not None:
            self._reach(other.total, other.minimum, other.maximum)

    def _reach(self, total: int, low: int, high: int) -> None:
        self.total += total
        self.minimum = low if self.minimum is None else min(self.minimum, low)
        self.maximum = high if self.maximum is None else max(self.maximum, high)


class GapCounting(Protocol):
    """Counts values by key, in two passes."""

    def coarsely(self) -> dict[int, ValueTally]:
        """Return the number of values in each bucket, and their sum and range."""

    def finely(self, wanted: Wanted) -> Fine:
        """Return the number of values on each nanosecond of the wanted buckets."""


class Counted:
    """Counts the values of a stream, which is read once for each pass."""

    def __init__(self, stream: ValueStream) -> None:
        self._stream = stream

    def coarsely(self) -> dict[int, ValueTally]:
        """Return the number of values in each bucket, and their sum and range."""
        tallies: dict[int, ValueTally] = {}
        for key, batch in _batches(self._stream()):
            tallies.setdefault(key, ValueTally()).add(batch)
        return tallies

    def finely(self, wanted: Wanted) -> Fine:
        """Return the number of values on each nanosecond of the wanted buckets."""
        import numpy as np

        matters = {key: np.zeros(_BUCKETS, np.bool_) for key in wanted}
        fine: dict[int, dict[int, Any]] = {}
        for key, buckets in wanted.items():
            matters[key][[*buckets]] = True
            fine[key] = {bucket: np.zeros(_width(bucket), np.int64) for bucket in buckets}
        for key, batch in _batches(self._stream()):
            if key not in wanted or batch.dtype != np.uint32:
                continue
            buckets = _buckets(batch)
            chosen = np.flatnonzero(matters[key].take(buckets, mode="clip"))
            values, buckets = batch[chosen], buckets[chosen]
            for bucket, counts in fine[key].items():
                inside = values[buckets == bucket]
                if len(inside):
                    found = np.bincount(inside - np.uint32(_low(bucket)))
                    counts[: len(found)] += found
        return fine


def pooled(
    counting: GapCounting, pools: Mapping[str, frozenset[int]], percentiles: Sequence[float]
) -> dict[str, Distribution | None]:
    """Return the distribution, in milliseconds, of each pool: of the values under any of its keys."""
    tallies = counting.coarsely()
    percents = [50.0, *percentiles]
    found = {
        name: _Pool({key: tallies[key] for key in keys if key in tallies}, percents)
        for name, keys in pools.items()
    }
    wanted: dict[int, set[int]] = {}
    for pool in found.values():
        for key in pool.tallies:
            wanted.setdefault(key, set()).update(pool.wanted)
    fine = counting.finely(wanted) if any(wanted.values()) else {}
    return {name: pool.distribution(fine) for name, pool in found.items()}


def _batches(stream: Iterable[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
    """Join the values of a key to batches that are large enough for numpy."""
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
    """Return the values that fit into 32 bits, and the others."""
    import numpy as np

    if values.dtype == np.uint32 or not len(values) or (values.min() >= 0 and values.max() < _LIMIT):
        return values.astype(np.uint32, copy=False), values[:0]
    fits = (values >= 0) & (values < _LIMIT)
    return values[fits].astype(np.uint32), values[~fits].astype(np.int64)


def _buckets(batch: Any) -> Any:
    """Return the bucket of each value; it grows with the value."""
    import numpy as np

    buckets = batch.astype(np.float32).view(np.int32)
    buckets >>= _SHIFT
    buckets -= _BELOW
    return np.maximum(buckets, 0, out=buckets)


class _Pool:
    """Several tallies together, and the buckets that contain the order statistics of each percentile."""

    def __init__(self, tallies: Mapping[int, ValueTally], percents: Sequence[float]) -> None:
        import numpy as np

        self.tallies = tallies
        self._percents = percents
        odd = [np.zeros(0, np.int64), *(odd for tally in tallies.values() for odd in tally.odd)]
        kept = np.sort(np.concatenate(odd))
        self._below, self._above = kept[kept < 0], kept[kept >= 0]
        counts = np.zeros(_BUCKETS, np.int64)
        for tally in tallies.values():
            counts += tally.counts
        self._sums = counts.cumsum()
        self._n = len(kept) + int(self._sums[-1])
        ranks = {rank for percent in percents for rank in self._ranks(percent)} if self._n else set()
        self.wanted = {bucket for rank in ranks if (bucket := self._bucket(rank)) is not None}

    def distribution(self, fine: Fine) -> Distribution | None:
        """Return the distribution in milliseconds."""
        if not self._n:
            return None
        tallies = self.tallies.values()
        exact = {bucket: sum(fine[key][bucket] for key in self.tallies) for bucket in self.wanted}
        median, *rest = [self._percentile(percent, exact) for percent in self._percents]
        return Distribution(
            self._n,
            sum(tally.total for tally in tallies) / self._n / 1e6,
            min(low for t in tallies if (low := t.minimum) is not None) / 1e6,
            max(high for t in tallies if (high := t.maximum) is not None) / 1e6,
            median,
            dict(zip(self._percents[1:], rest, strict=True)),
        )

    def _percentile(self, percent: float, exact: Mapping[int, Any]) -> float:
        place = percent / 100 * (self._n - 1)
        low, high = (self._ranked(rank, exact) for rank in self._ranks(percent))
        share = place - floor(place)
        # Interpolate from the nearer end, as numpy does.
        value = low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share)
        return value / 1e6

    def _ranks(self, percent: float) -> tuple[int, int]:
        """Return the ranks in sorted order between which a percentile lies."""
        place = floor(percent / 100 * (self._n - 1))
        return place, min(place + 1, self._n - 1)

    def _bucket(self, rank: int) -> int | None:
        """Return the bucket of the value with a rank; None if it is in no bucket."""
        import numpy as np

        inner = rank - len(self._below)
        if 0 <= inner < self._sums[-1]:
            return int(np.searchsorted(self._sums, inner, side="right"))
        return None

    def _ranked(self, rank: int, exact: Mapping[int, Any]) -> int:
        """Return the value with a rank."""
        import numpy as np

        inner = rank - len(self._below)
        bucket = self._bucket(rank)
        if bucket is None:
            return int(self._below[rank]) if inner < 0 else int(self._above[inner - self._sums[-1]])
        before = int(self._sums[bucket - 1]) if bucket else 0
        return _low(bucket) + int(np.searchsorted(exact[bucket].cumsum(), inner - before, side="right"))


def _low(bucket: int) -> int:
    """Return the value from which the values of a bucket are counted to the nanosecond."""
    return max(0, _edge(bucket) - _SLACK)


def _width(bucket: int) -> int:
    return _edge(bucket + 1) + _SLACK - _low(bucket)


def _edge(bucket: int) -> int:
    """Return the lower bound of a bucket."""
    import numpy as np

    if bucket <= 0:
        return 0
    bits = np.array([min(bucket + _BELOW, 255 << (23 - _SHIFT)) << _SHIFT], np.int32)
    return int(bits.view(np.float32)[0])
