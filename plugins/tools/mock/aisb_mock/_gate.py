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
    """Lets requests in while there are slots, in the order in which they came."""

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
        """Return how a request is refused that comes now: by the limiter, or by a full queue."""
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
        """Begin a request as soon as there is a slot for it."""
        if self._is_full():
            self._queue.append((number, begin))
        else:
            self._inside.add(number)
            begin()

    def leave(self, number: int) -> None:
        """Pass the slot of a request to the longest waiting one; do nothing if it has none."""
        if number not in self._inside:
            return
        self._inside.discard(number)
        if self._queue and not self._is_full():
            follower, begin = self._queue.popleft()
            self._inside.add(follower)
            begin()

    def slowdown(self) -> int:
        """Return the nanoseconds that the other replies add to a token now."""
        return int(self._batch_ns * max(0, len(self._inside) - 1))

    def _is_full(self) -> bool:
        return self._slots is not None and len(self._inside) >= self._slots
