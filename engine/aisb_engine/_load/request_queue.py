"""The queue from which the clients of a closed loop take requests: local, or shared by the run's workers.

With several workers, the run hands out the requests of one file in order, so that no worker is idle while
another has requests left. A worker asks for more before it needs them. Messages carry only positions in the
file, so that long prompts cost as little as short ones.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

from aisb._types import Request
from aisb_engine._load.prefix_cache import in_round
from aisb_engine._load.share import LoadShare, ReadAttached, parse_request

AHEAD = 0.1
"""Seconds of work in a worker's queue: far longer than the run takes to answer, and short enough that workers
end at nearly the same time."""


class RequestQueue(Protocol):
    """Gives clients their requests, each once."""

    async def next(self) -> Request | None:
        """Return the next request; None when there is none left."""


class OwnRequests:
    """The queue of a process that sends all requests itself."""

    def __init__(self, requests: Iterable[Request]) -> None:
        self._requests: Iterator[Request] = iter(requests)

    async def next(self) -> Request | None:
        """Return the next request; None when there is none left."""
        return next(self._requests, None)


class RequestSpan(NamedTuple):
    """Consecutive requests of the file: their byte offset, their number, and their round."""

    offset: int
    length: int
    round: int


class WorkerQueue:
    """The shared queue as a worker sees it. It has at most one pending question to the main process.

    `ask` sends a message to the main process. A request is read from the file when a client takes it; `read`
    gets what is attached to it.
    """

    def __init__(
        self,
        path: Path,
        share: LoadShare,
        ask: Callable[[Mapping[str, Any]], None],
        read: ReadAttached | None = None,
    ) -> None:
        self._path = path
        self._share = share
        self._ask = ask
        self._read_attached = read
        self._file: IO[bytes] | None = None
        self._spans: deque[RequestSpan] = deque()
        self._left_in_first = 0
        self._waiting: deque[asyncio.Future[Request | None]] = deque()
        self._demand = 0  # by clients, including those that still wait
        self._received = 0
        self._is_asking = False
        self._is_complete = False
        self._ahead = 0
        self._measured_at, self._demand_then = time.monotonic(), 0
        self._filled = asyncio.Event()

    async def fill(self) -> None:
        """Ask for the first requests and wait for them, so that all clients can begin at the same time."""
        self._is_asking = True
        self._ask({"want": [self._share.limit or 1, 0]})
        await self._filled.wait()

    async def next(self) -> Request | None:
        """Return the next request; None when the run has none left."""
        self._demand += 1
        if self._spans:
            request = self._read()
        elif self._is_complete:
            return None
        else:
            future: asyncio.Future[Request | None] = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            self._ask_if_low()
            if len(self._waiting) == (self._share.limit or 1):  # all clients wait: nothing is in flight here
                self._ask({"idle": self._received})
            return await future
        self._ask_if_low()
        return request

    def take(self, spans: Iterable[Iterable[int]], *, is_complete: bool) -> None:
        """Add requests that the run handed out; `is_complete` marks the last ones."""
        self._is_asking = False
        self._is_complete = self._is_complete or is_complete
        for each in spans:
            span = RequestSpan(*each)
            self._spans.append(span)
            self._received += span.length
        self._filled.set()
        while self._waiting and (self._spans or self._is_complete):
            client = self._waiting.popleft()
            if not client.done():  # a cancelled client must not take a request with it
                client.set_result(self._read() if self._spans else None)
        if self._waiting:
            self._ask_if_low()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _ask_if_low(self) -> None:
        # It asks with work for AHEAD / 2 seconds left, so no client is idle if the run answers by then.
        if self._is_asking or self._is_complete or self._received - self._demand > self._ahead // 2:
            return
        self._is_asking = True
        # At the end of this turn of the event loop, since many clients may want a request in one turn.
        asyncio.get_running_loop().call_soon(self._ask_for_more)

    def _ask_for_more(self) -> None:
        now = time.monotonic()
        # A shorter interval would measure bursts instead of the rate at which clients take requests.
        if (passed := now - self._measured_at) >= AHEAD:
            self._ahead = round(AHEAD * (self._demand - self._demand_then) / passed)
            self._measured_at, self._demand_then = now, self._demand
        self._ask({"want": [self._demand, self._ahead]})

    def _read(self) -> Request:
        """Read the next request that was handed out."""
        span = self._spans[0]
        if self._file is None:
            self._file = self._path.open("rb")
        if not self._left_in_first:
            self._file.seek(span.offset)
            self._left_in_first = span.length
        _, request = parse_request(self._file.readline(), self._read_attached)
        self._left_in_first -= 1
        if not self._left_in_first:
            self._spans.popleft()
        return in_round(request, span.round, self._share.repeats, self._share.cache_buster)
