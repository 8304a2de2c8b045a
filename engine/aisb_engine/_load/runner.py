"""Run a subtask: send requests through a backend under a load, retry what may succeed, log every attempt.

In a closed loop, clients keep a number of requests in flight. In an open loop, each request is launched at
its planned time and goes straight to the socket. One clock times every attempt, and each attempt is appended
to the log when it ends. The main process runs a whole subtask; a worker process runs its share in the same
way.
"""

from __future__ import annotations

import asyncio
import random
from asyncio import Future
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from aisb._backend import Backend, HttpBackend
from aisb._types import Failure, Prediction, Request
from aisb_engine._data.conversations import next_turn
from aisb_engine._load.attempts import (
    AttemptLog,
    NullLog,
    delay,
    is_retryable,
    log_facts,
    long_wait_line,
)
from aisb_engine._load.brake import LoadBrake
from aisb_engine._load.client_health import ClientHealth
from aisb_engine._load.direct import ask_directly
from aisb_engine._load.pacing import BURST, Clock, Pacer, open_gates
from aisb_engine._load.process import import_transport, rare_collections
from aisb_engine._load.request_queue import OwnRequests, RequestQueue
from aisb_engine._load.share import LoadShare, RequestSource, rounds
from aisb_engine._load.task_group import TaskGroup
from aisb_engine._masking import mask_failure
from aisb_engine._progress import Progress

if TYPE_CHECKING:
    from aisb_engine._http.asker import Asker
    from aisb_engine._http.transport import WireRequest
    from aisb_engine._load.episodes import Episodes
    from aisb_engine._load.sessions import Sessions
    from aisb_engine._load.share import PlannedRequest

Note = Callable[[str], None]

PREPARED = 16
"""The number of requests that an open loop prepares before it starts: a long prompt takes milliseconds."""
CLIENTS_AT_ONCE = 16
"""The number of clients that a closed loop starts before it yields to the event loop."""


