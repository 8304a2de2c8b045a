"""Run a subtask on a launcher's workers: they start together and share a queue; their counts are added up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aisb._errors import AisbError, RunError
from aisb._plugins import Component
from aisb._report import command_on
from aisb._running import Launcher
from aisb_engine._faults import RAISED, ComponentError, describe, is_stop, worker_error
from aisb_engine._load.episode_workers import SharedEpisodes, permissions
from aisb_engine._load.handing_out import Replies, SharedRequests, shared_requests
from aisb_engine._load.job import BackendRecipe, WorkerJob, variables_of
from aisb_engine._load.load_record import LoadRecord
from aisb_engine._load.lost_workers import FinishedWork, LostWorkers
from aisb_engine._load.prepared import PreparedSubtask
from aisb_engine._load.runner import SubtaskRunner
from aisb_engine._load.share import PlannedRequest, distribute_requests
from aisb_engine._progress import COUNTED_FIELDS

COMMON_START_LEAD_NS = 30_000_000
"""All workers start this long after the last one is ready."""
STOP_SECONDS = 10.0
"""Seconds that workers have to end after a stop."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the workers of a subtask run: the launcher, and the recipe of their backends.

    `error` wraps an exception of the launcher in one that names the launcher and its plugin. `environments`
    assign devices to workers with local models.
    """

    launcher: Launcher
    component: Component
    error: Callable[[str, BaseException], ComponentError]
    environments: Sequence[Mapping[str, str]]


@dataclass(slots=True)
class LaunchedSubtask:
    """A subtask while a launcher's workers run their shares of it.

    In a load that `is_measured`, the requests of a lost worker are not sent again. With `episodes`, workers
    make the environment that it describes, and run whole episodes.
    """

    runner: SubtaskRunner
    prepared: PreparedSubtask
    placement: Placement
    record: LoadRecord
    is_measured: bool
    episodes: SharedEpisodes | None = None
    _jobs: Sequence[WorkerJob] = ()
    _counts: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    _started_ns: int | None = None
    _planned: int = 0

    async def run(
        self,
        requests: Iterable[PlannedRequest],
        start: Callable[[int], int],
        *,
        folder: Path,
        session: int,
        began_ns: int,
    ) -> None:
        """Let the workers send the requests; return when all workers have ended.

        `start` is called with the time at which the load starts, and returns it.

        Raises:
            RunError: a worker failed; workers were lost and no other worker can send their requests; the
                launcher failed; or a file cannot be written.
            ConfigError: other processes cannot make the backend.
        """
        self._jobs = jobs = self._make_jobs(folder, session, began_ns)
        launcher, stopping = self.placement.launcher, self.runner.stopping
        with self._request_files(requests) as shared, self._as_run_error():
            async with AsyncExitStack() as cleanup:  # run in reverse order, each even if another one fails
                if self.episodes is not None:
                    cleanup.push_async_callback(self.episodes.close)
                cleanup.push_async_exit(self._at_end(launcher.collect))
                cleanup.push_async_exit(self._at_end(lambda: launcher.stop(STOP_SECONDS)))
                cleanup.push_async_exit(self._at_end(lambda: launcher.send({"stop": True})))
                if not await _until_stopped(launcher.start(jobs), stopping):
                    return
                # Only now: a worker reads no message before it has its job.
                await cleanup.enter_async_context(_stop_workers_with_run(stopping, launcher))
                await self._follow(start, shared)

    def _request_files(
        self, requests: Iterable[PlannedRequest]
    ) -> AbstractContextManager[SharedRequests | None]:
        """Write the request files that the jobs read; in a closed loop also yield the shared queue."""
        share, jobs = self.runner.share, self._jobs
        attach = None if self.episodes is None else self.episodes.attach
        if share.is_open:
            return distribute_requests([job.requests for job in jobs], requests, attach)
        return shared_requests(
            jobs[0].requests,
            requests,
            len(jobs),
            is_endless=share.is_endless,
            takes_back=not self.is_measured,
            attach=attach,
        )

    def _make_jobs(self, folder: Path, session: int, began_ns: int) -> list[WorkerJob]:
        placement, share = self.placement, self.runner.share
        recipe = BackendRecipe.of(self.prepared.backend, placement.component, self.prepared.model.options)
        keys = variables_of(self.prepared.backend)
        episodes = None if self.episodes is None else self.episodes.recipe
        if episodes is not None:
            keys |= permissions()
        return [
            WorkerJob(
                replace(share, number=number),
                folder,
                session,
                recipe,
                began_ns,
                {**keys, **environment},
                episodes,
            )
            for number, environment in enumerate(placement.environments)
        ]

    async def _follow(self, start: Callable[[int], int], shared: SharedRequests | None) -> None:
        """Start the load when all workers are ready, and follow their messages until all have ended.

        Raises:
            RunError: a worker failed; workers were lost before the start, or all of them, or with requests
                that no other worker can send; the launcher named a worker that does not exist, or ended
                before all workers were ready.
        """
        runner, launcher = self.runner, self.placement.launcher
        self._planned = runner.progress.total
        planned = self.record.facts["planned"]
        lost, running = LostWorkers(runner.share, shared, planned), set(range(len(self._jobs)))
        preparing = set(running)
        async for number, message in launcher.watch():
            if number not in range(len(self._jobs)):
                raise RunError(
                    f"the launcher forwarded a message of worker {number!r:.80}; "
                    f"its workers are 0 to {len(self._jobs) - 1}"
                )
            if "error" in message:
                raise worker_error(message)
            if "lost" in message:
                running.discard(number)
                await self._handle_loss(lost, number, message["lost"], is_last=not running)
            elif shared is not None:
                await self._send(_answers(shared, number, message))
            if self.episodes is not None:
                self.episodes.follow(number, message, launcher)
            if "ready" in message:
                running.add(number)
                preparing.discard(number)
                if self._started_ns is not None:  # a new worker in the place of a lost one
                    await launcher.send_to(number, {"start": self._started_ns})
                elif not preparing and not runner.stopping.is_set():
                    self._started_ns = start(runner.clock() + max(COMMON_START_LEAD_NS, launcher.lead_ns))
                    await launcher.send({"start": self._started_ns})
            self._keep(number, message)
        if not runner.stopping.is_set():
            self._check_end(lost, preparing)

    def _check_end(self, lost: LostWorkers, preparing: Iterable[int]) -> None:
        """Raise if the launcher ended before the load began, or if requests of lost workers were not sent."""
        if preparing:
            missing = ", ".join(map(str, sorted(preparing)))
            raise RunError(f"the launcher ended before all workers were ready; not ready: {missing}")
        is_left = lost.shared is not None and lost.shared.takes_back and not lost.shared.is_over
        if is_left or (lost.unsent and not self.is_measured):
            raise RunError(
                "workers were lost, and not all of their requests could be sent again; send the rest with: "
                f"{command_on(self._jobs[0].folder.parents[2], 'aisb run --reuse')}"
            )

    async def _handle_loss(self, lost: LostWorkers, number: int, reason: str, *, is_last: bool) -> None:
        """Continue without a worker: count what it finished, and give the rest to others.

        Raises:
            RunError: it was lost before the start, or it was the last worker.
        """
        runner, launcher, job = self.runner, self.placement.launcher, self._jobs[number]
        if self._started_ns is None:
            raise RunError(reason)
        ended = None if self.episodes is None else [*self.episodes.ended]
        done = await asyncio.to_thread(FinishedWork.of, job.share.log_file(job.folder), job.session, ended)
        passed_ns = runner.clock() - self._started_ns
        facts = await asyncio.to_thread(lost.record, number, done, job.requests, passed_ns)
        # Under another number: a new worker in its place counts from zero.
        self._counts[-1 - number] = done.counts(self._counts.pop(number, None))
        self._add_up()
        self.record.keep_loss({**facts, "how": reason})
        runner.say(self._loss_line(reason, facts))
        may_replace = not runner.stopping.is_set() and lost.may_replace(number)
        is_replaced = may_replace and await launcher.replace(number)
        if is_last and not is_replaced:
            raise RunError(reason)
        if lost.shared is not None:
            await self._send(lost.shared.serve_waiting())

    def _loss_line(self, reason: str, facts: Mapping[str, Any]) -> str:
        resent, missing = facts["resent"], facts["lost"]
        if missing:
            return f"{reason}; its {missing} unfinished requests are lost"
        return f"{reason}; its {resent} unfinished requests are sent again"

    async def _send(self, replies: Replies) -> None:
        for number, message in replies:
            await self.placement.launcher.send_to(number, message)

    def _keep(self, number: int, message: Mapping[str, Any]) -> None:
        """Record what a worker or the launcher reports about the load."""
        runner = self.runner
        if "counts" in message:
            self._counts[number] = message
            self._add_up()
            runner.on_failure()
        if "clock" in message:
            self.record.keep_clock(message["clock"])
        if "say" in message:
            runner.say(f"worker {number}: {message['say']}")
        if "note" in message:
            runner.note(f"worker {number}: {message['note']}")
        for line in message.get("notes", ()):
            self.record.remark(f"worker {number}: {line}")

    def _add_up(self) -> None:
        """Add the workers' counts up in this subtask's progress."""
        progress, messages = self.runner.progress, list(self._counts.values())
        for name in COUNTED_FIELDS:
            setattr(progress, name, sum(message["counts"][name] for message in messages))
        progress.finished += progress.resumed
        progress.total = self._planned + sum(message["further_turns"] for message in messages)
        failures: dict[str, int] = {}
        for message in messages:
            for kind, number in message["failures"].items():
                failures[kind] = failures.get(kind, 0) + number
            progress.first_failure = progress.first_failure or message["first_failure"]
        progress.failures = failures
        progress.detail = "; ".join(line for message in messages if (line := message.get("live")))

    @contextmanager
    def _as_run_error(self) -> Iterator[None]:
        """Turn any exception of a launcher into a `RunError`, and record it."""
        hint = "  all finished requests are kept in the log"
        try:
            yield
        except RunError as error:
            raise type(error)(f"{error}\n{hint}") from error
        except AisbError:
            raise
        except RAISED as error:
            if is_stop(error):
                raise
            fault = self.placement.error("", error)
            self.prepared.faults.add(fault, self.prepared.name)
            raise RunError(f"{fault}\n{hint}") from error

    def _at_end(self, step: Callable[[], Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """Wrap a step of the cleanup: if it fails after another error, its own error goes to the log only."""

        async def leave(_kind: object, error: BaseException | None, _trace: object) -> None:
            try:
                await step()
            except Exception as failure:
                if error is None:
                    raise
                self.runner.note(f"the launcher failed: {describe(failure)}")

        return leave


def _answers(shared: SharedRequests, number: int, message: Mapping[str, Any]) -> Replies:
    """Return the answers to a worker's message about its queue."""
    if "want" in message:
        return shared.answer(number, *message["want"])
    return shared.rest(number, message["idle"]) if "idle" in message else []


async def _until_stopped(work: Awaitable[None], stopping: asyncio.Event) -> bool:
    """Wait for work, and cancel it if the run is stopped; return whether it was done."""
    task, stopped = asyncio.ensure_future(work), asyncio.create_task(stopping.wait())
    stopped.add_done_callback(lambda one: one.cancelled() or task.cancel())
    try:
        await task
    except asyncio.CancelledError:
        this = asyncio.current_task()
        if stopping.is_set() and not (this and this.cancelling()):
            return False
        raise
    finally:
        stopped.cancel()
    return True


@asynccontextmanager
async def _stop_workers_with_run(stopping: asyncio.Event, launcher: Launcher) -> AsyncIterator[None]:
    """Stop the workers when the run is stopped; at once if it already is."""

    async def stop() -> None:
        await stopping.wait()
        await launcher.send({"stop": True})
        await launcher.stop(STOP_SECONDS)

    task = asyncio.create_task(stop())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
