"""The search for a capacity: a closed-loop ladder, a bracket, then blocks around the capacity.

1. A ladder of 1, 4, 16 … users, until four times the users give less than 1.8 times the throughput. The
   throughput is that of Little's law: users / mean time of the requests that began in the middle of a rung.
   Counting completions would be wrong for users that run in lockstep.
2. Short open-loop points, until a rate that holds and one that breaks are within 13 %. A short point is
   imprecise, so these points only locate the capacity, and are not part of the estimate.
3. Blocks of two segments at rates around the capacity. Each block is a separate run with a warm-up.
4. A sentinel: one rung of the ladder is repeated every eighth of the budget. If the service has changed, the
   measurement starts again.
5. The largest number of users, by bisection. It is not comparable with the rate: users wait for their
   replies, so they never queue as Poisson arrivals do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, exp, log, sqrt

import numpy as np

from aisb import UsageError
from aisb_analysis._capacity.answer import MAX_OVERLOAD, Capacity, DetectableChange, Users
from aisb_analysis._capacity.fitting import Fit, Segment, fit, jackknife, posterior_low, segments_near
from aisb_analysis._capacity.loads import Limit, LoadPoint, MeasuredLoad, Service

LONG_BUDGET = 900.0
"""The budget in seconds from which segments are longer and sentinels more frequent."""
LADDER_SHARE, SEARCH_SHARE, USERS_SHARE = 0.2, 0.45, 0.08
"""Shares of the budget: the end of the ladder, the end of the bracket, and the time for users."""
MIN_GAIN = 1.8
BRACKET_RATIO = 1.13
RATE_STEP = 1.2
OVERLOADED = 0.4
"""A block with at least this share over a limit is far above the capacity."""
OFFSETS = (0.0, -1.0, 1.0, -0.5, 0.5)
"""The offsets of the rates of successive blocks from the estimate, in units of half a logit."""
SENTINELS = 8
"""The number of sentinel measurements in a budget; a change discards the segments before it."""
MIN_SEGMENTS = 7
MIN_BROKEN = 2
BUDGET_IN_REQUESTS = 100
"""A two-sided interval needs a budget of this multiple of the duration of a request."""
CHANGE, CHANGE_ERRORS = 0.05, 4.5
"""The smallest change of throughput, as a share and in standard errors, that counts as a change."""
MAX_THROTTLED = 0.01
MAX_USERS = 4096
MAX_DISTORTED = 3
"""The number of consecutive points distorted by the client after which the search ends."""
CLEAR = 2.3 * sqrt(3)
"""A number of users holds or breaks an objective if its share is this many standard errors from the limit."""


class Search:
    """One search on one service. `say` gets a line for each measured point."""

    def __init__(
        self,
        service: Service,
        limits: Sequence[Limit],
        budget: float,
        *,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._service = service
        self._limits = limits
        self._budget = budget
        self._say = say
        self._spent = 0.0
        self._rungs: list[LoadPoint] = []
        self._blocks: list[LoadPoint] = []
        self._sentinels: list[tuple[float, float]] = []
        self._changed = ""
        self._throttled = False
        self._distorted = 0
        self._e2e = 1.0
        self._knee = 1
        self._saturation = 0.0
        self._centre = 0.0

    def run(self) -> Capacity:
        """Search until the budget is spent.

        Raises:
            UsageError: no request succeeds, or the client cannot generate the load.
        """
        self._climb()
        self._measure_sentinel()
        low, high = self._bracket()
        limiter = self._limited_rate(high) if self._throttled else None
        before = self._spent
        if low is not None and high is not None:
            self._centre = sqrt(low * high)
            self._measure_blocks()
        users = self._count_users()
        return self._answer(low, high, limiter=limiter, before=before, users=users)

    # -- measuring

    def _measure(self, load: MeasuredLoad, what: str) -> LoadPoint:
        """Measure one load; repeat it if the client distorted it."""
        while True:
            point = self._service.measure(load)
            self._spent += point.took
            if not point.distortion:
                self._distorted = 0
                self._say(f"{self._spent:5.0f} s  {what}: {self._summary(point)}")
                return point
            self._distorted += 1
            self._say(f"{self._spent:5.0f} s  {what}: not used, {point.distortion}")
            if self._distorted >= MAX_DISTORTED:
                raise UsageError(
                    f"this machine cannot generate the load of {what}: {point.distortion}\n"
                    "  stop other programs on it, or distribute the load with --launcher"
                )

    def _summary(self, point: LoadPoint) -> str:
        shares = []
        for limit in self._limits:
            over, total = point.count(limit, point.counted())
            shares.append(
                f"{100 * over / total:.1f} % over {limit.name}" if total else f"no request for {limit.name}"
            )
        return ", ".join(shares)

    # -- 1. the ladder

    def _climb(self) -> None:
        users, seconds, best = 1, max(3.0, self._budget / 120), 0.0
        while True:
            point = self._measure(MeasuredLoad(seconds, users=users), _users_text(users))
            if bool(point.failed.all()):
                raise UsageError(
                    f"no request of {_users_text(users)} succeeded, so there is no capacity to measure\n"
                    "  aisb doctor --models NAME --url URL shows what is wrong"
                )
            self._rungs.append(point)
            throughput, time = _throughput(point)
            if float(np.mean(point.throttled)) > MAX_THROTTLED:
                self._throttled = True
                ended = point.began + point.e2e
                late = ~point.failed & (ended > seconds / 2) & (ended <= seconds)
                throughput = float(np.count_nonzero(late)) / (seconds / 2)
            stop = throughput < MIN_GAIN * best or self._throttled or users >= MAX_USERS
            best = max(best, throughput)
            if stop or self._spent > LADDER_SHARE * self._budget:
                break
            users, seconds = users * 4, max(3.0, self._budget / 120, 3.5 * time)
        self._saturation = best
        measured = [(int(point.load.users or 1), *_throughput(point)) for point in self._rungs]
        good = [one for one in measured if one[1] >= 0.85 * best] or measured[-1:]
        if self._throttled:
            good = measured[:1]
        self._knee, _, self._e2e = good[0]

    # -- 4. the sentinel

    def _measure_sentinel(self) -> bool:
        """Measure the knee again; return whether the service has changed since the first measurement."""
        seconds = max(8.0, 3 * self._e2e)
        point = self._measure(
            MeasuredLoad(seconds, users=self._knee), f"sentinel of {_users_text(self._knee)}"
        )
        self._sentinels.append(_log_throughput(point, seconds))
        change = self._sentinels[-1][0] - self._sentinels[0][0]
        if len(self._sentinels) == 1 or abs(change) <= self._detectable_change():
            return False
        self._changed = "degrades" if change < 0 else "improves"
        self._blocks.clear()
        self._centre *= exp(change)
        self._saturation *= exp(change)
        self._sentinels = self._sentinels[-1:]
        return True

    def _detectable_change(self) -> float:
        """Return the smallest change in ln throughput that counts as a change."""
        error = sqrt(float(np.mean([one[1] ** 2 for one in self._sentinels])))
        return max(log(1 + CHANGE), CHANGE_ERRORS * sqrt(2) * error)

    # -- 2. the bracket

    def _bracket(self) -> tuple[float | None, float | None]:
        """Return a rate that held and a rate that broke, close together; None if not found."""
        seconds = max(10.0, 2 * self._e2e)
        held: float | None = None
        broke: float | None = None
        rate = 0.85 * self._saturation
        while self._spent + seconds < SEARCH_SHARE * self._budget:
            point = self._measure(MeasuredLoad(seconds, rate=rate), f"{rate:.3g} requests/s")
            if self._holds(point):
                held = rate
            else:
                broke = rate
            if broke is None and rate > MAX_OVERLOAD * self._saturation:
                break
            if held is not None and broke is not None:
                if held >= broke:  # one of the two results was noise, so the capacity is near both
                    return broke / sqrt(BRACKET_RATIO), held * sqrt(BRACKET_RATIO)
                if broke / held <= BRACKET_RATIO:
                    break
            rate = _next_rate(held, broke, rate)
        return held, broke

    def _holds(self, point: LoadPoint) -> bool:
        counted = point.counted()
        if float(np.mean(point.throttled)) > MAX_THROTTLED:
            self._throttled = True
        if not counted.any():
            return True
        for limit in self._limits:
            over, total = point.count(limit, counted)
            if over > limit.share * total:
                return False
        return True

    def _limited_rate(self, broke: float | None) -> float | None:
        """Return the rate that a rate limiter admits, measured at 1.5 times that rate after its burst."""
        seconds = max(20.0, 2 * self._e2e)
        rate = 1.5 * (broke or self._saturation)
        point = self._measure(
            MeasuredLoad(seconds, rate=rate, warm=seconds / 2), f"{rate:.3g} requests/s against the limiter"
        )
        passed = int(np.count_nonzero(~point.failed & point.counted()))
        return passed / seconds if point.throttled.any() else None

    # -- 3. blocks around the capacity

    def _segment_seconds(self) -> float:
        return max(30.0, 4 * self._e2e) if self._budget >= LONG_BUDGET else max(20.0, 3 * self._e2e)

    def _block_seconds(self) -> float:
        return 2 * self._segment_seconds() + self._warm_seconds()

    def _warm_seconds(self) -> float:
        return max(5.0, 2 * self._e2e)

    def _measure_blocks(self) -> None:
        watched, number = self._spent, 0
        end = (1 - USERS_SHARE) * self._budget
        while self._spent + self._block_seconds() < end:
            if self._spent - watched > self._budget / SENTINELS:
                watched = self._spent
                if (
                    self._measure_sentinel()
                ):  # earlier blocks are discarded; the time for users is used instead
                    number, end = 0, self._budget
                continue
            fitted, _ = self._fit()
            width = min(0.1, max(0.015, 0.5 / fitted.slope))
            rate = exp(fitted.place + width * OFFSETS[number % len(OFFSETS)])
            load = MeasuredLoad(2 * self._segment_seconds(), rate=rate, warm=self._warm_seconds())
            self._blocks.append(self._measure(load, f"{rate:.4g} requests/s"))
            number += 1
            # An idle service breaks later, so the bracket may have been too high.
            if self._overloads(self._blocks[-1]):
                self._centre = min(self._centre, rate / BRACKET_RATIO)
        if self._blocks and self._spent + 8 < end:
            self._measure_sentinel()

    def _overloads(self, point: LoadPoint) -> bool:
        counts = [point.count(limit, point.counted()) for limit in self._limits]
        return any(over > OVERLOADED * total for over, total in counts)

    def _fit(self) -> tuple[Fit, Limit]:
        """Return the fit of the objective that breaks first, and that objective."""
        if not self._blocks:
            return Fit(log(self._centre), 15.0), self._limits[0]
        fits = [(self._fit_of(limit), limit) for limit in self._limits]
        return min(fits, key=lambda one: one[0].place)

    def _fit_of(self, limit: Limit) -> Fit:
        return fit(self._segments(limit), limit.share, self._centre)

    def _segments(self, limit: Limit) -> list[Segment]:
        found = []
        for block, point in enumerate(self._blocks):
            middle = point.load.warm + point.load.seconds / 2
            expected = (point.load.rate or 0.0) * point.load.seconds / 2
            for start, end in ((point.load.warm, middle), (middle, np.inf)):
                over, total = point.count(limit, point.between(start, end))
                if total:
                    found.append(Segment(point.load.rate or 0.0, over, total, expected, block))
        return found

    # -- 5. users

    def _count_users(self) -> Users | None:
        """Bisect for the largest number of users under which all objectives hold."""
        points = {int(point.load.users or 1): [point] for point in self._rungs if not self._throttled}
        if not points:
            return None
        seconds = max(15.0, 2 * self._e2e)
        while True:
            low = max(
                (users for users, found in points.items() if self._verdict(found) == "holds"), default=0
            )
            broken = [
                users for users, found in points.items() if users > low and self._verdict(found) == "breaks"
            ]
            high = min(broken, default=None)
            if self._spent + seconds > self._budget or (high is not None and high - low <= 1):
                break
            users = (max(1, low) * 2) if high is None else (low + high) // 2 or 1
            if users > MAX_USERS:
                break
            if users in points and len(points[users]) > 3:
                break
            points.setdefault(users, []).append(
                self._measure(MeasuredLoad(seconds, users=users), _users_text(users))
            )
        throughput = _throughput(points[low][-1])[0] if low in points else 0.0
        return Users(low, None if high is None else high - 1, throughput)

    def _verdict(self, points: Sequence[LoadPoint]) -> str:
        """Return whether a number of users holds all objectives, breaks one, or neither is clear."""
        clear = True
        for limit in self._limits:
            counts = [point.count(limit, point.between(0.1 * point.load.seconds, np.inf)) for point in points]
            over, total = (sum(column) for column in zip(*counts, strict=True))
            if not total:
                return "unclear"
            error = CLEAR * sqrt(limit.share * (1 - limit.share) / total)
            if over / total > limit.share + error:
                return "breaks"
            clear = clear and over / total <= max(limit.share - error, 0.0)
        return "holds" if clear else "unclear"

    # -- the result

    def _answer(
        self,
        held: float | None,
        broke: float | None,
        *,
        limiter: float | None,
        before: float,
        users: Users | None,
    ) -> Capacity:
        fitted, first = self._fit() if held is not None and broke is not None else (None, self._limits[0])
        lows, highs, breaking, segments = [], [], 0, 0
        for limit in self._limits:
            found = self._segments(limit)
            if fitted is None or len(found) < MIN_SEGMENTS:
                continue
            own = self._fit_of(limit)
            close = segments_near(found, own.rate)
            half = jackknife(close, limit.share, self._centre)
            posterior = posterior_low(close, limit.share, own.rate)
            lows.append(posterior if half is None else min(own.rate * exp(-half), posterior))
            broken = sum(one.over > limit.share * one.total for one in found)
            if limit == first:
                breaking, segments = broken, len(found)
            if half is not None and broken >= MIN_BROKEN:
                highs.append(own.rate * exp(half))
        two_sided = self._budget >= BUDGET_IN_REQUESTS * self._e2e
        measured = fitted is not None and bool(lows)
        return Capacity(
            rate=fitted.rate if fitted is not None and measured else None,
            low=min(lows, default=None),
            high=min(highs, default=None) if two_sided else None,
            first=first.name if measured else self._first_broken(),
            in_flight=self._in_flight(fitted.rate) if fitted is not None and measured else None,
            saturation=self._saturation,
            knee=self._knee,
            users=users,
            changed=self._changed,
            visible=DetectableChange(exp(self._detectable_change()) - 1, len(self._sentinels)),
            limiter=limiter,
            segments=segments,
            broken=breaking,
            held=held,
            broke=broke,
            two_sided=two_sided,
            needed_minutes=self._needed(before),
            seconds=self._spent,
        )

    def _first_broken(self) -> str:
        """Return the objective that the fewest users break, by the largest relative excess."""
        for point in self._rungs:
            counts = [(*point.count(limit, point.counted()), limit) for limit in self._limits]
            over = [(broken / total / limit.share, limit.name) for broken, total, limit in counts if total]
            if over and max(over)[0] > 1:
                return max(over)[1]
        return self._limits[0].name

    def _in_flight(self, rate: float) -> float:
        """Return the average number of requests in flight at a rate, by Little's law."""
        close = [
            point for point in self._blocks if abs((point.load.rate or 0) / rate - 1) <= 0.1
        ] or self._blocks
        times = np.concatenate([point.e2e[point.counted() & ~point.failed] for point in close])
        return rate * float(np.mean(times)) if len(times) else 0.0

    def _needed(self, before: float) -> int:
        """Return the budget in minutes that an interval needs."""
        seconds = (before + 5 * (self._block_seconds() + self._e2e + 2)) / (1 - USERS_SHARE)
        bracket = before / SEARCH_SHARE
        return max(
            ceil(max(seconds, bracket, BUDGET_IN_REQUESTS * self._e2e) / 60), ceil(self._budget / 60) + 1
        )


