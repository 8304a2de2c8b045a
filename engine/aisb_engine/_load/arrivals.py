"""Schedules of an open loop: the planned time of each request, drawn from a seed and so reproducible.

A schedule is a sorted array of nanoseconds since the start of the run; the first is 0. It is scaled to the
requested rate: n requests at rate r always take n/r seconds, whatever gaps were drawn.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Literal, NamedTuple

from aisb._errors import ConfigError

Arrival = Literal["constant", "poisson", "gamma"]
MIN_RATE = 0.001
MAX_RATE = 1_000_000.0


class Ramp(NamedTuple):
    """A rate that grows from `start` to `end` per second over the number of requests."""

    shape: Literal["linear", "exponential"]
    start: float
    end: float

    @classmethod
    def parse(cls, text: str, where: str = "load.ramp_up") -> Ramp:
        """Parse `linear:START:END` or `exponential:START:END`.

        Raises:
            ConfigError: it has another form, a rate is out of range, or END is below START.
        """
        shape, *rates = text.split(":")
        if shape not in ("linear", "exponential") or len(rates) != 2:
            raise ConfigError(
                where, f"{text!r} is not linear:START:END or exponential:START:END, as in linear:1:50"
            )
        try:
            start, end = map(float, rates)
        except ValueError:
            raise ConfigError(
                where, f"{text!r}: START and END are requests a second, as in linear:1:50"
            ) from None
        check_rate(start, where)
        check_rate(end, where)
        if end < start:
            raise ConfigError(where, f"{text!r} goes down: END must not be below START")
        return cls("linear" if shape == "linear" else "exponential", start, end)

    def rate(self, part: float) -> float:
        """Return the rate once this fraction (0 to 1) of the requests has been sent."""
        if self.shape == "linear":
            return self.start + (self.end - self.start) * part
        return float(self.start * (self.end / self.start) ** part)


def check_rate(rate: float, where: str = "load.request_rate") -> None:
    """Refuse a rate that is out of range.

    Raises:
        ConfigError: it is negative, NaN, infinite, or too slow or fast.
    """
    if math.isnan(rate) or rate < 0:
        raise ConfigError(
            where,
            f"must be requests a second, at least {MIN_RATE:g} (it is {rate:g}); 0 sends without pacing",
        )
    if not MIN_RATE <= rate <= MAX_RATE:
        raise ConfigError(
            where,
            f"can be from {MIN_RATE:g} to {MAX_RATE:,.0f} a second (it is {rate:g}); 0 sends without pacing",
        )


def schedule(
    count: int,
    *,
    rate: float | None = None,
    arrival: Arrival = "poisson",
    burstiness: float | None = None,
    ramp: Ramp | None = None,
    seed: int = 0,
) -> array[int]:
    """Draw the planned times of `count` requests, at a constant rate or along a ramp.

    `burstiness` is the shape β of a gamma distribution of the gaps with scale 1/(rate·β): 0 is constant, 1 is
    Poisson, smaller values are burstier, larger ones smoother. Only gamma arrivals use it.

    Raises:
        ConfigError: the rate or the burstiness is out of range.
    """
    if ramp is None:
        check_rate(rate if rate is not None else math.nan)
        ramp = Ramp("linear", rate or 1.0, rate or 1.0)
    gap = _gaps(arrival, burstiness, Random(f"arrivals/{seed}"))
    steps = max(1, count - 1)
    drawn = [0.0] * count
    expected = 0.0
    for position in range(1, count):
        mean = 1.0 / ramp.rate((position - 1) / max(1, steps - 1))
        expected += mean
        drawn[position] = drawn[position - 1] + gap(mean)
    total = drawn[-1] if count else 0.0
    if total <= 0:  # there is one request, or the only gap was drawn as 0
        return array("q", (round(at * expected / steps * 1e9) for at in range(count)))
    scale = expected / total
    return array("q", (round(at * scale * 1e9) for at in drawn))


def trace_schedule(times: Iterable[float | None], ids: Sequence[str] = ()) -> array[int]:
    """Return the times of a trace (seconds) as a schedule; the first request is sent at once.

    Raises:
        ConfigError: a request has no time, or the trace is out of order.
    """
    where = "load.use_timestamp"
    planned = array("q")
    first = before = 0.0
    for position, at in enumerate(times):
        name = ids[position] if position < len(ids) else str(position)
        if at is None or not math.isfinite(at):
            problem = "no time" if at is None else f"an invalid time ({at})"
            raise ConfigError(where, f"request {name} has {problem}; leave it out, and give request_rate")
        if not position:
            first = before = at
        if at < before:
            raise ConfigError(
                where,
                f"the trace is out of order: request {name} is at {at:g} s, after one at {before:g} s; "
                "sort its rows by time",
            )
        before = at
        planned.append(round((at - first) * 1e9))
    return planned


def _gaps(arrival: Arrival, burstiness: float | None, draw: Random) -> Callable[[float], float]:
    """Return a function that draws one gap with a given mean."""
    key = "load.burstiness"
    beta = {"constant": 0.0, "poisson": 1.0, "gamma": 1.0}[arrival]
    if burstiness is not None:
        if not (burstiness == 0 or 0.01 <= burstiness <= 1000):
            raise ConfigError(
                key, f"must be 0 (constant), or from 0.01 to 1000; 1 is Poisson (it is {burstiness:g})"
            )
        if arrival != "gamma" and burstiness != beta:
            raise ConfigError(
                key,
                f"{burstiness:g} contradicts arrival = {arrival!r}, which is {beta:g}; set arrival = 'gamma'",
            )
        beta = burstiness
    if beta == 0:
        return lambda mean: mean
    if beta == 1:
        return lambda mean: draw.expovariate(1.0) * mean
    return lambda mean: draw.gammavariate(beta, mean / beta)