@dataclass(slots=True)
class SubtaskRunner:
    """One subtask, or a worker's share of one, while it runs.

    `log` stores the attempts, except those of warm-ups. `health_file` receives measurements of this process
    as a client; None switches them off. `say` shows a line to the user, and `note` writes one to the log of
    the subtask. `on_failure` is called after each failed request. With `episodes`, each request starts an
    episode in the task's environment; with `sessions`, it starts the session of its row.
    """

    backend: Backend
    share: LoadShare
    clock: Clock
    progress: Progress
    note: Note
    stopping: asyncio.Event
    log: AttemptLog = field(default_factory=NullLog)
    health_file: Path | None = None
    say: Note = lambda _line: None
    on_failure: Callable[[], None] = lambda: None
    episodes: Episodes | None = None
    sessions: Sessions | None = None
    _brake: LoadBrake | None = None
    _reported: set[str] = field(default_factory=set)
    _health: ClientHealth | None = None
    _asker: Asker | None = None
    _until_ns: int | None = None
    _is_closed: bool = False

    async def run(
        self, source: RequestSource, start: Callable[[], Awaitable[int]], queue: RequestQueue | None = None
    ) -> list[str]:
        """Send the requests of the share; return remarks on the measurement.

        It returns when the last request has ended, or when the run is stopped. The clients of a closed loop
        take requests from `queue`, or from `source` if there is none. `start` is called when everything is
        ready, and returns the start time on the clock, which all workers share. If the load has a duration,
        no request is sent after it; those in flight are awaited.

        Raises:
            RunError: the log cannot be written.
        """
        share = self.share
        import_transport(self.backend)
        planned = iter(source()) if share.is_open else iter(())
        first = list(islice(planned, PREPARED))
        origin_ns = await start()
        self._until_ns = None if share.duration_ns is None else origin_ns + share.duration_ns
        self.watch_for_outage()
        with rare_collections(), self._measured_health() as health:
            # Of a session, several turns may be in flight.
            limit = share.limit if self.sessions is None else None
            async with self.connected(limit), TaskGroup(self.stopping) as group:
                if share.is_open:
                    launched = ((origin_ns + at, request) for at, request in chain(first, planned))
                    group.add(asyncio.create_task(self._launch(launched, group)))
                elif share.load.pressure_time:
                    queue = queue or OwnRequests(rounds(share, source))
                    gates = [(origin_ns + at, Future[None]()) for at in share.client_starts]
                    for _, gate in gates:
                        group.add(asyncio.create_task(self._client(queue, gate)))
                    group.add(asyncio.create_task(open_gates(self.clock, gates)))
                else:
                    once = (request for _, request in source())
                    queue = queue or OwnRequests(rounds(share, source) if share.is_endless else once)
                    for number in range(self._clients()):
                        group.add(asyncio.create_task(self._client(queue)))
                        # Thousands of connections at once would block the loop.
                        if number % CLIENTS_AT_ONCE == 0:
                            await asyncio.sleep(0)
                        if group.is_ending:
                            break
        remarks = [health.failure] if health and health.failure else []
        return remarks + (self._brake.remarks if self._brake else [])

    async def warm_up(self, requests: Iterable[Request], clients: int) -> int:
        """Send requests without logging the replies; return the number that succeeded."""
        waiting = iter(requests)
        answered = 0

        async def client() -> None:
            nonlocal answered
            for request in waiting:
                prediction = await self._attempt(request, 1, None)
                answered += prediction.failure is None

        async with self.connected(clients), TaskGroup(self.stopping) as group:
            for _ in range(clients):
                group.add(asyncio.create_task(client()))
        return answered

    @asynccontextmanager
    async def connected(self, limit: int | None) -> AsyncIterator[None]:
        """Hold a pool of at most `limit` connections to the backend's service while the block runs."""
        if not isinstance(self.backend, HttpBackend):
            yield
            return
        from aisb_engine._http.asker import Asker
        from aisb_engine._http.transport import TransportSettings, open_transport
        from aisb_engine._load.connection_limits import max_connections

        timeouts, limit = self.share.load.timeouts, limit or max_connections()
        transport = open_transport(
            self.backend,
            TransportSettings(
                timeouts=timeouts,
                clock=self.clock,
                limit=limit,
                max_reply=self.share.load.max_reply,
                max_head=self.share.load.max_head,
                say=self._say_once,
            ),
        )
        self._asker = Asker(self.backend, transport, self.note, self.share.load.session_header)
        try:
            yield
        finally:
            await self._asker.aclose()
            self._asker = None

    def watch_for_outage(self) -> None:
        """Start to watch for an outage, unless the share says to go on: attempts wait while none succeeds."""
        if self.share.on_outage != "continue" and self.share.load.brake.failures:
            self._brake = LoadBrake(self.share, self.clock, self.say)

    @contextmanager
    def _measured_health(self) -> Iterator[ClientHealth | None]:
        """Measure the health of this process as a client, if there is a file to write it to."""
        if self.health_file is None:
            yield None
            return
        self._health = ClientHealth(self.health_file, self.clock, lambda: self.progress.in_flight)
        try:
            yield self._health
        finally:
            self._health.close()

    def _clients(self) -> int:
        """Return the number of clients in a closed loop: at most one per request, if that number is known."""
        limit = self.share.limit or 1
        if self.share.is_endless:
            return limit
        return min(limit, self.progress.total or limit)

    async def _client(self, queue: RequestQueue, gate: Future[None] | None = None) -> None:
        """Send one request after another from the queue that all clients share."""
        if gate is not None:
            await gate
        waits = 0
        while (request := await self._next(queue)) is not None and not self._is_over():
            await self._converse(request)
            if self._brake is not None and self._until_ns is not None:
                waits = await self._slow_down(self._brake, waits)

    async def _next(self, queue: RequestQueue) -> Request | None:
        """Return the next request. Those that failed in an outage come first, once it is over."""
        if self._brake is None or not self._brake.to_resend:
            return await queue.next()
        request, failure = self._brake.to_resend.popleft()
        self._forget_failure(request, failure)
        return request

    async def _slow_down(self, brake: LoadBrake, waits: int) -> int:
        """Make a client wait while nothing succeeds; return how many times in a row it has waited."""
        if not brake.is_on:
            return 0
        await brake.hold(waits, self._until_ns)
        return waits + 1

    async def _launch(self, requests: Iterable[PlannedRequest], group: TaskGroup) -> None:
        """Launch each request at its planned time, without waiting for earlier ones.

        Each request is encoded before its planned time. If the concurrency is limited, a request may have to
        wait for an earlier one to end. It is then late, and its record shows it.
        """
        turns = asyncio.Semaphore(self.share.limit) if self.share.limit else None
        pacer, overdue = Pacer(self.clock), 0
        try:
            for at, request in requests:
                if self._is_closed:
                    return
                encoded = self._encode(request)
                gate: Future[None] | None = None
                if at > self.clock():
                    overdue = 0
                    if turns is None:  # a task that waits at a gate saves one turn of the loop
                        gate = Future()
                        group.add(asyncio.create_task(self._converse(request, at, encoded, gate)))
                    await pacer.until(at, gate)
                else:
                    overdue += 1
                    if overdue % BURST == 0:  # let the launched requests reach their sockets
                        await asyncio.sleep(0)
                if turns is not None:
                    await turns.acquire()
                    if self._is_over():
                        return
                if gate is None:
                    task = asyncio.create_task(self._converse(request, at, encoded))
                    group.add(task)
                    if turns is not None:
                        task.add_done_callback(lambda _, turns=turns: turns.release())  # type: ignore[misc]
        finally:
            pacer.close()

    def _encode(self, request: Request) -> list[WireRequest]:
        """Return the encoded request; empty if it is not sent by HTTP, or starts an episode or a session."""
        return [] if self._asker is None or self.episodes or self.sessions else self._asker.prepare(request)

    def stop_sending(self) -> None:
        """Send no further request. Those in flight run to their end."""
        self._is_closed = True

    def _is_over(self, at_ns: int | None = None) -> bool:
        """Return whether nothing more is sent, now or at a planned time."""
        if self._is_closed or self._until_ns is None:
            return self._is_closed
        return max(at_ns or 0, self.clock()) >= self._until_ns

    async def _converse(
        self,
        request: Request,
        planned_ns: int | None = None,
        encoded: list[WireRequest] | None = None,
        gate: Future[None] | None = None,
    ) -> None:
        """Send a request and its follow-up turns; each turn waits for the reply to the previous one."""
        if gate is not None:
            await gate
        if planned_ns is not None and self._health:
            self._health.record_lateness(self.clock() - planned_ns)
        self.progress.in_flight += 1
        try:
            if self.episodes is not None:
                await self.episodes.run(request, planned_ns, self._ask_turn, self._is_over)
                return
            if self.sessions is not None:
                await self.sessions.run(request, planned_ns, self.answer, self._skip_turn, self._is_over)
                return
            prediction = await self.answer(request, planned_ns, encoded)
            while request.followups:
                if prediction.failure is not None and not request.replies:
                    self._skip_followups(request, prediction.failure)
                    return
                if self._is_over():
                    return
                request = next_turn(request, prediction.text)
                # A follow-up turn is due as soon as the previous reply is complete.
                planned_ns = None if planned_ns is None else prediction.timing.done_ns
                prediction = await self.answer(request, planned_ns)
        finally:
            self.progress.in_flight -= 1

    def _ask_turn(self, request: Request, planned_ns: int | None) -> Awaitable[Prediction]:
        """Send one turn of an episode, whose number of turns is not known in advance."""
        self.progress.total += request.turn > 0
        return self.answer(request, planned_ns)

    async def answer(
        self, request: Request, planned_ns: int | None = None, encoded: list[WireRequest] | None = None
    ) -> Prediction:
        """Send a request until an attempt succeeds or none is left; log every attempt, and return the last.

        Raises:
            ServiceError: nothing has succeeded for longer than `load.outage`.
        """
        load, progress, brake, extra = self.share.load, self.progress, self._brake, log_facts(request)
        retries = load.retries if load.retries is not None else 3
        draw: random.Random | None = None
        attempt, sent = 1, 0
        while True:
            progress.sent += 1
            began_ns = self.clock() if brake is not None else 0
            if brake is not None and brake.is_paused:
                prediction = await self._attempt_after_pause(brake, request, sent + 1)
            else:
                prediction = await self._attempt(request, sent + 1, planned_ns, encoded)
            sent = prediction.attempts  # the transport may have sent it twice
            if prediction.failure is not None:
                prediction = replace(prediction, failure=mask_failure(prediction.failure))
            failure, is_excused = prediction.failure, False
            if brake is not None:
                brake.record_end(failure, prediction.timing.sent_ns)
                is_excused = failure is not None and brake.excuses(began_ns, failure)
            final = failure is None or not is_retryable(failure) or (attempt > retries and not is_excused)
            # A failed request was in flight until its failure, even if part of a reply had arrived.
            facts = extra if failure is None else {**extra, "failed_ns": self.clock()}
            self.log.append(prediction, final=final, extra=facts)
            if failure is None:
                progress.received += 1
                progress.finished += 1
                if prediction.usage is not None:
                    progress.output_tokens += prediction.usage.output_tokens or 0
                return prediction
            if final:
                if brake is not None:
                    brake.record_exhausted(request, failure)
                self._count_failure(request.id, failure)
                times = f"{sent} attempt{'s' * (sent > 1)}"
                self.note(f"request {request.id}: failed after {times}: {failure.message}")
                return prediction
            progress.retried += 1
            draw = draw or random.Random(f"{load.seed}/{request.id}")
            pause = 0.0 if is_excused else delay(attempt, failure, load.backoff, draw, load.longest_delay)
            again = "again after the outage" if is_excused else f"again in {pause:.1f} s"
            self.note(f"request {request.id}: attempt {attempt}: {failure.message}; {again}")
            self._say_once(long_wait_line(failure, load.longest_delay))
            await asyncio.sleep(pause)
            attempt += not is_excused
            planned_ns = None

    async def _attempt_after_pause(self, brake: LoadBrake, request: Request, attempt: int) -> Prediction:
        """Wait for the end of the pause, or become the probe that may end it; then make an attempt."""
        is_probe = await brake.wait()
        with brake.probing() if is_probe else nullcontext():
            return await self._attempt(request, attempt, None)

    def _say_once(self, line: str) -> None:
        if line and line not in self._reported:
            self._reported.add(line)
            self.say(line)

    def _attempt(
        self,
        request: Request,
        attempt: int,
        planned_ns: int | None,
        encoded: list[WireRequest] | None = None,
    ) -> Awaitable[Prediction]:
        """Return an awaitable that makes one attempt at a request."""
        if self._asker is not None:
            return self._asker.attempt(request, attempt, planned_ns, encoded)
        return ask_directly(self.backend, request, clock=self.clock, planned_ns=planned_ns, attempts=attempt)

    def _skip_followups(self, request: Request, failure: Failure) -> None:
        """Record the turns that are not sent because an earlier turn failed."""
        message = f"not sent: turn {request.turn} of its conversation failed ({failure.message})"
        for turn in range(request.turn + 1, request.turn + 1 + len(request.followups)):
            self._skip_turn(replace(request, turn=turn), replace(failure, message=message))

    def _skip_turn(self, request: Request, failure: Failure) -> None:
        """Record a turn that is not sent."""
        skipped = Prediction(*request.key, attempts=0, failure=failure)
        self.log.append(skipped, final=True)
        self._count_failure(request.id, failure)

    def _count_failure(self, name: str, failure: Failure) -> None:
        progress = self.progress
        progress.finished += 1
        progress.failed += 1
        progress.failures[failure.kind] = progress.failures.get(failure.kind, 0) + 1
        progress.first_failure = progress.first_failure or f"{name}: {failure.message}"
        self.on_failure()

    def _forget_failure(self, request: Request, failure: Failure) -> None:
        """Undo the count of a failed request and its follow-up turns, because it will be sent again."""
        turns, progress = 1 + len(request.followups), self.progress
        progress.finished -= turns
        progress.failed -= turns
        progress.failures[failure.kind] -= turns
        if not progress.failures[failure.kind]:
            del progress.failures[failure.kind]
        if progress.first_failure.startswith(f"{request.id}: "):
            progress.first_failure = ""