def _next_rate(held: float | None, broke: float | None, rate: float) -> float:
    if held is None:
        return rate / RATE_STEP
    return rate * RATE_STEP if broke is None else sqrt(held * broke)


def _users_text(users: int) -> str:
    return f"{users} user{'' if users == 1 else 's'}"


def _throughput(point: LoadPoint) -> tuple[float, float]:
    """Return the throughput of a closed loop and the mean duration of a request, from its middle part."""
    length = point.load.seconds
    good = ~point.failed
    middle = point.between(0.25 * length, 0.65 * length) & good
    times = point.e2e[middle] if middle.any() else point.e2e[good]
    time = max(float(np.mean(times)), 1e-6)
    return (point.load.users or 1) / time, time


def _log_throughput(point: LoadPoint, length: float) -> tuple[float, float]:
    """Return the ln throughput of a sentinel, and its standard error from five parts of the measurement."""
    parts = []
    for part in range(5):
        chosen = point.between(length * (0.15 + 0.15 * part), length * (0.3 + 0.15 * part)) & ~point.failed
        if chosen.any():
            parts.append(float(np.mean(point.e2e[chosen])))
    if len(parts) < 2:
        return log(_throughput(point)[0]), 0.1
    mean = float(np.mean(parts))
    return log((point.load.users or 1) / mean), float(np.std(parts, ddof=1)) / mean / sqrt(len(parts))
