"""When a run was steady: how many requests were in flight over time, and the window in which that held.

The window comes from the events alone, not from a number that was wanted and once reached:

1. Where more than half of the time the peak is in flight, or 5 % less, the level is the peak (a closed loop).
   Otherwise (an open loop) it is the median over the parts of the run in which half of the most is in flight.
2. The run is cut into 200 equal parts; in an open loop, whose number random arrivals move, into fewer, each
   at least four median requests long. A part holds the level when its average is within 5 % of it, or half a
   request; in an open loop within 10 %, or three standard deviations of what Poisson arrivals of that level
   show in a part of its length.
3. The longest stretch of parts that hold is the window; one part in ten inside it may be off. Its ends are
   then moved to the moments at which the level was reached and left. In a closed loop it begins when each
   client has had one reply: all clients begin at once, and their first wave is not the load that follows. In
   an open loop it begins no earlier than a P90 of E2EL after the first request was sent, and when those have
   ended that were sent before the first reply; it ends with the last one sent.
4. It must hold four waves (ends ÷ level), ten requests and two median requests. In an open loop the average
   number in flight must be known to 15 % (by averages over parts of two E2ELs or more, ten such E2ELs in
   all), unless the number hardly moves.
5. It must not drift: the number in flight may not differ by more than 10 % (in an open loop: or three such
   deviations) between its first and its last third, nor the median E2EL by more than 10 % between its halves,
   unless that can be chance (Mann and Whitney's z up to 4); and the speed of the service, in replies and in
   tokens, must hold (drift.py). In an open loop, many requests outside of the window may not take another
   time than those in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

from aisb import Window
from aisb_engine._performance.drift import (
    MISPLACED,
    DriftChange,
    Work,
    find_change,
    find_stalls,
    is_even,
)

if TYPE_CHECKING:
    from aisb_engine._performance.columns import Floats

PARTS = 200
DRIFT = 0.10
MIN_REQUESTS = 10
WAVES = 4
"""The minimum number of waves (ends ÷ level) in a window."""
OPEN_WAVES = 10
"""In an open loop one wave changes the number in flight, and several are needed to know its average."""
KNOWN_TO = 0.15
"""The maximum standard error of the average number in flight of an open loop, as a share of it."""
HARDLY = 0.25
"""A number in flight that stays this close to its average is steady, however short the window is."""
BEFORE, AFTER = 0.25, 0.1
"""The shares of the requests of an open loop that may take another time before its window, and after it."""
OPEN_MISPLACED = 3 * MISPLACED
"""In an open loop replies queue at random, so consecutive times are correlated."""


@dataclass(frozen=True, slots=True)
class InFlight:
    """The number of requests in flight over time: `levels[i]` from `times[i]` to `times[i + 1]`."""

    times: Floats
    levels: Any

    @property
    def peak(self) -> int:
        """The maximum number in flight."""
        return int(self.levels.max()) if len(self.levels) else 0

    def share_at(self, level: float) -> float:
        """Return the share of the time with at least this number in flight."""
        import numpy as np

        lengths = np.diff(self.times)
        return float(lengths[self.levels[:-1] >= level].sum() / lengths.sum())

    def mean(self, start: float, end: float) -> float | None:
        """Return the average number in an interval."""
        import numpy as np

        if end <= start or not len(self.times):
            return None
        completed = self._completed(np.array([start, end]))
        return float((completed[1] - completed[0]) / (end - start))

    def over(self, edges: Floats) -> Floats:
        """Return the average number between each two consecutive edges."""
        import numpy as np

        means: Floats = np.diff(self._completed(edges)) / np.diff(edges)
        return means

    def _completed(self, at: Floats) -> Floats:
        """Return the request-nanoseconds that have passed at each time."""
        import numpy as np

        passed = np.concatenate([[0.0], np.cumsum(np.diff(self.times) * self.levels[:-1])])
        completed: Floats = np.interp(at, self.times, passed)
        return completed


def in_flight(sent: Floats, end: Floats) -> InFlight:
    """Sweep over all requests: +1 when one is sent, −1 when it ends; ends come first at the same time."""
    import numpy as np

    known = ~(np.isnan(sent) | np.isnan(end))
    times = np.concatenate([end[known], sent[known]])
    steps = np.repeat([-1, 1], known.sum())
    order = np.lexsort((steps, times))
    times, steps = times[order], steps[order]
    last = np.append(times[1:] != times[:-1], True)[: len(times)]
    levels = np.cumsum(steps)
    # A request that ends at the time it was sent would make the number negative for no time at all.
    return InFlight(times[last], np.maximum(levels[last], 0))


@dataclass(frozen=True, slots=True)
class _Run:
    """The requests of a run: stamps, milliseconds, output tokens; NaN is unknown.

    `closed` tells that a peak held for more than half of the time; `typical` is the median E2EL in ns.
    """

    sent: Floats
    end: Floats
    e2el: Floats
    tokens: Floats | None
    flight: InFlight
    closed: bool
    typical: float


def steady(
    sent: Floats, end: Floats, e2el: Floats, tokens: Floats | None = None
) -> tuple[Window | None, str]:
    """Return the window in which concurrency was steady, or None with the reason.

    `sent` and `end` are stamps of all requests, `e2el` their milliseconds and `tokens` their output tokens,
    if known.
    """
    import numpy as np

    flight = in_flight(sent, end)
    if len(flight.times) < 2 or np.isnan(e2el).all():
        return None, "nothing was answered"
    if flight.times[-1] <= flight.times[0]:
        return None, "the run took no time"
    closed = flight.share_at(0.95 * flight.peak) > 0.5
    run = _Run(sent, end, e2el, tokens, flight, closed, float(np.nanmedian(e2el)) * 1e6)
    window = _plateau(run)
    if window is None:
        return None, "the number in flight never held a level"
    reason = next(_objections(run, window), "")
    return (None, reason) if reason else (window, "")


def _plateau(run: _Run) -> Window | None:
    """Return the longest window in which the number in flight held a level; it may be empty."""
    import numpy as np

    flight, typical = run.flight, run.typical
    begun, over = float(flight.times[0]), float(flight.times[-1])
    parts = PARTS if run.closed else int(np.clip((over - begun) / max(4 * typical, 1), 10, PARTS))
    edges = np.linspace(begun, over, parts + 1)
    means = flight.over(edges)
    if run.closed:
        level = float(flight.peak)
        band = max(0.05 * level, 0.5)
    else:
        # Parts with little load, at the start and the end of the run, would lower the median.
        level = float(np.median(means[means >= means.max() / 2]))
        # The average of an M/G/∞ process over a time T varies by at most level · min(1, 2·E2EL/T).
        noise = 3 * np.sqrt(level * min(1.0, 2 * typical / (edges[1] - edges[0])))
        band = min(max(0.1 * level, noise), level)
    first, last = _longest(np.abs(means - level) <= band)
    if first > last:
        return None
    lowest = level if run.closed else level - band
    window = _trimmed(flight, edges[first], edges[last + 1], lowest, level)
    if run.closed:
        return Window(max(window.start, first_wave_end(run.sent, run.end)), window.end, level)
    # Before as many requests end as begin, and after the last one began, the load does not set the number.
    slow = float(np.nanpercentile(run.e2el, 90)) * 1e6
    start = max(window.start, begun + slow, _start_up_end(run.sent, run.end))
    end = min(window.end, float(np.nanmax(run.sent)))
    # With few requests in flight, the busiest parts of the run are not typical.
    return Window(start, end, flight.mean(start, end) or level)


def _objections(run: _Run, window: Window) -> Iterator[str]:
    """Yield reasons why a window is not the steady stage."""
    import numpy as np

    length, level = window.end - window.start, window.level
    if length <= 0 and not run.closed:
        yield f"the run was over before {level:.4g} in flight, its level, could hold"
    yield from _too_short(window, run.sent, run.end)
    if length < 2 * run.typical:
        yield (
            f"{level:.4g} in flight held for {window.seconds:.4g} s only, "
            f"less than two median requests ({2 * run.typical / 1e9:.4g} s)"
        )
    # The difference of the averages of two thirds that is still random: three standard deviations.
    chance = 0.0 if run.closed else 3 * np.sqrt(2 * level * min(1.0, 6 * run.typical / length))
    thirds = run.flight.over(np.linspace(window.start, window.end, 4))
    if abs(thirds[2] - thirds[0]) > max(DRIFT * level, chance):
        yield f"the number in flight drifts from {thirds[0]:.4g} to {thirds[2]:.4g}"
    yield from _slower(window, run.sent, run.e2el)
    if not run.closed:
        yield from _other_speed(window, run)
        yield from _swings(window, run)
    if change := _changes(window, run):
        yield str(change)
    elif run.closed and (reason := _stalls(window, run)):
        yield reason


def first_wave_end(sent: Floats, end: Floats) -> float:
    """Return the time at which each client of a closed loop has had one reply.

    A request that raises the number in flight above all earlier values is the first one of a client.
    """
    import numpy as np

    known = ~(np.isnan(sent) | np.isnan(end))
    sent, end = sent[known], end[known]
    times = np.concatenate([end, sent])
    steps = np.repeat([-1, 1], len(sent))
    order = np.lexsort((steps, times))
    levels = np.cumsum(steps[order])
    starts = order >= len(sent)  # `times` has the ends first, so higher positions are starts
    highest = np.maximum.accumulate(np.where(starts, levels, 0))
    grows = starts & (highest > np.concatenate([[0], highest[:-1]]))
    return float(end[order[grows] - len(sent)].max())


def _start_up_end(sent: Floats, end: Floats) -> float:
    """Return the time at which all requests of an open loop have ended that were sent before any reply."""
    import numpy as np

    return float(np.nanmax(end[sent <= np.nanmin(end)]))


def _longest(holds: Any) -> tuple[int, int]:
    """Return the first and last part of the longest stretch in which at least nine parts in ten hold."""
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


def _trimmed(flight: InFlight, start: float, end: float, lowest: float, level: float) -> Window:
    """Move the ends of a window to the moments at which its level was reached and left."""
    import numpy as np

    times, holds = flight.times, flight.levels >= lowest
    first, last = (int(np.searchsorted(times, at, side="right")) - 1 for at in (start, end))
    within = first + holds[first : last + 1].nonzero()[0]
    if len(within):
        # A level lasts until the next event, so the one at the start began with an event before it.
        start = times[within[0]]
        end = times[min(within[-1] + 1, len(times) - 1)]
    return Window(float(start), float(end), float(level))


def _too_short(window: Window, sent: Floats, end: Floats) -> Iterator[str]:
    """Yield a reason if a window has too few ends, with the number of prompts that would suffice."""
    inside = int(((end > window.start) & (end <= window.end)).sum()) if window.end > window.start else 0
    waves = inside / window.level if window.level else 0.0
    required = max(ceil(WAVES * window.level), MIN_REQUESTS)
    if inside >= required:
        return
    total = _known(sent)
    # The last wave ends after the window. If the window is short, the first one is missing, too.
    reached = min(inside, total - round(window.level) + 1 - int((end <= window.start).sum()))
    prompts = _rounded(total + required - reached, window.level)
    if waves >= WAVES:
        yield f"only {inside} requests lie in the window; ask for at least {prompts} prompts"
    else:
        yield f"{waves:.2g} waves of {window.level:.4g} in flight; ask for at least {prompts} prompts"


def _known(values: Floats) -> int:
    import numpy as np

    return int((~np.isnan(values)).sum())


def _rounded(prompts: float, level: float) -> int:
    """Return a number of prompts rounded up to whole waves."""
    wave = max(1, round(level))
    return ceil(prompts / wave) * wave


def _slower(window: Window, sent: Floats, e2el: Floats) -> Iterator[str]:
    """Yield a reason if the median E2EL drifts from the first half of the requests to the second."""
    import numpy as np

    began = (sent >= window.start) & (sent < window.end) & ~np.isnan(e2el)
    latencies = e2el[began][np.argsort(sent[began], kind="stable")]
    before, after = latencies[: len(latencies) // 2], latencies[len(latencies) // 2 :]
    if not len(before):
        return
    medians = float(np.median(before)), float(np.median(after))
    if abs(medians[1] - medians[0]) > DRIFT * min(medians) and abs(_rank_z(before, after)) > 4:
        yield f"the median E2EL drifts from {medians[0]:.4g} to {medians[1]:.4g} ms"


def _other_speed(window: Window, run: _Run) -> Iterator[str]:
    """Yield a reason if many requests of an open loop outside of a window took another time than those in it.

    The number in flight then holds one level in a part of the run, and another in the rest.
    """
    import numpy as np

    known = ~(np.isnan(run.sent) | np.isnan(run.e2el))
    sent, e2el = run.sent[known], run.e2el[known]
    inside = e2el[(sent >= window.start) & (sent < window.end)]
    started = _start_up_end(run.sent, run.end)
    groups = {
        "before": (e2el[(sent > started) & (sent < window.start)], BEFORE),
        "after": (e2el[sent > window.end], AFTER),
    }
    for place, (outside, limit) in groups.items():
        if len(outside) <= limit * len(sent) or not len(inside):
            continue
        median, other = float(np.median(inside)), float(np.median(outside))
        if abs(other - median) > HARDLY * min(median, other) and abs(_rank_z(inside, outside)) > 4:
            yield (
                f"the median E2EL is {median:.4g} ms while the number in flight holds, "
                f"but {other:.4g} ms {place} that"
            )


def _swings(window: Window, run: _Run) -> Iterator[str]:
    """Yield a reason if the number in flight of an open loop swings so much that its average is uncertain."""
    import numpy as np

    times, level = run.flight.times, window.level
    levels = run.flight.levels[(times >= window.start) & (times <= window.end)]
    low, high = int(levels.min()), int(levels.max())
    if max(high - level, level - low) <= max(1.0, HARDLY * level):
        return
    inside = (run.end > window.start) & (run.end <= window.end)
    waves = inside.sum() / level
    typical = float((run.end - run.sent)[inside].mean())
    # Averages over parts of two E2ELs are nearly independent, so their spread gives the standard error.
    parts = int(np.clip((window.end - window.start) / (2 * typical), 2, 20))
    means = run.flight.over(np.linspace(window.start, window.end, parts + 1))
    error = float(means.std(ddof=1) / np.sqrt(parts)) / level
    more = max(OPEN_WAVES / waves, (error / KNOWN_TO) ** 2)
    if more > 1:
        yield (
            f"{waves:.2g} waves, in which the number in flight swings from {low} to {high}; "
            f"ask for at least {_rounded(more * _known(run.sent), level)} prompts"
        )


def _changes(window: Window, run: _Run) -> DriftChange | None:
    """Return the first change of speed in a window: in tokens if they determine the time, and in replies.

    Only the part of the tokens that lies in the window counts, since a service gets faster once fewer
    requests are in flight. Replies count as a whole: those that are in flight at any moment are longer than
    most, and would look like a slow stretch. A slow wave that is in flight when the window begins is detected
    by another test, over the parts of all requests. It allows for that, unless replies are equally long.
    """
    import numpy as np

    sent, end = run.sent, run.end
    touched = (end > window.start) & (sent < window.end) & ~np.isnan(run.e2el) & (end > sent)
    rows = touched.nonzero()[0]
    rows = rows[np.argsort(sent[rows], kind="stable")]
    durations, began = end[rows] - sent[rows], sent[rows] >= window.start
    overlaps = np.minimum(end[rows], window.end) - np.maximum(sent[rows], window.start)
    parts = Work("replies", overlaps, overlaps / durations)
    works = [Work("replies", durations[began], np.ones(int(began.sum())))]
    if run.tokens is not None and _tells_time(run.tokens[rows], durations):
        parts = Work("tokens", overlaps, run.tokens[rows] * overlaps / durations)
        works.insert(0, Work("tokens", parts.time[began], parts.done[began]))
    misplaced = MISPLACED if run.closed else OPEN_MISPLACED
    for work in works:
        if change := find_change(work, misplaced=misplaced):
            return change
    allowed = misplaced if is_even(parts.time, parts.done) else 2 * misplaced
    return find_change(parts, misplaced=allowed, halves=2)


def _stalls(window: Window, run: _Run) -> str:
    """Return a reason if requests of a closed loop stalled; only tokens tell a stall from a long reply."""
    import numpy as np

    began = (run.sent >= window.start) & (run.sent < window.end) & ~np.isnan(run.e2el) & (run.end > run.sent)
    if run.tokens is None or np.isnan(run.tokens[began]).any():
        return ""
    return find_stalls((run.end - run.sent)[began], run.tokens[began])


def _tells_time(tokens: Floats, time: Floats) -> bool:
    """Return whether the time per token varies less than the time per reply; otherwise tokens do not matter.

    It compares quartiles, which a stall of a few requests does not change.
    """
    import numpy as np

    if not len(tokens) or np.isnan(tokens).any() or not (tokens > 0).all():
        return False
    low, median, high = np.percentile([time / tokens, time], [25, 50, 75], axis=1)
    spread = (high - low) / median
    return bool(spread[0] < spread[1])


def _rank_z(before: Floats, after: Floats) -> float:
    """Return Mann and Whitney's z, the difference of the ranks of two halves. Equal values share a rank."""
    import numpy as np

    n, m = len(before), len(after)
    _, inverse, counts = np.unique(np.concatenate([before, after]), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    u = ranks[n:].sum() - m * (m + 1) / 2
    ties = float((counts.astype(float) ** 3 - counts).sum())  # equal values reduce the variance
    total = n + m
    variance = n * m / 12 * ((total + 1) - ties / (total * (total - 1)))
    return float((u - n * m / 2) / np.sqrt(variance)) if variance > 0 else 0.0
