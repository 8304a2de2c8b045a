"""Asking one subtask: warm-ups, then the load in this process or shared out to workers, and what it was like.

What was asked of the load and how it went stands in `load.json` beside the log; it is written before the
first request and again at the end, so that a killed run can be shown too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from aisb._backend import HttpBackend
from aisb._errors import AisbError, RunError
from aisb._plugins import Component
from aisb._running import Launcher
from aisb._types import Request
from aisb_engine._faults import RAISED, ComponentError, backend_words, describe, is_stop
from aisb_engine._http.fetch import proxy_for
from aisb_engine._load.clock import RunClock
from aisb_engine._load.counting import Counting
from aisb_engine._load.engine import Drive, Unlogged, concurrency
from aisb_engine._load.loads import asked, is_open, joins, planned, share
from aisb_engine._load.pieces import Answers, Piece
from aisb_engine._load.renewal import WARM_UP, Renewal, pool_of
from aisb_engine._load.work import Share, work, write_share
from aisb_engine._progress import COUNTS
from aisb_engine._record.manifest import mask_url
from aisb_engine._record.runfolder import write_atomically

if TYPE_CHECKING:
    from aisb_engine._load.job import WorkerJob

LEAD_NS = 2_000_000
WORKERS_LEAD_NS = 30_000_000
"""How long after the last worker is ready all of them start."""
PATIENCE = 10.0
"""Seconds that workers have to end after they were told to stop."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the workers of a subtask run: the launcher, and what their backends are made from.

    `named` names the launcher, and its plugin, as what raised an exception.
    `environments` give workers with local models devices of their own.
    """

    launcher: Launcher
    component: Component
    named: Callable[[str, BaseException], ComponentError]
    environments: Sequence[Mapping[str, str]]


@dataclass(slots=True)
class Sending:
    """One subtask while it is asked."""

    piece: Piece
    folder: Path
    session: int
    began: int
    note: Callable[[str], None]
    stopping: asyncio.Event
    performance: bool = False
    placement: Placement | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    clock: RunClock = field(init=False)
    _renewal: Renewal | None = None

    def __post_init__(self) -> None:
        self.clock = RunClock(self.began)

    async def run(self, answers: Answers, *, subtasks_at_once: int = 1) -> None:
        """Send what has no answer yet, and leave `load.json`.

        Raises:
            RunError: the log cannot be written, or a worker was lost.
            ConfigError: a trace cannot be followed.
        """
        piece = self.piece
        load = piece.subtask.load
        requests, count, schedule = self._planned(answers)
        if piece.nonce:
            self._renewal = Renewal(pool_of(piece.samples))
        self.facts = {
            "asked": asked(load, piece.backend, piece.workers, piece.subtask.merged, piece.samples),
            "planned": None if load.pressure_time else piece.progress.total - piece.progress.resumed,
            "warmups": {"sent": 0, "answered": 0},
            "started_ns": None,
            "ended_ns": None,
            "counters": {},
            "input_exact": self._input_exact(),
            "nonce": piece.nonce or None,
            "proxy": self._proxy(),
            "subtasks_at_once": subtasks_at_once,
            "interrupted": False,
            "notes": list(piece.notes),
        }
        if load.pressure_time and self._renewal and not self._renewal.exact and self.facts["input_exact"]:
            self.facts["input_exact"] = False
        await self._warm_up(count)
        follower = asyncio.create_task(self._follow()) if load.pressure_time else None
        watcher = (
            asyncio.create_task(self._watch_model()) if piece.backend.local and not piece.apart else None
        )
        counting = Counting(piece.backend, self._remark) if self.performance else None
        if counting:
            await counting.begin()
            self.facts["counters"] = counting.table
        try:
            if not self.stopping.is_set():
                await self._send(requests, schedule)
        finally:
            if watcher:
                watcher.cancel()
                if words := backend_words(piece.backend.summary, self._remark):
                    self.note(words)
            if follower:
                follower.cancel()
                piece.progress.total = piece.progress.finished
            if self.facts["planned"] is not None:  # less than before where a prompt could not be made
                self.facts["planned"] = piece.progress.total - piece.progress.resumed
            if line := piece.broken_line():
                self.facts["notes"].append(line)
            self.facts["ended_ns"] = self.clock()
            self.facts["interrupted"] = self.stopping.is_set()
            if counting:
                await counting.end()
                self.facts["counters"] = counting.table
            self.save()

    async def _watch_model(self) -> None:
        """Show what a local model does at the moment."""
        while True:
            self.piece.progress.detail = backend_words(self.piece.backend.live, self._remark)
            await asyncio.sleep(0.5)

    async def _follow(self) -> None:
        """Let the total of a pressure run be what has been sent: its rows are asked again and again."""
        while True:
            self.piece.progress.total = self.piece.progress.sent
            await asyncio.sleep(0.1)

    def save(self) -> None:
        """Write `load.json`."""
        write_atomically(self.folder / "load.json", orjson.dumps(self.facts, option=orjson.OPT_INDENT_2))

    def _planned(self, answers: Answers) -> tuple[Callable[[], Iterator[Request]], int, Iterable[int] | None]:
        """Return what gives the requests, how many there are, and their planned times in an open loop."""
        piece = self.piece
        load = piece.subtask.load
        if not is_open(load):
            left = piece.progress.total - piece.progress.finished
            return (lambda: piece.requests(answers)), left, None
        listed = list(piece.requests(answers)) if load.use_timestamp or answers else None
        count = len(listed) if listed is not None else len(piece.samples) * piece.subtask.repeats
        times = [(request.id, request.at) for request in listed or ()]
        schedule = planned(load, count, times)
        if listed is not None:
            return (lambda: iter(listed)), count, schedule
        return (lambda: piece.requests(answers)), count, schedule

    async def _warm_up(self, count: int) -> None:
        piece = self.piece
        wanted = piece.subtask.load.num_warmups
        if not wanted or not count or piece.apart:  # a model that its worker loads has been tried there
            return
        samples = [piece.samples[number % len(piece.samples)] for number in range(wanted)]
        clients = min(wanted, concurrency(piece.subtask.load, piece.backend))
        drive = Drive(
            piece.backend,
            piece.subtask.load,
            Unlogged(),
            self.clock,
            piece.progress,
            self.note,
            self.stopping,
            clients,
        )
        requests = (request for sample in samples if (request := piece.attempt(sample)))
        if self._renewal:  # a prefix cache would know what is measured next from here
            requests = (self._renewal.of(request, WARM_UP) for request in requests)
        answered = await drive.warm_up(requests)
        self.facts["warmups"] = {"sent": wanted, "answered": answered}
        self.note(f"{wanted} warm-up requests, {answered} answered; not counted")
        if not answered:
            self.facts["notes"].append("no warm-up request was answered")

    async def _send(self, requests: Callable[[], Iterator[Request]], schedule: Iterable[int] | None) -> None:
        piece = self.piece
        shares = [self._share(number) for number in range(piece.workers)]

        def timed() -> Iterator[tuple[int, Request]]:
            if schedule is None:
                return ((0, request) for request in requests())
            return zip(schedule, requests(), strict=False)

        if self.placement is not None:
            await self._share_out(self.placement, shares, timed())
            return

        async def start() -> int:
            now = self._started(self.clock())
            return now + (LEAD_NS if schedule is not None else 0)

        self.facts["notes"] += await work(
            shares[0],
            piece.backend,
            timed,
            clock=self.clock,
            start=start,
            progress=piece.progress,
            note=self.note,
            stopping=self.stopping,
        )

    def _started(self, at: int) -> int:
        self.facts["started_ns"] = at
        self.save()
        return at

    def _share(self, number: int) -> Share:
        """Return a worker's part of the load: every `workers`-th of all clients and requests."""
        piece = self.piece
        load, workers = piece.subtask.load, piece.workers
        clients = concurrency(load, piece.backend)
        bounded = load.concurrency is not None or not is_open(load)
        return Share(
            number,
            self.folder,
            self.session,
            load,
            is_open(load),
            max(1, share(clients, number, workers)) if bounded else None,
            tuple(joins(load, clients)[number::workers]) if load.pressure_time else (),
            round(load.pressure_time * 1e9) if load.pressure_time else None,
            piece.subtask.repeats,
            self._renewal,
        )

    async def _share_out(
        self, placement: Placement, shares: list[Share], timed: Iterable[tuple[int, Request]]
    ) -> None:
        """Let a launcher's workers do it: write each one's requests, start them together, follow them."""
        jobs = self._jobs(placement, shares)
        launcher = placement.launcher
        with _dealt([job.requests for job in jobs], timed), self._as_run_error(placement):
            async with AsyncExitStack() as cleanup:  # in reverse order, each whatever came of the others
                cleanup.push_async_exit(self._at_end(launcher.collect))
                cleanup.push_async_exit(self._at_end(lambda: launcher.stop(PATIENCE)))
                cleanup.push_async_exit(self._at_end(lambda: launcher.send({"stop": True})))
                cleanup.push_async_callback(_end, asyncio.create_task(_stop_workers(self.stopping, launcher)))
                await launcher.start(jobs)
                await self._watch_workers(launcher, len(jobs))

    @contextmanager
    def _as_run_error(self, placement: Placement) -> Iterator[None]:
        """Let any exception of a launcher end the run as the loss of a worker does, and record it."""
        kept = "  everything that had finished is kept in the log"
        try:
            yield
        except RunError as error:
            raise RunError(f"{error}\n{kept}") from error
        except AisbError:
            raise
        except RAISED as error:
            if is_stop(error):
                raise
            fault = placement.named("", error)
            self.piece.faults.add(fault, f"{self.piece.subtask.task} · {self.piece.subtask.model}")
            raise RunError(f"{fault}\n{kept}") from error

    def _at_end(self, step: Callable[[], Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """Return what does a step at the end. If it fails after another error, only the log says so."""

        async def leave(_kind: object, error: BaseException | None, _trace: object) -> None:
            try:
                await step()
            except Exception as failure:
                if error is None:
                    raise
                self.note(f"the launcher failed: {describe(failure)}")

        return leave

    def _jobs(self, placement: Placement, shares: list[Share]) -> list[WorkerJob]:
        from aisb_engine._load.job import BackendRecipe, WorkerJob

        recipe = BackendRecipe.of(self.piece.backend, placement.component, self.piece.model.options)
        return [
            WorkerJob(share, self.folder / f"share-{share.number}.jsonl", recipe, self.began, environment)
            for share, environment in zip(shares, placement.environments, strict=True)
        ]

    async def _watch_workers(self, launcher: Launcher, count: int) -> None:
        """Start the load when all workers are ready, and follow their counts until all have ended.

        Raises:
            RunError: a worker could not go on, or was lost; or the launcher named a worker that there is not,
                or ended before all workers were ready.
        """
        counts: dict[int, Mapping[str, Any]] = {}
        preparing = set(range(count))
        resumed = self.piece.progress.finished
        async for number, message in launcher.watch():
            if number not in range(count):
                raise RunError(
                    f"the launcher gave a message of worker {number!r:.80}; "
                    f"it was given the workers 0 to {count - 1}"
                )
            if "error" in message:
                raise RunError(message["error"])
            if "ready" in message:
                preparing.discard(number)
                if not preparing:
                    await launcher.send({"start": self._started(self.clock() + WORKERS_LEAD_NS)})
            if "counts" in message:
                counts[number] = message
                self._count(counts.values(), resumed)
            if "note" in message:
                self.note(f"worker {number}: {message['note']}")
            for line in message.get("notes", ()):
                self.facts["notes"].append(f"worker {number}: {line}")
        if preparing and not self.stopping.is_set():
            waited = ", ".join(map(str, sorted(preparing)))
            raise RunError(f"the launcher ended before all workers were ready; not ready: {waited}")

    def _count(self, messages: Iterable[Mapping[str, Any]], resumed: int) -> None:
        """Add the workers' counts up in this subtask's progress."""
        progress = self.piece.progress
        messages = list(messages)
        for name in COUNTS:
            setattr(progress, name, sum(message["counts"][name] for message in messages))
        progress.finished += resumed
        failures: dict[str, int] = {}
        for message in messages:
            for kind, number in message["failures"].items():
                failures[kind] = failures.get(kind, 0) + number
            progress.first_failure = progress.first_failure or message["first_failure"]
        progress.failures = failures
        progress.detail = "; ".join(line for message in messages if (line := message.get("live")))

    def _remark(self, line: str) -> None:
        """Keep something about the measuring that a reader of its numbers should know."""
        if line not in self.facts["notes"]:
            self.facts["notes"].append(line)

    def _input_exact(self) -> bool | None:
        """Say whether prompts have exactly the lengths asked; None where no lengths were asked."""
        found = [
            sample.fields.get("input_exact")
            for sample in self.piece.samples
            if "input_tokens_asked" in sample.fields
        ]
        return all(value is True for value in found) if found else None

    def _proxy(self) -> str | None:
        backend = self.piece.backend
        proxy = proxy_for(backend.url) if isinstance(backend, HttpBackend) else None
        return mask_url(proxy) if proxy else None


@contextmanager
def _dealt(paths: list[Path], timed: Iterable[tuple[int, Request]]) -> Iterator[None]:
    """Deal requests out to files in turn, so that each worker has an even share of any stretch of time."""
    try:
        with ExitStack() as stack:
            writers = [stack.enter_context(write_share(path)) for path in paths]
            for place, (at, request) in enumerate(timed):
                writers[place % len(writers)](at, request)
        yield
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


async def _stop_workers(stopping: asyncio.Event, launcher: Launcher) -> None:
    await stopping.wait()
    await launcher.send({"stop": True})
    await launcher.stop(PATIENCE)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
