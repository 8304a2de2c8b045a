"""Detect whether the speed of a service changed: a test of the rates of replies and of tokens.

Requests are taken in the order of sending. Two curves run from 0 to 1: the share of the time spent on the
requests so far, and the share of the work done (replies, or output tokens). At a constant speed both rise
together. If the service is slower or faster for a while, they differ by the share of the work that is
misplaced. The distance between the highest and the lowest difference of the two (Kuiper's statistic) detects
a slow start, a stall in the middle, a step and a slow drift alike.

Random lengths make the curves differ too, the more so the heavier their tails are. A permutation test decides
whether that explains the difference: at a constant speed, any order of the same requests is equally likely.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aisb_engine._performance.columns import Floats

MISPLACED = 0.06
"""The share of misplaced work above which a window is not steady."""
HALVES = 0.12
"""The relative difference allowed between the speeds of the two halves of a window."""
CHANCE = 0.001
"""A difference is significant if at most this share of the shuffled orders has one as large."""
SHUFFLES = 1000
EVEN = 0.1
"""The spread of the time per work, by quartiles, up to which requests count as equally fast."""
STALLED = 2.0
"""A request that takes more than this many times the median, also per work, stalled."""
FEW_STALLS = (6, 0.05)
"""The number, and the share, of requests up to which slower ones are stalls. More of them are a kind of
request, such as those with long prompts; the shuffled orders test whether they are spread over the run."""
MAX_POINTS = 500
"""Longer series are summed to this number of points before they are shuffled."""


@dataclass(frozen=True, slots=True)
class Work:
    """The work done for each request, in the order of sending, and the nanoseconds that it took."""

    what: str
    time: Floats
    done: Floats


@dataclass(frozen=True, slots=True)
class DriftChange:
    """A change of speed: `what` per second of a request's time, before and after a moment."""

    what: str
    before: float
    after: float

    def __str__(self) -> str:
        return f"the speed of a request changes from {self.before:.4g} to {self.after:.4g} {self.what}/s"


def find_change(work: Work, *, misplaced: float = MISPLACED, halves: float = HALVES) -> DriftChange | None:
    """Return how the speed of a service changed, or None if it was constant."""
    import numpy as np

    if len(work.time) < 2 or work.time.sum() <= 0 or not work.done.sum() > 0:
        return None
    time, done = _summed(work.time), _summed(work.done)
    distances = _distances(time, done)
    size, half = _range(distances), len(time) // 2
    # Two halves whose speeds differ by a share d move the curves apart by d/4 in the middle.
    changes, drifts = size > misplaced, abs(distances[half]) > halves / 4
    if not (changes or drifts):
        return None
    draw = np.random.default_rng(0)  # a fixed seed: the same log always has the same verdict
    orders = draw.permuted(np.tile(np.arange(len(time)), (SHUFFLES, 1)), axis=1)
    shuffled = _distances(time[orders], done[orders])
    if changes and _beyond(size, _range(shuffled)):
        first, last = sorted((int(distances.argmax()), int(distances.argmin())))
    elif drifts and _beyond(abs(distances[half]), np.abs(shuffled[:, half])):
        first, last = 0, half
    else:
        return None
    inside = _speed(time[first:last], done[first:last])
    rest = _speed(np.delete(time, slice(first, last)), np.delete(done, slice(first, last)))
    return DriftChange(work.what, *((inside, rest) if first == 0 else (rest, inside)))


def is_even(time: Floats, done: Floats) -> bool:
    """Return whether most requests take nearly the same time for the same work, by quartiles."""
    import numpy as np

    low, median, high = np.percentile(time / done, [25, 50, 75])
    return bool(high - low <= EVEN * median)


def find_stalls(time: Floats, done: Floats) -> str:
    """Return a reason if a few requests stalled, and took too much of the time; otherwise an empty text.

    If nearly all requests are equally fast, chance does not explain a much slower one, even if there are too
    few for the shuffled orders to show it, as with one or two clients.
    """
    import numpy as np

    if len(time) < 2 or not (done > 0).all() or not is_even(time, done):
        return ""
    each = time / done
    stalled = (each > STALLED * np.median(each)) & (time > STALLED * np.median(time))
    lost = float((time - np.median(each) * done)[stalled].sum() / time.sum())
    number, share = FEW_STALLS
    if lost <= MISPLACED or stalled.sum() > max(number, share * len(time)):
        return ""
    return f"{stalled.sum()} of {len(time)} requests stalled, which took {100 * lost:.0f} % of the time"


def _distances(time: Floats, done: Floats) -> Floats:
    """Return the height of the curve of work above that of time, before and after each request."""
    import numpy as np

    curve = np.cumsum(done, axis=-1) / done.sum(axis=-1, keepdims=True)
    curve -= np.cumsum(time, axis=-1) / time.sum(axis=-1, keepdims=True)
    distances: Floats = np.concatenate([np.zeros((*curve.shape[:-1], 1)), curve], axis=-1)
    return distances


def _range(distances: Floats) -> Floats:
    sizes: Floats = distances.max(axis=-1) - distances.min(axis=-1)
    return sizes


def _beyond(value: Floats, by_chance: Floats) -> bool:
    return bool((by_chance >= value).sum() <= CHANCE * len(by_chance))


def _speed(time: Floats, done: Floats) -> float:
    return float(1e9 * done.sum() / time.sum()) if time.sum() > 0 else 0.0


def _summed(values: Floats) -> Floats:
    import numpy as np

    if len(values) <= MAX_POINTS:
        return values
    edges = np.linspace(0, len(values), MAX_POINTS + 1).astype(int)[:-1]
    summed: Floats = np.add.reduceat(values, edges)
    return summed
