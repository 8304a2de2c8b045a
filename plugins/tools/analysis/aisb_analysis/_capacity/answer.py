"""The result of a search, and its text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

MAX_OVERLOAD = 2.0
"""If the objectives hold at this multiple of the saturation rate, no rate breaks them."""


class Users(NamedTuple):
    """The largest number of users that meets all objectives: `low` or more, up to `high` if known."""

    low: int
    high: int | None
    throughput: float


class DetectableChange(NamedTuple):
    """The smallest change of throughput that the sentinel measurements can detect, as a share."""

    share: float
    sentinels: int


@dataclass(frozen=True, slots=True)
class Capacity:
    """The highest Poisson rate at which all objectives hold, in requests per second. None if unknown.

    `first` is the objective that breaks first. The search ended between the rates `held` and `broke`.
    """

    rate: float | None
    low: float | None
    high: float | None
    first: str
    in_flight: float | None
    saturation: float
    knee: int
    users: Users | None
    changed: str
    visible: DetectableChange
    limiter: float | None
    segments: int
    broken: int
    held: float | None
    broke: float | None
    two_sided: bool
    needed_minutes: int
    seconds: float

    @property
    def conclusive(self) -> bool:
        """Whether there is an estimate with an interval."""
        return self.rate is not None

    def lines(self) -> Iterator[str]:
        """Yield the result: capacity, users, saturation, and limitations."""
        yield f"capacity: {self._capacity()}"
        if self.users is not None:
            yield f"users in a closed loop: {_users(self.users)}"
        if self.limiter is None:
            yield f"saturation: about {self.saturation:.3g} requests/s, reached with {self.knee} in flight"
        else:
            yield (
                f"a rate limiter (429) admits {self.limiter:.3g} requests/s: "
                "this is its configured limit, not the capacity of the service"
            )
        if self.changed:
            yield f"the service {self.changed} during the search: the capacity is measured after the change"
        elif self.visible.sentinels > 1:
            yield f"no change over time (minimum detectable: {100 * self.visible.share:.0f} %)"
        else:
            yield "changes over time: not checked, since the budget was spent"
        yield "arrivals are Poisson; evenly spaced arrivals would give 5 to 22 % more"

    def _capacity(self) -> str:
        if self.rate is None:
            return self._without_estimate()
        parts = [f"{self.rate:.3g} requests/s", self._interval()]
        text = ", ".join(parts)
        if self.in_flight is not None:
            text += f"; {self.in_flight:.2g} in flight on average"
        return f"{text}; {self.first} breaks first"

    def _without_estimate(self) -> str:
        """Return the result without an estimate. A rate that could not be measured in time is not a bound."""
        if self.broke is None and self.held is not None and self.held > MAX_OVERLOAD * self.saturation:
            return f"at least {self.held:.3g} requests/s; no objective broke up to that rate"
        if self.held is None and self.broke is not None and self.broke < self.saturation / 2:
            return f"under {self.broke:.3g} requests/s; {self.first} breaks at that rate"
        between = ""
        if self.held and self.broke:
            between = f", perhaps between {self.held:.3g} and {self.broke:.3g} requests/s"
            if (
                self.limiter is None and self.held > self.saturation
            ):  # short loads end before their queue is long
                between = f", perhaps near {self.saturation:.3g} requests/s, where the service saturates"
        needed = self.needed_minutes
        return f"inconclusive{between}: needs about {needed} minutes (--budget {needed}m)"

    def _interval(self) -> str:
        low = f"{self.low:.3g}" if self.low is not None else "0"
        if self.high is not None:
            return f"95 % [{low}, {self.high:.3g}]"
        why = (
            "the budget is less than 100 times the duration of a request: "
            f"an upper bound needs {self.needed_minutes} minutes"
            if not self.two_sided
            else f"no upper bound: the objective broke in only {self.broken} of {self.segments} segments"
            if self.broken < 2
            else "no upper bound: too few blocks"
        )
        return f"at least {low} (97.5 %), {why}"


def _users(users: Users) -> str:
    if users.low == 0:
        return (
            "0 (one user already breaks an objective)"
            if users.high == 0
            else f"at most {users.high}"
            if users.high is not None
            else "unknown"
        )
    if users.high is None:
        return f"at least {users.low} ({users.throughput:.3g} requests/s)"
    between = f"{users.low}" if users.low == users.high else f"{users.low} to {users.high}"
    return f"{between} ({users.throughput:.3g} requests/s at {users.low}; not comparable with the rate)"
