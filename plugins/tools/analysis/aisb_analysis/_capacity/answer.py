"""What a search found, and how it is said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

MAX_OVERLOAD = 2.0
"""A rate of so many times the saturation that still holds says that the objectives have no edge there."""


class Users(NamedTuple):
    """The largest number of users that hold: at least `low`; at most `high`, if one more breaks."""

    low: int
    high: int | None
    throughput: float


class Visible(NamedTuple):
    """The smallest change of throughput that the sentinels would show, as a share."""

    share: float
    sentinels: int


@dataclass(frozen=True, slots=True)
class Capacity:
    """The highest Poisson rate at which all objectives hold, in requests per second. None: not known.

    `first` is the objective that breaks first. The search looked between the rates `held` and `broke`.
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
    visible: Visible
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
        """Yield the answer: the capacity first, then users, saturation, and what to mind."""
        yield f"capacity: {self._capacity()}"
        if self.users is not None:
            yield f"users in a closed loop: {_users(self.users)}"
        if self.limiter is None:
            yield f"saturates at about {self.saturation:.3g} requests/s, from {self.knee} in flight on"
        else:
            yield (
                f"a rate limiter (429) lets {self.limiter:.3g} requests/s through: "
                "this is what the service is allowed to take, and not what it could"
            )
        if self.changed:
            yield f"the service {self.changed} while it is measured: the capacity is of the time since"
        elif self.visible.sentinels > 1:
            yield f"no change over time (one of {100 * self.visible.share:.0f} % would have shown)"
        else:
            yield "changes over time: not watched for, since the budget was spent before"
        yield "arrivals are Poisson; evenly spaced ones would give 5 to 22 % more"

    def _capacity(self) -> str:
        if self.rate is None:
            return self._without_estimate()
        parts = [f"{self.rate:.3g} requests/s", self._interval()]
        text = ", ".join(parts)
        if self.in_flight is not None:
            text += f"; {self.in_flight:.2g} in flight on average"
        return f"{text}; {self.first} breaks first"

    def _without_estimate(self) -> str:
        """Return the answer; a rate that could not be measured in the time is inconclusive and no bound."""
        if self.broke is None and self.held is not None and self.held > MAX_OVERLOAD * self.saturation:
            return f"at least {self.held:.3g} requests/s; no objective broke up to there"
        if self.held is None and self.broke is not None and self.broke < self.saturation / 2:
            return f"under {self.broke:.3g} requests/s; {self.first} breaks there already"
        between = ""
        if self.held and self.broke:
            between = f", perhaps between {self.held:.3g} and {self.broke:.3g} requests/s"
        needed = self.needed_minutes
        return f"inconclusive{between}: needs about {needed} minutes (--budget {needed}m)"

    def _interval(self) -> str:
        low = f"{self.low:.3g}" if self.low is not None else "0"
        if self.high is not None:
            return f"95 % [{low}, {self.high:.3g}]"
        why = (
            "the budget is under 100 times the time of a request: "
            f"an upper bound needs {self.needed_minutes} minutes"
            if not self.two_sided
            else f"no upper bound: only {self.broken} of {self.segments} segments broke it"
            if self.broken < 2
            else "no upper bound: too few blocks"
        )
        return f"at least {low} (97.5 %), {why}"


def _users(users: Users) -> str:
    if users.low == 0:
        return (
            "not even 1"
            if users.high == 0
            else f"at most {users.high}"
            if users.high is not None
            else "not known"
        )
    if users.high is None:
        return f"at least {users.low} ({users.throughput:.3g} requests/s)"
    between = f"{users.low}" if users.low == users.high else f"{users.low} to {users.high}"
    return f"{between} ({users.throughput:.3g} requests/s at {users.low}; another quantity than the rate)"
