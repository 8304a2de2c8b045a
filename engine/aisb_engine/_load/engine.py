"""The engine: send requests through a backend under a load, try again what may succeed, log every attempt.

There are no modes here. In a closed loop clients keep a number of requests in flight; in an open loop each
request is launched at its planned time, with nothing between that and the socket. Each attempt is timed by
the same clock and appended to the log as it ends.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from aisb._backend import Backend, HttpBackend
from aisb._types import Failure, Message, Prediction, Request
from aisb_engine._load.crew import Crew
from aisb_engine._load.direct import ask_directly
from aisb_engine._progress import Progress

if TYPE_CHECKING:
    from aisb_engine._http.transport import Transport, WireRequest
    from aisb_engine._load.vitals import Vitals
    from aisb_engine._spec import Load

Clock = Callable[[], int]
Note = Callable[[str], None]

RETRIED_STATUS = frozenset({408, 409, 425, 429})
LONGEST_DELAY = 60.0
_BURST = 64
"""How many overdue requests are launched before the event loop has its turn."""
_ABREAST = 16
"""How many clients of a closed loop begin before it has."""


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


class Record(Protocol):
    """Where attempts go as they end: a `LogWriter`."""

    def append(self, prediction: Prediction, *, final: bool, extra: Mapping[str, Any] | None = None) -> None:
        """Keep one attempt."""


class Unlogged:
    """Where the attempts of warm-ups go."""

    def append(self, prediction: Prediction, *, final: bool, extra: Mapping[str, Any] | None = None) -> None:
        """Keep nothing."""


@dataclass(slots=True)
class Drive:
    """One backend driven with requests until they are answered, have failed for good, or it is stopped.

    `limit` is how many may be in flight here, None the load's own number. `vitals` is told how late requests
    are launched.
    """

    backend: Backend
    load: Load
    log: Record
    clock: Clock
    progress: Progress
    note: Note
    stopping: asyncio.Event
    limit: int | None = None
    vitals: Vitals | None = None

    async def run(
        self, requests: Iterable[Request], *, joins: Sequence[int] = (), until_ns: int | None = None
    ) -> None:
        """Keep as many requests in flight as the load says; return when the last one has ended.

        With `joins` there is a client for each of these times of the clock, from then on. After `until_ns`
        nothing more is begun; what is in flight is waited for.

        Raises:
            RunError: the log cannot be written.
        """
        clients = self.limit or concurrency(self.load, self.backend)
        waiting = iter(requests)

        async def client() -> None:
            for request in waiting:
                await self._converse(request, transport, None, until_ns)
                if until_ns is not None and self.clock() >= until_ns:
                    return

        async def enter(count: int) -> None:
            for number in range(count):
                crew.add(client())
                if number % _ABREAST == 0:  # thousands of connections at once would hold the loop for seconds
                    await asyncio.sleep(0)

        transport = _open(self.backend, self.load, self.clock, clients)
        async with Crew(self.stopping, transport) as crew:
            if not joins:
                crew.add(enter(min(clients, self.progress.total or clients)))
            else:
                crew.add(self._launch(((at, client) for at in joins), crew, until_ns))

    async def run_open(
        self, requests: Iterable[tuple[int, Request]], *, bound: int | None, until_ns: int | None = None
    ) -> None:
        """Launch each request at its planned time of the clock, whatever came of those before.

        With `bound` no more than that are in flight: a request that has to wait for its turn is late, and its
        record says so.

        Raises:
            RunError: the log cannot be written.
        """
        from aisb_engine._load.capacity import most_files

        transport = _open(self.backend, self.load, self.clock, bound or most_files())
        turns = asyncio.Semaphore(bound) if bound else None

        def launches() -> Iterator[tuple[int, Callable[[], Coroutine[Any, Any, None]]]]:
            for at, request in requests:
                yield at, partial(one, request, at, self._made_ready(request, transport))

        async def one(request: Request, at: int, ready: list[WireRequest]) -> None:
            try:
                await self._converse(request, transport, at, until_ns, ready)
            finally:
                if turns:
                    turns.release()

        async with Crew(self.stopping, transport) as crew:
            crew.add(self._launch(launches(), crew, until_ns, turns))

    @asynccontextmanager
    async def answering(self) -> AsyncIterator[Callable[[Request], Awaitable[Prediction]]]:
        """Answer single requests as they are wanted, no more at a time than the load says.

        Each is tried again and logged as in a run; what comes of its last attempt is returned.
        """
        clients = self.limit or concurrency(self.load, self.backend)
        transport = _open(self.backend, self.load, self.clock, clients)
        turns = asyncio.Semaphore(clients)

        async def answer(request: Request) -> Prediction:
            async with turns:
                self.progress.in_flight += 1
                try:
                    return await self._answer(request, transport, None)
                finally:
                    self.progress.in_flight -= 1

        try:
            yield answer
        finally:
            if transport is not None:
                await transport.aclose()

    async def warm_up(self, requests: Iterable[Request]) -> int:
        """Send requests whose answers are not logged; return how many were answered."""
        clients = self.limit or concurrency(self.load, self.backend)
        transport = _open(self.backend, self.load, self.clock, clients)
        waiting = iter(requests)
        answered = 0

        async def client() -> None:
            nonlocal answered
            for request in waiting:
                result = await self._attempt(request, transport, 1, None)
                answered += result.failure is None

        listed = [*waiting]
        waiting = iter(listed)
        async with Crew(self.stopping, transport) as crew:
            for _ in range(min(clients, len(listed))):
                crew.add(client())
        return answered

    async def _launch(
        self,
        launches: Iterable[tuple[int, Callable[[], Coroutine[Any, Any, None]]]],
        crew: Crew,
        until_ns: int | None,
        turns: asyncio.Semaphore | None = None,
    ) -> None:
        """Begin each of these at its time. The next one is made ready before its time is waited for."""
        from aisb_engine._load.pacing import Pacer

        pacer = Pacer(self.clock)
        behind = 0
        try:
            for at, begin in launches:
                if until_ns is not None and at >= until_ns:
                    return
                gate: asyncio.Future[None] | None = None
                if at > self.clock():
                    behind = 0
                    if not turns:  # it waits at its gate, which the clock opens: one turn of the loop less
                        gate = asyncio.get_running_loop().create_future()
                        crew.add(_behind(gate, begin))
                    await pacer.until(at, gate)
                else:
                    behind += 1
                    if behind % _BURST == 0:  # let what has been launched reach its socket
                        await asyncio.sleep(0)
                if turns:
                    await turns.acquire()
                if not gate:
                    crew.add(begin())
        finally:
            pacer.close()

    def _made_ready(self, request: Request, transport: Transport | None) -> list[WireRequest]:
        """Return a request's bytes, made before its time comes: a long prompt takes milliseconds."""
        if transport is None or not isinstance(self.backend, HttpBackend):
            return []
        from aisb_engine._http.assembly import wire

        try:
            return [wire(self.backend, transport, self.backend.encode(request))]
        except Exception:  # noqa: BLE001 - one request: it is made once more when sent, and then recorded
            return []

    async def _converse(
        self,
        request: Request,
        transport: Transport | None,
        planned: int | None,
        until_ns: int | None,
        ready: list[WireRequest] | None = None,
    ) -> None:
        """Get an answer, and one for each turn that follows, which waits for the answer before it."""
        if planned is not None and self.vitals:
            self.vitals.late(self.clock() - planned)
        self.progress.in_flight += 1
        try:
            answer = await self._answer(request, transport, planned, ready)
            while request.followups:
                if answer.failure is not None:
                    self._break_off(request, answer.failure)
                    return
                if until_ns is not None and self.clock() >= until_ns:
                    return
                request = next_turn(request, answer.text)
                # The schedule wants a next turn as soon as the answer before it is there.
                planned = None if planned is None else answer.timing.done_ns
                answer = await self._answer(request, transport, planned)
        finally:
            self.progress.in_flight -= 1

    def _break_off(self, request: Request, failure: Failure) -> None:
        """Count the turns that cannot be asked, since the one before them has no answer."""
        words = f"not asked: turn {request.turn} of its conversation failed ({failure.message})"
        for turn in range(request.turn + 1, request.turn + 1 + len(request.followups)):
            missing = replace(failure, message=words)
            self.log.append(
                Prediction(request.sample_id, request.repeat, turn, attempts=0, failure=missing), final=True
            )
            self._count_failure(f"{request.id.partition('.t')[0]}.t{turn}", missing)

    async def _answer(
        self,
        request: Request,
        transport: Transport | None,
        planned: int | None,
        ready: list[WireRequest] | None = None,
    ) -> Prediction:
        """Try until there is an answer, or no attempt is left; log every attempt, and return the last."""
        retries = self.load.retries if self.load.retries is not None else 3
        progress, extra = self.progress, facts_of(request)
        draw: random.Random | None = None
        attempt = 1
        while True:
            progress.sent += 1
            prediction = await self._attempt(request, transport, attempt, planned, ready)
            failure = prediction.failure
            final = failure is None or attempt > retries or not is_retryable(failure)
            self.log.append(prediction, final=final, extra=extra)
            if failure is None:
                progress.received += 1
                progress.finished += 1
                return prediction
            if final:
                self._count_failure(request.id, failure)
                times = f"{attempt} attempt{'s' * (attempt > 1)}"
                self.note(f"request {request.id}: failed after {times}: {failure.message}")
                return prediction
            progress.retried += 1
            draw = draw or random.Random(f"{self.load.seed}/{request.id}")
            pause = delay(attempt, failure, self.load.backoff, draw)
            self.note(f"request {request.id}: attempt {attempt}: {failure.message}; again in {pause:.1f} s")
            await asyncio.sleep(pause)
            attempt, planned = attempt + 1, None

    def _count_failure(self, name: str, failure: Failure) -> None:
        progress = self.progress
        progress.finished += 1
        progress.failed += 1
        progress.failures[failure.kind] = progress.failures.get(failure.kind, 0) + 1
        progress.first_failure = progress.first_failure or f"{name}: {failure.message}"

    def _attempt(
        self,
        request: Request,
        transport: Transport | None,
        attempt: int,
        planned: int | None,
        ready: list[WireRequest] | None = None,
    ) -> Awaitable[Prediction]:
        if transport is None or not isinstance(self.backend, HttpBackend):
            return ask_directly(self.backend, request, clock=self.clock, planned_ns=planned, attempts=attempt)
        if request.continuations:
            from aisb_engine._http.likelihood import ask_options

            return ask_options(self.backend, transport, request, planned_ns=planned, attempts=attempt)
        from aisb_engine._http.assembly import ask

        return ask(
            self.backend,
            transport,
            request,
            clock=self.clock,
            planned_ns=planned,
            attempts=attempt,
            note=self.note,
            ready=ready,
        )


