"""When a run was steady: how many requests were in flight over time, and the window in which that held.

The window comes from the events alone, not from a number that was wanted and once reached:

1. Where more than half of the time the peak is in flight, or 5 % less, the level is the peak (a closed loop).
   Otherwise (an open loop) it is the median over the parts of the run in which half of the most is in flight.
2. The run is cut into 200 equal parts; in an open loop, whose number random arrivals move, into fewer, each
   at least four median requests long. A part holds the level when its average is within 5 % of it, or half a
   request; in an open loop within 10 %, or three standard deviations of what Poisson arrivals of that level
   show in a part of its length.
3. The longest stretch of parts that hold is the window; one part in ten inside it may be off. Its ends are
   then moved to the moments at which the level was reached and left; in an open loop it begins no earlier
   than a P90 of E2EL after the first request was sent, and ends with the last one sent.
4. It must be as long as two median requests, hold ten of them, and not drift: the number in flight may not
   differ by more than 10 % (in an open loop: or three such deviations) between its first and its last third,
   nor the median E2EL by more than 10 % between its halves, unless that can be chance (Mann and Whitney's z
   up to 4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aisb import Window

if TYPE_CHECKING:
    from aisb_engine._performance.columns import Floats

PARTS = 200
DRIFT = 0.10
FEWEST = 10


@dataclass(frozen=True, slots=True)
class InFlight:
    """How many requests were in flight: `levels[i]` from `times[i]` to `times[i + 1]`."""

    times: Floats
    levels: Any

    @property
    def peak(self) -> int:
        """The most that were ever in flight at once."""
        return int(self.levels.max()) if len(self.levels) else 0

    def share_at(self, level: float) -> float:
        """Return the share of the time in which at least this many were in flight."""
        import numpy as np

        lengths = np.diff(self.times)
        return float(lengths[self.levels[:-1] >= level].sum() / lengths.sum())

    def mean(self, start: float, end: float) -> float | None:
        """Return the average number over a stretch of time."""
        import numpy as np

        if end <= start or not len(self.times):
            return None
        gone = self._gone(np.array([start, end]))
        return float((gone[1] - gone[0]) / (end - start))

    def over(self, edges: Floats) -> Floats:
        """Return the average number between each two consecutive edges."""
        import numpy as np

        means: Floats = np.diff(self._gone(edges)) / np.diff(edges)
        return means

    def _gone(self, at: Floats) -> Floats:
        """Return request-nanoseconds passed at each time."""
        import numpy as np

        passed = np.concatenate([[0.0], np.cumsum(np.diff(self.times) * self.levels[:-1])])
        gone: Floats = np.interp(at, self.times, passed)
        return gone


def in_flight(sent: Floats, end: Floats) -> InFlight:
    """Sweep over all requests: +1 where one was sent, −1 where it ended; ends come first at the same time."""
    import numpy as np

    known = ~(np.isnan(sent) | np.isnan(end))
    times = np.concatenate([end[known], sent[known]])
    steps = np.repeat([-1, 1], known.sum())
    order = np.lexsort((steps, times))
    times, steps = times[order], steps[order]
    last = np.append(times[1:] != times[:-1], True)[: len(times)]
    levels = np.cumsum(steps)
    # A request that ends in the moment it was sent would make the number negative for no time at all.
    return InFlight(times[last], np.maximum(levels[last], 0))


def steady(sent: Floats, end: Floats, e2el: Floats) -> tuple[Window | None, str]:
    """Return the window in which concurrency held its plateau, or None with the reason.

    `sent` and `end` are stamps of all requests, `e2el` their milliseconds where known.
    """
    import numpy as np

    flight = in_flight(sent, end)
    if len(flight.times) < 2 or np.isnan(e2el).all():
        return None, "nothing was answered"
    begun, over = float(flight.times[0]), float(flight.times[-1])
    if over <= begun:
        return None, "the run took no time"
    typical = float(np.nanmedian(e2el)) * 1e6
    closed = flight.share_at(0.95 * flight.peak) > 0.5
    parts = PARTS if closed else int(np.clip((over - begun) / max(4 * typical, 1), 10, PARTS))
    edges = np.linspace(begun, over, parts + 1)
    means = flight.over(edges)
    if closed:
        level = float(flight.peak)
        band = max(0.05 * level, 0.5)
    else:
        level = float(np.median(means[means >= means.max() / 2]))
        # The average of an M/G/∞ process over a time T varies by at most level · min(1, 2·E2EL/T).
        noise = 3 * np.sqrt(level * min(1.0, 2 * typical / (edges[1] - edges[0])))
        band = min(max(0.1 * level, noise), level)
    first, last = _longest(np.abs(means - level) <= band)
    if first > last:
        return None, "the number in flight never held a level"
    window = _trimmed(flight, edges[first], edges[last + 1], level if closed else level - band, level)
    if not closed:
        # Until as many end as begin, and once none begins any more, the number is not the load's.
        slow = float(np.nanpercentile(e2el, 90)) * 1e6
        window = Window(max(window.start, begun + slow), min(window.end, float(np.nanmax(sent))), level)
    if window.end <= window.start:
        return None, f"the run was over before {window.level:.4g} in flight, its level, could hold"
    if window.end - window.start < 2 * typical:
        return None, (
            f"{window.level:.4g} in flight held for {window.seconds:.4g} s only, "
            f"less than two median requests ({2 * typical / 1e9:.4g} s)"
        )
    if not closed:  # where few are in flight, the busiest parts of the run say little about their number
        level = flight.mean(window.start, window.end) or 0.0
        window = Window(window.start, window.end, level)
    # How far the averages of two thirds of such a window may lie apart by chance: three standard deviations.
    chance = 0.0 if closed else 3 * np.sqrt(2 * level * min(1.0, 6 * typical / (window.end - window.start)))
    return _tested(window, flight.over, max(DRIFT * level, chance), sent=sent, end=end, e2el=e2el)


def _longest(holds: Any) -> tuple[int, int]:
    """Return the first and last part of the longest stretch that holds, of which one in ten may not."""
    best = (1, 0)
    places = [int(place) for place in holds.nonzero()[0]]
    for index, start in enumerate(places):
        off = 0
        previous = start
        for place in places[index:]:
            off += place - previous - 1 if place > previous else 0
            if off > 0.1 * (place - start + 1):
                break
            if place - start > best[1] - best[0]:
                best = (start, place)
            previous = place
        if best[1] - best[0] >= len(holds) - 1 - start:
            break
    return best


def _trimmed(flight: InFlight, start: float, end: float, least: float, level: float) -> Window:
    """Move a window's ends to the moments at which its level was reached and left."""
    import numpy as np

    times, holds = flight.times, flight.levels >= least
    first, last = (int(np.searchsorted(times, at, side="right")) - 1 for at in (start, end))
    within = first + holds[first : last + 1].nonzero()[0]
    if len(within):
        # A level lasts until the next event; the one that the window begins in, since an event before it.
        start = times[within[0]]
        end = times[min(within[-1] + 1, len(times) - 1)]
    return Window(float(start), float(end), float(level))


