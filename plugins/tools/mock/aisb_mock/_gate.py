"""The mock's capacity: slots with a queue, a rate limiter, and replies that slow each other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from aisb_mock._replies import Refused

if TYPE_CHECKING:
    from aisb_mock._options import MockOptions

NS_PER_SECOND = 1_000_000_000
LIMITED = Refused(429, "Too many requests; try again later.", "RateLimitError")
FULL = Refused(503, "The queue is full.", "ServiceUnavailableError")


class Gate:
    """Admits requests while there are free slots, in the order of arrival."""

    def __init__(self, options: MockOptions) -> None:
        self._slots = options.slots
        self._longest = options.queue
        self._rate = options.rate_limit
        self._burst = float(options.rate_burst)
        self._tokens = self._burst
        self._since = 0
        self._batch_ns = options.batch_ms * 1_000_000
        self._inside: set[int] = set()
        self._queue: deque[tuple[int, Callable[[], None]]] = deque()

    def refuse(self, now: int) -> Refused | None:
        """Return the refusal of an arriving request, by the rate limiter or a full queue; else None."""
        if self._rate is not None:
            passed = (now - self._since) / NS_PER_SECOND if self._since else 0.0
            self._tokens = min(self._burst, self._tokens + self._rate * passed)
            self._since = now
            if self._tokens < 1:
                return LIMITED
        if self._longest is not None and self._is_full() and len(self._queue) >= self._longest:
            return FULL
        self._tokens -= 1
        return None

    def enter(self, number: int, begin: Callable[[], None]) -> None:
        """Begin a request as soon as a slot is free."""
        if self._is_full():
            self._queue.append((number, begin))
        else:
            self._inside.add(number)
            begin()

    def leave(self, number: int) -> None:
        """Pass the slot of a request to the one that has waited longest; do nothing without a slot."""
        if number not in self._inside:
            return
        self._inside.discard(number)
        if self._queue and not self._is_full():
            follower, begin = self._queue.popleft()
            self._inside.add(follower)
            begin()

    def slowdown(self) -> int:
        """Return the current delay of a token by other replies, in nanoseconds."""
        return int(self._batch_ns * max(0, len(self._inside) - 1))

    def _is_full(self) -> bool:
        return self._slots is not None and len(self._inside) >= self._slots