async def _behind(gate: asyncio.Future[None], begin: Callable[[], Coroutine[Any, Any, None]]) -> None:
    await gate
    await begin()


def concurrency(load: Load, backend: Backend) -> int:
    """Return how many are in flight in a closed loop: the load's number, the backend's own, or 32."""
    return load.concurrency or backend.concurrency or 32


def facts_of(request: Request) -> dict[str, Any]:
    """Return what a record keeps of its request: what was asked of the lengths."""
    params = request.params
    asked = params.get("max_tokens", params.get("max_completion_tokens"))
    return ({"max_tokens": asked} if isinstance(asked, int) else {}) | dict(request.facts)


def next_turn(request: Request, answer: str) -> Request:
    """Return the next request of a conversation: everything said so far, the answer, and what follows."""
    said, *later = request.followups
    following = replace(request, turn=request.turn + 1, followups=tuple(later))
    if request.messages is not None:
        turns = (*request.messages, Message("assistant", answer), Message("user", said))
        return replace(following, messages=turns)
    return replace(following, text=f"{request.text or ''}\n{answer}\n{said}")


def _open(backend: Backend, load: Load, clock: Clock, limit: int) -> Transport | None:
    if not isinstance(backend, HttpBackend):
        return None
    from aisb_engine._http.transport import open_transport

    return open_transport(backend, timeouts=load.timeouts, clock=clock, limit=limit)
