"""Objectives: limits for single requests or for a whole run.

    ttft=300,tpot=50          each request: at most 300 ms to the first token, and 50 ms per token after it
    ttft_p95=500ms            the run: 95 % of the requests within half a second
    failures=1%               the run: at most 1 % of the requests failed

`:` may replace `=`. A number without a unit is in milliseconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from aisb._errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from aisb_engine._performance.latency import Requests

LATENCIES = ("ttft", "ttfc", "tpot", "e2el", "ttft_planned", "e2el_planned")
FAILURES = "failures"
_MILLISECONDS = {"": 1.0, "ms": 1.0, "s": 1000.0, "us": 0.001, "µs": 0.001}
_LIMIT = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*(ms|s|us|µs|%|)", re.IGNORECASE)
_BEFORE_UNIT = re.compile(r"(\d)\s+(?=(?:ms|s|us|µs|%)(?:[,;\s]|$))", re.IGNORECASE)
_PERCENTILE = re.compile(r"(\w+?)_p(\d{1,2}(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Objective:
    """One upper limit. `limit` is in milliseconds; for failures it is a share from 0 to 1.

    With `percentile` it applies to that percentile over all requests, otherwise to each request.
    """

    name: str
    limit: float
    percentile: float | None = None

    @property
    def is_per_request(self) -> bool:
        """Whether it can apply to a single request."""
        return self.percentile is None and self.name != FAILURES

    def __str__(self) -> str:
        """Return the name as users write it: `ttft_p95`."""
        return self.name if self.percentile is None else f"{self.name}_p{self.percentile:g}"


class JudgedObjective(NamedTuple):
    """An objective for a whole run, and the value in the run.

    `value` is in milliseconds; for failures it is a share from 0 to 1. It is infinite if so many requests
    failed, or lack the number, that the percentile is among them; None if no request has the number.
    """

    objective: Objective
    value: float | None
    requests: int

    @property
    def holds(self) -> bool:
        """Whether the run meets the limit."""
        return self.value is not None and self.value <= self.objective.limit


def parse_objectives(text: str) -> list[Objective]:
    """Parse objectives, separated by commas or spaces.

    Raises:
        UsageError: one is not NAME=LIMIT, its name is unknown, or its limit is invalid.
    """
    joined = _BEFORE_UNIT.sub(r"\1", re.sub(r"\s*([=:])\s*", r"\1", text))
    parts = [part for part in re.split(r"[,;\s]+", joined) if part]
    if not parts:
        raise UsageError(f"{text!r} has no objective: write NAME=LIMIT, as in ttft=300,tpot=50")
    objectives = [_parsed(part) for part in parts]
    keys = [(objective.name, objective.percentile) for objective in objectives]
    for number, key in enumerate(keys):
        if key in keys[:number]:
            raise UsageError(f"{text!r} sets {parts[number]!r} after another limit for the same: keep one")
    return objectives


def request_limits(text: str) -> dict[str, float]:
    """Return the limits for each request in milliseconds, by name.

    Raises:
        UsageError: as `parse_objectives`; or one applies to the whole run.
    """
    objectives = parse_objectives(text)
    for objective in objectives:
        if not objective.is_per_request:
            raise UsageError(
                f"the objective {objective.name!r} of {text!r} applies to the whole run, but goodput counts "
                f"requests: write a limit for each request, as in ttft=300"
            )
    return {objective.name: objective.limit for objective in objectives}


def run_objectives(text: str) -> list[Objective]:
    """Return objectives for a whole run.

    Raises:
        UsageError: as `parse_objectives`; or one does not tell how many requests may exceed it.
    """
    objectives = parse_objectives(text)
    for objective in objectives:
        if objective.is_per_request:
            raise UsageError(
                f"the objective {objective.name!r} does not tell how many requests may exceed it: "
                f"name a percentile, as in {objective.name}_p95={objective.limit:g}ms"
            )
    return objectives


def judge_objectives(requests: Mapping[str, Any], objectives: Sequence[Objective]) -> list[JudgedObjective]:
    """Compare requests with objectives about the whole run.

    `requests` has the columns of `PerformanceResult.requests`. A request that failed, or whose number is not
    known, is over every limit. A reply of one token has no time between tokens, and counts as 0. Percentiles
    interpolate linearly, as those in tables do.
    """
    return [_judged(requests, objective) for objective in objectives]


def _judged(requests: Mapping[str, Any], objective: Objective) -> JudgedObjective:
    import numpy as np

    ok = np.asarray(requests["ok"], bool)
    count = len(ok)
    if not count:
        return JudgedObjective(objective, None, 0)
    if objective.percentile is None:
        return JudgedObjective(objective, float(np.count_nonzero(~ok)) / count, count)
    values = np.array(requests[objective.name], float)
    if objective.name == "tpot":
        values[np.asarray(requests["output_tokens"]) <= 1] = 0.0
    known = ok & ~np.isnan(values)
    if not known.any():
        return JudgedObjective(objective, None, count)
    values = np.sort(np.where(known, values, math.inf))
    place = (count - 1) * objective.percentile / 100
    below, above = values[math.floor(place)], values[math.ceil(place)]
    value = above if math.isinf(above) else below + (above - below) * (place % 1)
    return JudgedObjective(objective, float(value), count)


def checked_limits(limits: Mapping[str, Any] | None) -> dict[str, float]:
    """Return a table of limits for each request in milliseconds; values may be numbers or texts ("0.3s").

    Raises:
        UsageError: a name is unknown, or a limit is invalid.
    """
    found: dict[str, float] = {}
    for name, limit in (limits or {}).items():
        found |= request_limits(f"{name}={limit}")
    return found


def kept(requests: Requests, limits: Mapping[str, float]) -> Any:
    """Return which requests succeeded and met all limits. An unknown number does not meet a limit.

    A reply with one token has no time between tokens, and meets every limit of TPOT.
    """
    good = requests.ok.copy()
    for name, limit in limits.items():
        within = getattr(requests, name) <= limit  # NaN compares false
        if name == "tpot":
            within |= requests.output_tokens <= 1
        good &= within
    return good


def _parsed(part: str) -> Objective:
    written, separator, limit = part.replace(":", "=", 1).partition("=")
    if not (written and separator and limit):
        raise UsageError(f"the objective {part!r} is not NAME=LIMIT, as in ttft=300 or tpot:0.05s")
    key = written.lower().replace("-", "_")
    percentile = None
    if matched := _PERCENTILE.fullmatch(key):
        key, percentile = matched[1], float(matched[2])
    if key not in LATENCIES and (key != FAILURES or percentile is not None):
        known = (*LATENCIES, FAILURES)
        raise UsageError(
            f"no objective named {written!r}{did_you_mean(key, known)}\n  known: {', '.join(known)}"
        )
    if percentile is not None and not 0 < percentile < 100:
        raise UsageError(f"the objective {part!r}: a percentile must lie between 0 and 100, as in ttft_p95")
    return Objective(key, _limit(part, key, limit), percentile)


def _limit(part: str, name: str, text: str) -> float:
    matched = _LIMIT.fullmatch(text)
    if not matched:
        example = "failures=1%" if name == FAILURES else f"{name}=300, {name}=300ms or {name}=0.3s"
        raise UsageError(f"the objective {part!r}: {text!r} is not a limit; write {example}")
    value, unit = float(matched[1]), matched[2].lower()
    if name == FAILURES:
        if unit != "%" or not 0 <= value <= 100:
            raise UsageError(f"the objective {part!r}: failures are limited in percent, as in failures=1%")
        return value / 100
    if unit == "%":
        raise UsageError(f"the objective {part!r}: a time is in ms or s, as in {name}=300ms")
    if not (value > 0 and math.isfinite(value)):
        raise UsageError(f"the objective {part!r}: a time must be more than 0 milliseconds")
    return value * _MILLISECONDS[unit]
