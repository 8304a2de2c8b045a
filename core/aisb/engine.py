"""The engine: send requests through a backend under a load, try again what may succeed, log every attempt.

There are no modes here. A load says how many requests may be in flight; each attempt is timed by the same
clock and appended to the log as it ends.
"""

from __future__ import annotations

import asyncio
import random
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aisb.backend import Backend, HttpBackend
from aisb.errors import AttemptFailed, RunError
from aisb.progress import Progress
from aisb.types import Chunk, ChunkKind, Failure, Prediction, Request, Timing, Usage

if TYPE_CHECKING:
    from aisb.log import LogWriter
    from aisb.spec import Load
    from aisb.transport import Transport

Clock = Callable[[], int]
Note = Callable[[str], None]

RETRIED_STATUS = frozenset({408, 409, 425, 429})
LONGEST_DELAY = 60.0


def is_retryable(failure: Failure) -> bool:
    """Say whether the same request may succeed a moment later.

    Connections that fail or break, timeouts, replies that make no sense, 408, 409, 425, 429 and 5xx are; any
    other 4xx will be refused again.
    """
    if failure.kind == "status" and failure.status is not None:
        return failure.status >= 500 or failure.status in RETRIED_STATUS
    return failure.kind != "refused"


def delay(attempt: int, failure: Failure, backoff: float, draw: random.Random) -> float:
    """Return the seconds to wait after the given attempt: as the service asks, else doubling with jitter."""
    if failure.retry_after is not None:
        return min(failure.retry_after, LONGEST_DELAY)
    return min(backoff * 2.0 ** (attempt - 1), LONGEST_DELAY) * draw.uniform(0.5, 1.0)


@dataclass(slots=True)
class Drive:
    """One backend driven with requests until they are answered, have failed for good, or it is stopped."""

    backend: Backend
    load: Load
    log: LogWriter
    clock: Clock
    progress: Progress
    note: Note
    stopping: asyncio.Event

    async def run(self, requests: Iterable[Request]) -> None:
        """Send the requests, as many at a time as the load says; return when the last one has ended.

        Raises:
            RunError: the log cannot be written.
        """
        concurrency = self.load.concurrency or self.backend.concurrency or 32
        transport = _open(self.backend, self.load, self.clock, concurrency)
        waiting = iter(requests)
        try:
            clients = [
                asyncio.create_task(self._client(waiting, transport))
                for _ in range(min(concurrency, max(1, self.progress.total)))
            ]
            stop = asyncio.create_task(self.stopping.wait())
            try:
                await self._watch(clients, stop)
            finally:
                for task in (*clients, stop):
                    task.cancel()
                await asyncio.gather(*clients, stop, return_exceptions=True)
        finally:
            if transport is not None:
                await transport.aclose()

    async def warm_up(self, requests: Iterable[Request]) -> int:
        """Send requests one after another whose answers are not logged; return how many were answered."""
        transport = _open(self.backend, self.load, self.clock, 1)
        try:
            results = [await self._attempt(request, transport, 1) for request in requests]
        finally:
            if transport is not None:
                await transport.aclose()
        return sum(result.failure is None for result in results)

    async def _watch(self, clients: list[asyncio.Task[None]], stop: asyncio.Task[bool]) -> None:
        """Wait for all clients, for the stop, or for the first client that cannot go on."""
        pending: set[asyncio.Task[None] | asyncio.Task[bool]] = {*clients, stop}
        while pending - {stop} and not stop.done():
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()

    async def _client(self, waiting: Iterator[Request], transport: Transport | None) -> None:
        for request in waiting:
            self.progress.in_flight += 1
            try:
                await self._answer(request, transport)
            finally:
                self.progress.in_flight -= 1

    async def _answer(self, request: Request, transport: Transport | None) -> None:
        """Try until there is an answer, or no attempt is left; log every attempt."""
        retries = self.load.retries if self.load.retries is not None else 3
        draw = random.Random(f"{self.load.seed}/{request.id}")
        for attempt in range(1, retries + 2):
            self.progress.sent += 1
            prediction = await self._attempt(request, transport, attempt)
            failure = prediction.failure
            final = failure is None or attempt > retries or not is_retryable(failure)
            self.log.append(prediction, final=final)
            if failure is None:
                self.progress.received += 1
                self.progress.finished += 1
                return
            if final:
                self.progress.finished += 1
                self.progress.failed += 1
                self.progress.failures[failure.kind] = self.progress.failures.get(failure.kind, 0) + 1
                self.progress.first_failure = (
                    self.progress.first_failure or f"{request.id}: {failure.message}"
                )
                times = f"{attempt} attempt{'s' * (attempt > 1)}"
                self.note(f"{request.id}: failed after {times}: {failure.message}")
                return
            self.progress.retried += 1
            pause = delay(attempt, failure, self.load.backoff, draw)
            self.note(f"{request.id}: attempt {attempt}: {failure.message}; again in {pause:.1f} s")
            await asyncio.sleep(pause)

    async def _attempt(self, request: Request, transport: Transport | None, attempt: int) -> Prediction:
        if transport is None or not isinstance(self.backend, HttpBackend):
            return await ask_directly(self.backend, request, clock=self.clock, attempts=attempt)
        from aisb.assembly import ask

        return await ask(self.backend, transport, request, clock=self.clock, attempts=attempt, note=self.note)


