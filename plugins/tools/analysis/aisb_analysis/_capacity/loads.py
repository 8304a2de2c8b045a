"""The values that a search and a service exchange: loads, and the requests measured under them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aisb import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aisb_engine import Objective

Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]
LAG_SHARE, MIN_LAG_MS = 0.02, 5.0
"""The client may lag by this share of the tightest latency objective, and always by this time."""


@dataclass(frozen=True, slots=True)
class MeasuredLoad:
    """A load on an idle service: a closed loop of `users`, or Poisson arrivals at `rate`.

    New requests begin during `warm + seconds`, and all of them are completed. Those of the first `warm`
    seconds are not counted.
    """

    seconds: float
    users: int | None = None
    rate: float | None = None
    warm: float = 0.0

    @property
    def length(self) -> float:
        """The time during which new requests begin, in seconds."""
        return self.warm + self.seconds


@dataclass(frozen=True, slots=True)
class LoadPoint:
    """The requests of one load, as columns. Times are seconds from its beginning, `numbers` milliseconds.

    `took` is the duration in seconds, up to the last reply. `distortion` is the reason if the client could
    not generate the load.
    """

    load: MeasuredLoad
    began: Floats
    e2e: Floats
    numbers: Mapping[str, Floats]
    failed: Flags
    throttled: Flags
    took: float
    distortion: str = ""
    folder: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def between(self, start: float, end: float) -> Flags:
        """Return a mask of the requests that began in [`start`, `end`), in seconds."""
        chosen: Flags = (self.began >= start) & (self.began < end)
        return chosen

    def counted(self) -> Flags:
        """Return a mask of the requests that began after the warm-up."""
        return self.between(self.load.warm, np.inf)

    def broken(self, limit: Limit) -> Flags:
        """Return a mask of the requests that failed or exceeded a limit."""
        if limit.milliseconds is None:
            return self.failed
        over: Flags = self.failed | ~(self.numbers[limit.column] <= limit.milliseconds)
        return over

    def count(self, limit: Limit, chosen: Flags) -> tuple[int, int]:
        """Return the number of chosen requests that break a limit, and the number of chosen requests."""
        return int(np.count_nonzero(self.broken(limit) & chosen)), int(np.count_nonzero(chosen))


class Service(Protocol):
    """Measures loads: a real service with ordinary runs, or a simulated one in virtual time."""

    def measure(self, load: MeasuredLoad) -> LoadPoint:
        """Generate a load, and return its requests when all have ended."""


class Limit(NamedTuple):
    """An objective of the search: at most a `share` of the requests may exceed `milliseconds`.

    If `milliseconds` is None, at most that share may fail.
    """

    name: str
    column: str
    milliseconds: float | None
    share: float


def limits_of(objectives: Sequence[Objective]) -> list[Limit]:
    """Return the objectives of a run as limits on the share of requests.

    Raises:
        UsageError: an objective allows no failure, or only failures.
    """
    return [_limit(objective) for objective in objectives]


def _limit(objective: Objective) -> Limit:
    if objective.percentile is not None:
        name = f"{objective.name}_p{objective.percentile:g}"
        return Limit(name, objective.name, objective.limit, 1 - objective.percentile / 100)
    if not 0 < objective.limit < 1:
        raise UsageError(
            f"failures={100 * objective.limit:g}%: the share must be above 0 and below 100 %; "
            "write it as in failures=1%"
        )
    return Limit(objective.name, objective.name, None, objective.limit)


def max_lag(limits: Sequence[Limit], tokens: float) -> float | None:
    """Return the maximum event-loop lag of a point in milliseconds; None without a latency objective.

    A lag of the client delays a stamp by at most the lag. TPOT is a time divided by the tokens after the
    first, so it may change by less. `tokens` is the length of a reply.
    """
    times = [
        limit.milliseconds * (max(1.0, tokens - 1) if limit.column == "tpot" else 1)
        for limit in limits
        if limit.milliseconds is not None
    ]
    return max(MIN_LAG_MS, LAG_SHARE * min(times)) if times else None
