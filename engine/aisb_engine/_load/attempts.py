"""Decide whether an attempt is retried, how long to wait before that, and where attempts are logged."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Protocol

from aisb._types import Failure, Prediction, Request

RETRIED_STATUS = frozenset({408, 409, 425, 429})
REPORTED_WAIT_SECONDS = 10.0
"""Requested waits of at least this many seconds are reported to the user."""


class AttemptLog(Protocol):
    """Receives each attempt when it ends, such as a `LogWriter`."""

    def append(self, prediction: Prediction, *, final: bool, extra: Mapping[str, Any] | None = None) -> None:
        """Log one attempt."""


class NullLog:
    """Discards attempts, such as those of warm-ups."""

    def append(self, prediction: Prediction, *, final: bool, extra: Mapping[str, Any] | None = None) -> None:
        """Discard the attempt."""


def is_retryable(failure: Failure) -> bool:
    """Return whether the same request may succeed if it is sent again.

    It may after a failed or broken connection, a timeout, an invalid reply, and the statuses 408, 409, 425,
    429 and 5xx. A request that got any other 4xx would be refused again.
    """
    if failure.kind == "status" and failure.status is not None:
        return failure.status >= 500 or failure.status in RETRIED_STATUS
    return failure.kind != "refused"


def delay(
    attempt: int, failure: Failure, backoff: float, draw: random.Random, longest: float = 60.0
) -> float:
    """Return the seconds to wait before a retry: what the service asks for, else exponential with jitter."""
    if failure.retry_after is not None:
        return min(failure.retry_after, longest)
    return min(backoff * 2.0 ** (attempt - 1), longest) * draw.uniform(0.5, 1.0)


def long_wait_line(failure: Failure, longest: float) -> str:
    """Return a line that reports an unusually long requested wait; empty if the wait is short."""
    seconds = failure.retry_after
    if seconds is None or seconds < REPORTED_WAIT_SECONDS:
        return ""
    if seconds > longest:
        return (
            f"the service asks to wait {seconds:g} s before the next attempt (Retry-After); "
            f"it follows after {longest:g} s, the maximum (load.longest_delay)"
        )
    return f"the service asks to wait {seconds:g} s before the next attempt (Retry-After): waiting"


def log_facts(request: Request) -> dict[str, Any]:
    """Return the fields that a log record takes from its request: the requested lengths."""
    params = request.params
    max_tokens = params.get("max_tokens", params.get("max_completion_tokens"))
    if isinstance(max_tokens, int):
        return {"max_tokens": max_tokens, **request.facts}
    return dict(request.facts)
