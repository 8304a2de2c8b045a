"""Run a subtask on a launcher's workers: they start together and share a queue; their counts are added up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aisb._errors import AisbError, RunError, ServiceError, StorageError
from aisb._plugins import Component
from aisb._running import Launcher
from aisb_engine._faults import RAISED, ComponentError, describe, is_stop
from aisb_engine._load.handing_out import SharedRequests, shared_requests
from aisb_engine._load.job import BackendRecipe, WorkerJob, variables_of
from aisb_engine._load.prepared import PreparedSubtask
from aisb_engine._load.runner import SubtaskRunner
from aisb_engine._load.share import PlannedRequest, dealt_requests
from aisb_engine._progress import COUNTS

LEAD_NS = 30_000_000
"""How long after the last worker is ready all of them start."""
PATIENCE = 10.0
"""Seconds that workers have to end after they were told to stop."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the workers of a subtask run: the launcher, and what their backends are made from.

    `error` makes an exception of the launcher one that names it and its plugin. `environments` give workers
    with local models devices of their own.
    """

    launcher: Launcher
    component: Component
    error: Callable[[str, BaseException], ComponentError]
    environments: Sequence[Mapping[str, str]]


@dataclass(slots=True)
class LaunchedSubtask:
    """A subtask while the workers of a launcher run their shares of it."""

    runner: SubtaskRunner
    prepared: PreparedSubtask
    placement: Placement
    remark: Callable[[str], None]
    keep_clock: Callable[[Mapping[str, Any]], None]
    _counts: dict[int, Mapping[str, Any]] = field(default_factory=dict)

    async def run(
        self,
        requests: Iterable[PlannedRequest],
        start: Callable[[int], int],
        *,
        folder: Path,
        session: int,
        began_ns: int,
    ) -> None:
        """Let the workers send the requests; return when all have ended.

        `start` is told when the load starts, and returns that time.

        Raises:
            RunError: a worker could not go on, or was lost; the launcher failed; a file cannot be written.
            ConfigError: other processes cannot make the backend.
        """
        jobs = self._jobs(folder, session, began_ns)
        launcher, stopping = self.placement.launcher, self.runner.stopping
        with self._request_files(jobs, requests) as shared, self._as_run_error():
            async with AsyncExitStack() as cleanup:  # in reverse order, each whatever came of the others
                cleanup.push_async_exit(self._at_end(launcher.collect))
                cleanup.push_async_exit(self._at_end(lambda: launcher.stop(PATIENCE)))
                cleanup.push_async_exit(self._at_end(lambda: launcher.send({"stop": True})))
                await launcher.start(jobs)
                # Not before: a worker takes no message until it has its job.
                await cleanup.enter_async_context(_stopped_workers(stopping, launcher))
                await self._follow(len(jobs), start, shared)

    def _request_files(
        self, jobs: Sequence[WorkerJob], requests: Iterable[PlannedRequest]
    ) -> AbstractContextManager[SharedRequests | None]:
        """Write the files that the jobs read; with what hands requests out in a closed loop."""
        share = self.runner.share
        if share.is_open:
            return dealt_requests([job.requests for job in jobs], requests)
        return shared_requests(jobs[0].requests, requests, len(jobs), is_endless=share.is_endless)

    def _jobs(self, folder: Path, session: int, began_ns: int) -> list[WorkerJob]:
        placement, share = self.placement, self.runner.share
        recipe = BackendRecipe.of(self.prepared.backend, placement.component, self.prepared.model.options)
        keys = variables_of(self.prepared.backend)
        return [
            WorkerJob(
                replace(share, number=number), folder, session, recipe, began_ns, {**keys, **environment}
            )
            for number, environment in enumerate(placement.environments)
        ]

    async def _follow(self, workers: int, start: Callable[[int], int], shared: SharedRequests | None) -> None:
        """Start the load when all workers are ready, and follow their messages until all have ended.

        Raises:
            RunError: a worker could not go on, or was lost; or the launcher named a worker that does not
                exist, or ended before all workers were ready.
        """
        runner, launcher = self.runner, self.placement.launcher
        preparing = set(range(workers))
        async for number, message in launcher.watch():
            if number not in range(workers):
                raise RunError(
                    f"the launcher gave a message of worker {number!r:.80}; "
                    f"it was given the workers 0 to {workers - 1}"
                )
            if "error" in message:
                raise _error_of(message)
            if "want" in message and shared is not None:
                taken = [list(stretch) for stretch in shared.give(number, *message["want"])]
                await launcher.send_to(number, {"take": taken, "is_complete": shared.is_complete})
            if "ready" in message:
                preparing.discard(number)
                if not preparing and not runner.stopping.is_set():
                    await launcher.send({"start": start(runner.clock() + max(LEAD_NS, launcher.lead_ns))})
            self._keep(number, message)
        if preparing and not runner.stopping.is_set():
            missing = ", ".join(map(str, sorted(preparing)))
            raise RunError(f"the launcher ended before all workers were ready; not ready: {missing}")

    def _keep(self, number: int, message: Mapping[str, Any]) -> None:
        """Keep what a worker or the launcher says of the load."""
        runner = self.runner
        if "counts" in message:
            self._counts[number] = message
            self._add_up()
            runner.on_failure()
        if "clock" in message:
            self.keep_clock(message["clock"])
        if "say" in message:
            runner.say(f"worker {number}: {message['say']}")
        if "note" in message:
            runner.note(f"worker {number}: {message['note']}")
        for line in message.get("notes", ()):
            self.remark(f"worker {number}: {line}")

    def _add_up(self) -> None:
        """Add the workers' counts up in this subtask's progress."""
        progress, messages = self.runner.progress, list(self._counts.values())
        for name in COUNTS:
            setattr(progress, name, sum(message["counts"][name] for message in messages))
        progress.finished += progress.resumed
        failures: dict[str, int] = {}
        for message in messages:
            for kind, number in message["failures"].items():
                failures[kind] = failures.get(kind, 0) + number
            progress.first_failure = progress.first_failure or message["first_failure"]
        progress.failures = failures
        progress.detail = "; ".join(line for message in messages if (line := message.get("live")))

    @contextmanager
    def _as_run_error(self) -> Iterator[None]:
        """Let any exception of a launcher end the run as the loss of a worker does, and record it."""
        kept = "  everything that had finished is kept in the log"
        try:
            yield
        except RunError as error:
            raise type(error)(f"{error}\n{kept}") from error
        except AisbError:
            raise
        except RAISED as error:
            if is_stop(error):
                raise
            fault = self.placement.error("", error)
            self.prepared.faults.add(fault, self.prepared.name)
            raise RunError(f"{fault}\n{kept}") from error

    def _at_end(self, step: Callable[[], Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """Return what does a step at the end. If it fails after another error, only the log says so."""

        async def leave(_kind: object, error: BaseException | None, _trace: object) -> None:
            try:
                await step()
            except Exception as failure:
                if error is None:
                    raise
                self.runner.note(f"the launcher failed: {describe(failure)}")

        return leave


def _error_of(message: Mapping[str, Any]) -> AisbError:
    """Return the error that ended a worker, of the kind that it had there."""
    kinds: Sequence[type[AisbError]] = (StorageError, ServiceError)
    kind = next((kind for kind in kinds if message.get("exit_code") == kind.exit_code), RunError)
    return kind(message["error"])


@asynccontextmanager
async def _stopped_workers(stopping: asyncio.Event, launcher: Launcher) -> AsyncIterator[None]:
    """Tell the workers to stop as soon as the run is stopped, or at once where it was stopped before."""

    async def stop() -> None:
        await stopping.wait()
        await launcher.send({"stop": True})
        await launcher.stop(PATIENCE)

    task = asyncio.create_task(stop())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