async def ask_directly(backend: Backend, request: Request, *, clock: Clock, attempts: int = 1) -> Prediction:
    """Make one attempt through `Backend.generate`; a failure is part of the prediction, never raised.

    Chunks are stamped when they arrive, unless the backend stamped them itself.
    """
    sent = clock()
    gathered = _Gathered()
    failure: Failure | None = None
    try:
        async for chunk in backend.generate(request):
            gathered.add(chunk, chunk.stamp_ns if chunk.stamp_ns is not None else clock())
    except AttemptFailed as error:
        failure = error.failure
    except RunError:
        raise
    except Exception as error:  # noqa: BLE001 - one request: recorded as its failure, and counted
        failure = Failure("protocol", f"{type(error).__name__}: {error}")
    return replace(
        gathered.prediction(),
        sample_id=request.sample_id,
        repeat=request.repeat,
        turn=request.turn,
        attempts=attempts,
        failure=failure,
        timing=Timing(
            sent_ns=sent,
            chunk_ns=gathered.stamps,
            chunk_kinds=tuple(gathered.kinds),
            chunk_tokens=gathered.tokens if len(gathered.tokens) == len(gathered.stamps) else array("i"),
            done_ns=clock(),
        ),
    )


class _Gathered:
    """Chunks put together as they come."""

    def __init__(self) -> None:
        self.stamps: array[int] = array("q")
        self.kinds: list[ChunkKind] = []
        self.tokens: array[int] = array("i")
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.finish_reason: str | None = None
        self.usage: Usage | None = None

    def add(self, chunk: Chunk, stamp: int) -> None:
        self.stamps.append(stamp)
        self.kinds.append(chunk.kind)
        if chunk.tokens is not None:
            self.tokens.append(chunk.tokens)
        self.text.append(chunk.text)
        self.reasoning.append(chunk.reasoning)
        if chunk.finish_reason and self.finish_reason != "content_filter":  # a refusal still ends with stop
            self.finish_reason = chunk.finish_reason
        self.usage = chunk.usage or self.usage

    def prediction(self) -> Prediction:
        return Prediction(
            sample_id="",
            text="".join(self.text),
            reasoning="".join(self.reasoning),
            finish_reason=self.finish_reason,
            usage=self.usage,
        )


def _open(backend: Backend, load: Load, clock: Clock, limit: int) -> Transport | None:
    if not isinstance(backend, HttpBackend):
        return None
    from aisb.transport import open_transport

    return open_transport(backend, timeouts=load.timeouts, clock=clock, limit=limit)