def _tested(
    window: Window,
    over: Callable[[Floats], Floats],
    drift: float,
    *,
    sent: Floats,
    end: Floats,
    e2el: Floats,
) -> tuple[Window | None, str]:
    """Return the window if it holds enough and does not drift, else None with the reason."""
    import numpy as np

    inside = (sent >= window.start) & (end <= window.end) & ~np.isnan(e2el)
    if inside.sum() < FEWEST:
        return None, f"only {inside.sum()} requests lie in the {window.seconds:.4g} s that it held"
    thirds = over(np.linspace(window.start, window.end, 4))
    if abs(thirds[2] - thirds[0]) > drift:
        return None, f"the number in flight drifts from {thirds[0]:.4g} to {thirds[2]:.4g}"
    began = (sent >= window.start) & (sent < window.end) & ~np.isnan(e2el)
    taken = e2el[began][np.argsort(sent[began], kind="stable")]
    before, after = taken[: len(taken) // 2], taken[len(taken) // 2 :]
    medians = float(np.median(before)), float(np.median(after))
    if abs(medians[1] - medians[0]) > DRIFT * min(medians) and abs(_rank_z(before, after)) > 4:
        return None, f"the median E2EL drifts from {medians[0]:.4g} to {medians[1]:.4g} ms"
    return window, ""


def _rank_z(before: Floats, after: Floats) -> float:
    """Return Mann and Whitney's z: how far the ranks of two halves lie apart. Equal values share a rank."""
    import numpy as np

    n, m = len(before), len(after)
    _, inverse, counts = np.unique(np.concatenate([before, after]), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    u = ranks[n:].sum() - m * (m + 1) / 2
    ties = float((counts.astype(float) ** 3 - counts).sum())
    total = n + m
    variance = n * m / 12 * ((total + 1) - ties / (total * (total - 1)))
    return float((u - n * m / 2) / np.sqrt(variance)) if variance > 0 else 0.0
