"""Sessions in a log: how many there were at once, and how many were served within the limits of a tier.

A session is a sample and repeat with all of its turns. A request that stands alone is a session of one turn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aisb._errors import UsageError
from aisb_engine._performance.objectives import request_limits
from aisb_engine._performance.stages import InFlight, in_flight

if TYPE_CHECKING:
    from aisb_engine._performance.columns import LogColumns
    from aisb_engine._performance.latency import Requests
    from aisb_engine._record.loadfiles import LoadFiles

SPEED = "speed"
"""The limit of a tier that is a floor: output tokens per second after the first token."""
_TIER = re.compile(r"([\w.-]+)\s*:\s*(.+)", re.DOTALL)


@dataclass(frozen=True)
class SessionTable:
    """The sessions of a log.

    `number` is the session of each request. `starts` and `ends` are stamps, NaN for a session of which
    nothing was sent.
    """

    number: Any
    starts: Any
    ends: Any

    @classmethod
    def of(cls, columns: LogColumns) -> SessionTable:
        """Return the sessions of a log, in the order in which they first appear."""
        import numpy as np

        names: dict[tuple[str, float], int] = {}
        keys = zip(columns.ids, columns["repeat"].tolist(), strict=True)
        number = np.array([names.setdefault(key, len(names)) for key in keys], np.int64)
        starts, ends = np.full(len(names), np.nan), np.full(len(names), np.nan)
        np.fmin.at(starts, number, columns["sent"])
        np.fmax.at(ends, number, columns.end)
        return cls(number, starts, ends)

    @cached_property
    def flight(self) -> InFlight:
        """The number of sessions in flight over time, from their first request to the end of their last."""
        return in_flight(self.starts, self.ends)

    def all_of(self, good: Any) -> Any:
        """Return for each session whether a condition holds for all of its requests."""
        import numpy as np

        held = np.ones(len(self.starts), bool)
        np.logical_and.at(held, self.number, good)
        return held


def parse_tier(text: str) -> tuple[str, dict[str, float]]:
    """Parse a tier, such as `fast:ttft=2s,speed=30`: its name, and its limits.

    Raises:
        UsageError: it is not NAME:LIMITS, or a limit is invalid.
    """
    matched = _TIER.fullmatch(text.strip())
    if not matched:
        raise UsageError(f"the tier {text!r} is not NAME:LIMIT,…, as in fast:ttft=2s,speed=30")
    name, limits = matched[1], {}
    for part in filter(None, re.split(r"[,;\s]+", re.sub(r"\s*=\s*", "=", matched[2]))):
        key, _, value = part.partition("=")
        limits[key] = value
    return name, checked_tier(name, limits)


def checked_tier(name: str, limits: Mapping[str, Any]) -> dict[str, float]:
    """Return the limits of a tier: times in milliseconds, and `speed` in tokens per second.

    Raises:
        UsageError: there are none, a name is unknown, or a limit is invalid.
    """
    found: dict[str, float] = {}
    for key, value in limits.items():
        if key == SPEED:
            found[SPEED] = _speed(name, value)
            continue
        try:
            found |= request_limits(f"{key}={value}")
        except UsageError as error:
            raise UsageError(f"the tier {name!r}: {error}") from error
    if not found:
        raise UsageError(f"the tier {name!r} has no limit: write, for example, {name}:ttft=2s,speed=30")
    return found


def _speed(name: str, value: Any) -> float:
    try:
        speed = float(value)
    except (TypeError, ValueError):
        speed = -1.0
    if not 0 < speed < 1e9:
        raise UsageError(
            f"the tier {name!r}: speed is {value!r}, not a number of output tokens per second, as in speed=30"
        )
    return speed


def within(requests: Requests, limits: Mapping[str, float]) -> Any:
    """Return which requests succeeded within the limits of a tier. An unknown number is not within a limit.

    A reply of one token has no time between tokens, and meets every limit of speed and TPOT.
    """
    from aisb_engine._performance.objectives import kept

    times = {key: value for key, value in limits.items() if key != SPEED}
    if SPEED in limits:
        times["tpot"] = min(1000 / limits[SPEED], times.get("tpot", float("inf")))
    return kept(requests, times)


def session_numbers(
    columns: LogColumns,
    requests: Requests,
    load: LoadFiles,
    tiers: Mapping[str, Mapping[str, float]],
) -> dict[str, Any] | None:
    """Return the numbers of sessions for reports; None if there are neither sessions nor tiers.

    `lines` are sentences about them.
    """
    if not len(columns) or (load.sessions is None and not tiers):
        return None
    table = SessionTable.of(columns)
    count = len(table.starts)
    complete = table.all_of(requests.ok)
    not_sent = [row for row, (_, why) in columns.failures.items() if why.startswith("not sent: ")]
    flight = table.flight
    facts = load.sessions or {}
    numbers: dict[str, Any] = {
        "sessions": count,
        "turns": len(columns),
        "complete": int(complete.sum()),
        "turns_not_sent": len(not_sent),
        "peak": flight.peak,
        "average": flight.mean(flight.times[0], flight.times[-1]) if len(flight.times) else None,
        "history": facts.get("history"),
        "cache_share": facts.get("cache_share"),
        "cache_unit": facts.get("cache_unit"),
        "tiers": [_tier(name, limits, table, requests) for name, limits in tiers.items()],
    }
    return {**numbers, "lines": list(_lines(numbers))}


def _tier(name: str, limits: Mapping[str, float], table: SessionTable, requests: Requests) -> dict[str, Any]:
    served = int(table.all_of(within(requests, limits)).sum())
    return {
        "name": name,
        "limits": dict(limits),
        "sessions": served,
        "share": served / len(table.starts) if len(table.starts) else None,
    }


def _lines(numbers: Mapping[str, Any]) -> Iterator[str]:
    if numbers["history"] is not None:
        average = "" if numbers["average"] is None else f", {numbers['average']:.4g} on average"
        yield (
            f"sessions: {numbers['sessions']:,} with {numbers['turns']:,} turns, {numbers['complete']:,} "
            f"complete; at most {numbers['peak']:,} at once{average}"
        )
        if missing := numbers["turns_not_sent"]:
            yield f"turns not sent because an earlier turn of their session failed: {missing:,}"
        if numbers["cache_share"] is not None:
            yield (
                f"a prefix cache without a limit holds {100 * numbers['cache_share']:.1f} % of the input "
                f"(counted in {numbers['cache_unit']})"
            )
    what = "sessions" if numbers["history"] is not None else "requests"
    for tier in numbers["tiers"]:
        limits = ", ".join(_limit(name, value) for name, value in tier["limits"].items())
        yield (
            f"tier {tier['name']} ({limits}): {tier['sessions']:,} of {numbers['sessions']:,} {what} served, "
            f"{100 * tier['share']:.1f} %"
        )


def _limit(name: str, value: float) -> str:
    return f"at least {value:g} tokens/s" if name == SPEED else f"{name} ≤ {value:g} ms"
