"""What the search and a service exchange: a load, and the requests that were measured under it."""

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


@dataclass(frozen=True, slots=True)
class MeasuredLoad:
    """A load on an idle service: a closed loop of `users`, or Poisson arrivals at `rate`.

    Requests begin for `warm + seconds`, and all that began are waited for. Those of the first `warm` seconds
    are not counted.
    """

    seconds: float
    users: int | None = None
    rate: float | None = None
    warm: float = 0.0

    @property
    def length(self) -> float:
        """For how long requests begin, in seconds."""
        return self.warm + self.seconds


@dataclass(frozen=True, slots=True)
class LoadPoint:
    """The requests of one load, a column each. Times are seconds from its beginning, `numbers` milliseconds.

    `took` includes the wait for the last reply. `spoiled` says why the client could not bring the load.
    """

    load: MeasuredLoad
    began: Floats
    e2e: Floats
    numbers: Mapping[str, Floats]
    failed: Flags
    throttled: Flags
    took: float
    spoiled: str = ""
    folder: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def between(self, start: float, end: float) -> Flags:
        """Return which requests began from `start` seconds on and before `end`."""
        chosen: Flags = (self.began >= start) & (self.began < end)
        return chosen

    def counted(self) -> Flags:
        """Return which requests began after the warm-up."""
        return self.between(self.load.warm, np.inf)

    def broken(self, limit: Limit) -> Flags:
        """Return which requests failed, or took longer than a limit allows."""
        if limit.milliseconds is None:
            return self.failed
        over: Flags = self.failed | ~(self.numbers[limit.column] <= limit.milliseconds)
        return over

    def count(self, limit: Limit, chosen: Flags) -> tuple[int, int]:
        """Return how many of the chosen requests broke a limit, and how many there are."""
        return int(np.count_nonzero(self.broken(limit) & chosen)), int(np.count_nonzero(chosen))


class Service(Protocol):
    """What measures a load: a real service through ordinary runs, or a simulated one in virtual time."""

    def measure(self, load: MeasuredLoad) -> LoadPoint:
        """Bring a load, and return its requests when all have ended."""


class Limit(NamedTuple):
    """An objective as the search sees it: at most a `share` of the requests may be over `milliseconds`.

    Without `milliseconds` it is the share of failures.
    """

    name: str
    column: str
    milliseconds: float | None
    share: float


def limits_of(objectives: Sequence[Objective]) -> list[Limit]:
    """Return objectives about a whole run as limits on the share of requests.

    Raises:
        UsageError: one allows no failure at all, or all.
    """
    return [_limit(objective) for objective in objectives]


def _limit(objective: Objective) -> Limit:
    if objective.percentile is not None:
        name = f"{objective.name}_p{objective.percentile:g}"
        return Limit(name, objective.name, objective.limit, 1 - objective.percentile / 100)
    if not 0 < objective.limit < 1:
        raise UsageError(
            f"failures={100 * objective.limit:g}%: no number of requests shows a share of exactly that; "
            "name a share between, as in failures=1%"
        )
    return Limit(objective.name, objective.name, None, objective.limit)
