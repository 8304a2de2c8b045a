"""What surrounds an attempt: where and with what it is logged, and whether it is repeated."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Protocol

from aisb._types import Failure, Prediction, Request

RETRIED_STATUS = frozenset({408, 409, 425, 429})
SAID_FROM = 10.0
"""From how many seconds on it is said that a service asks to wait."""


class AttemptLog(Protocol):
    """Where attempts go as they end: a `LogWriter`."""

    def append(self, prediction: Prediction, *, final: bool, extra: Mapping[str, Any] | None = None) -> None:
        """Keep one attempt."""


class Unlogged:
    """Where attempts go that nobody reads, such as those of warm-ups."""

    def append(self, prediction: Prediction, *, final: bool, extra: Mapping[str, Any] | None = None) -> None:
        """Keep nothing."""


def is_retryable(failure: Failure) -> bool:
    """Say whether the same request may succeed a moment later.

    It may after a connection that failed or broke, a timeout, a reply that makes no sense, and the statuses
    408, 409, 425, 429 and 5xx. A request with any other 4xx would be refused again.
    """
    if failure.kind == "status" and failure.status is not None:
        return failure.status >= 500 or failure.status in RETRIED_STATUS
    return failure.kind != "refused"


def delay(
    attempt: int, failure: Failure, backoff: float, draw: random.Random, longest: float = 60.0
) -> float:
    """Return the seconds to wait after an attempt: what the service asks for, else doubling with jitter."""
    if failure.retry_after is not None:
        return min(failure.retry_after, longest)
    return min(backoff * 2.0 ** (attempt - 1), longest) * draw.uniform(0.5, 1.0)


def long_wait(failure: Failure, longest: float) -> str:
    """Say it where a service asks for a wait that people would wonder about; empty where it does not."""
    asked = failure.retry_after
    if asked is None or asked < SAID_FROM:
        return ""
    if asked > longest:
        return (
            f"the service asks to wait {asked:g} s before the next attempt (Retry-After); "
            f"it comes after {longest:g} s, the most that load.longest_delay allows"
        )
    return f"the service asks to wait {asked:g} s before the next attempt (Retry-After): waiting"


def facts_of(request: Request) -> dict[str, Any]:
    """Return what a record keeps of its request: the lengths that were asked for."""
    params = request.params
    max_tokens = params.get("max_tokens", params.get("max_completion_tokens"))
    return ({"max_tokens": max_tokens} if isinstance(max_tokens, int) else {}) | dict(request.facts)
