"""The work of a worker, wherever a launcher places it: make the backend, run its share, report counts.

A worker sends: `note` (a line for the log), `say` (a line for the user), `want` (the number of requests of a
closed loop that its clients want in all, and how many more it should have in its queue), `ready`, `counts`
(about five a second), `error`, and at the end `ended`; of episodes also what `episode_workers` lists. The run
sends: `take` (the requests that a worker may send, and whether they are the last; one for each `want`),
`start` (the common start, ns from the start of the run), and `stop`. A message with `worker` is for that
worker only.
"""

from __future__ import annotations

import asyncio
import os
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from aisb._backend import Backend, HttpBackend
from aisb._errors import AisbError, ConfigError
from aisb._options import arguments, bind
from aisb._plugins import Component
from aisb._running import Channel
from aisb_engine._faults import RAISED, backend_text, describe
from aisb_engine._http.client import connect
from aisb_engine._http.fetch import PROXY_VARIABLES
from aisb_engine._load.clock import RunClock
from aisb_engine._load.connection_limits import raise_limit
from aisb_engine._load.episode_workers import EnvironmentRecipe, WorkerEpisodes
from aisb_engine._load.request_queue import WorkerQueue
from aisb_engine._load.runner import SubtaskRunner
from aisb_engine._load.share import LoadShare, read_requests
from aisb_engine._progress import COUNTED_FIELDS, Progress
from aisb_engine._record.log import LogWriter

REPORT_EVERY = 0.2


@dataclass(frozen=True, slots=True)
class BackendRecipe:
    """How another process makes the same backend as this one, in its state after the probe.

    `options` are the arguments of the factory, `fields` the current values of the options of a dataclass, and
    `state` is the result of `Backend.state`.
    """

    place: str
    options: Mapping[str, Any]
    fields: Mapping[str, Any]
    state: Mapping[str, Any]

    @classmethod
    def of(cls, backend: Backend, component: Component, options: Mapping[str, Any]) -> BackendRecipe:
        """Return the recipe of a backend that a component made from options.

        Raises:
            ConfigError: another process cannot find the component, or the backend's state cannot be pickled.
        """
        place = place_of(component)
        names: list[str] = (
            [each.name for each in fields(backend) if each.init] if is_dataclass(backend) else []
        )
        present = {name: getattr(backend, name) for name in names}
        try:
            state = dict(backend.state())
        except RAISED as error:
            raise _needs_one_worker(
                f"backend {component.name!r} of plugin {component.plugin} failed in state: {describe(error)}"
            ) from error
        recipe = cls(place, bind(component.factory, options), present, state)
        for name, value in {**recipe.options, **present, **recipe.state}.items():
            try:
                pickle.dumps(value)
            except Exception as error:
                raise _needs_one_worker(
                    f"{name} of backend {component.name!r} cannot be sent to other processes ({error})"
                ) from error
        return recipe

    def make(self) -> Backend:
        """Make the backend, in the process of a worker."""
        module, _, name = self.place.partition(":")
        factory = getattr(import_module(module), name)
        backend: Backend = factory(**arguments(factory, self.options, {}))
        for key, value in self.fields.items():
            setattr(backend, key, value)
        backend.restore(self.state)
        return connect(backend)


def variables_of(backend: Backend) -> dict[str, str]:
    """Return the environment variables that a backend reads when it sends: its keys, and the proxies.

    A worker on another machine does not have them.
    """
    if not isinstance(backend, HttpBackend):
        return {}
    named = (
        backend.api_key_env,
        getattr(backend, "default_api_key_env", None),
        *backend.headers_env.values(),
    )
    return {name: os.environ[name] for name in (*named, *PROXY_VARIABLES) if name and name in os.environ}


def place_of(component: Component) -> str:
    """Return where worker processes find a backend or an environment.

    Raises:
        ConfigError: they cannot find it.
    """
    if component.place is None:
        raise _needs_one_worker(
            f"{component.kind} {component.name!r} of plugin {component.plugin} is not a function or class at "
            "the top level of a module, so other processes cannot import it"
        )
    return component.place


def _needs_one_worker(reason: str) -> ConfigError:
    return ConfigError("load.workers", f"{reason}; use one worker")


@dataclass(slots=True)
class WorkerJob:
    """The work of one worker: a share of a subtask's requests, and how to make the backend.

    `folder` is the subtask's log folder. `began` is the run's start on the monotonic clock of the command's
    machine. `environment` gives a worker with a local model devices of its own, and others the keys of the
    service. With `episodes`, each request begins an episode in the environment that it describes.
    """

    share: LoadShare
    folder: Path
    session: int
    backend: BackendRecipe
    began: int
    environment: Mapping[str, str] = field(default_factory=dict)
    episodes: EnvironmentRecipe | None = None
    reads: Sequence[Path] = field(init=False)
    writes: Sequence[Path] = field(init=False)

    def __post_init__(self) -> None:
        self.reads = (self.requests,)
        self.writes = (self.share.log_file(self.folder), self.share.health_file(self.folder))

    @property
    def requests(self) -> Path:
        """The file with the requests: in an open loop the share's own, else one that all workers share."""
        name = f"share-{self.share.number}.jsonl" if self.share.is_open else "share.jsonl"
        return self.folder / name

    async def run(self, channel: Channel, folder: Path | None = None) -> None:
        """Run the share; an exception is reported in a message `error`."""
        raise_limit()
        job = self if folder is None else replace(self, folder=folder)
        worker = _Worker(self.share.number, channel, RunClock(self.began - channel.offset_ns))
        try:
            await worker.run(job)
        except AisbError as error:
            channel.send({"error": str(error), "exit_code": error.exit_code})


class _Worker:
    """A worker while it runs."""

    def __init__(self, number: int, channel: Channel, clock: RunClock) -> None:
        self._number = number
        self._channel = channel
        self._clock = clock
        self._stopping = asyncio.Event()
        self._origin: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._progress = Progress("", "", Path())
        self._live: Callable[[], str] = str
        self._queue: WorkerQueue | None = None
        self._episodes: WorkerEpisodes | None = None

    async def run(self, job: WorkerJob) -> None:
        read = None
        if job.episodes is not None:
            self._episodes = WorkerEpisodes(self._channel.send)
            read = self._episodes.read
        if not job.share.is_open:
            self._queue = WorkerQueue(job.requests, job.share, self._channel.send, read)
        tasks = [asyncio.create_task(self._handle_messages())]
        try:
            backend = job.backend.make()
            backend.clock = self._clock
            self._live = backend.live
            tasks.append(asyncio.create_task(self._report()))
            if backend.local:  # before `ready` is sent, so that all workers begin together
                for line in (await backend.probe()).notes:
                    self._note(line)
            with LogWriter(job.share.log_file(job.folder), session=job.session) as log:
                runner = SubtaskRunner(
                    backend,
                    job.share,
                    self._clock,
                    self._progress,
                    self._note,
                    self._stopping,
                    log,
                    job.share.health_file(job.folder),
                )
                runner.say = lambda line: self._channel.send({"say": line})
                if job.episodes is not None and self._episodes is not None:
                    runner.episodes = self._episodes.make(job.episodes)
                notes = await runner.run(lambda: read_requests(job.requests, read), self._ready, self._queue)
            if words := backend_text(backend.summary, self._note):
                self._note(words)
        finally:
            for task in tasks:
                task.cancel()
            if self._queue is not None:
                self._queue.close()
            self._send_counts()
        self._channel.send({"ended": True, "notes": notes})

    async def _ready(self) -> int:
        if self._queue is not None:
            await self._queue.fill()
        self._channel.send({"ready": True})
        return await self._origin

    async def _handle_messages(self) -> None:
        """Follow the messages of the run until its end of the channel closes."""
        while (message := await self._channel.receive()) is not None and "stop" not in message:
            if message.get("worker", self._number) != self._number:
                continue
            if self._episodes is not None:
                self._episodes.handle(message)
            if "take" in message and self._queue is not None:
                self._queue.take(message["take"], is_complete=bool(message["is_complete"]))
            if "start" in message and not self._origin.done():
                self._origin.set_result(int(message["start"]))
        self._stopping.set()
        if self._queue is not None:
            self._queue.take((), is_complete=True)
        if not self._origin.done():
            self._origin.set_result(0)

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(REPORT_EVERY)
            self._send_counts()

    def _note(self, line: str) -> None:
        self._channel.send({"note": line})

    def _send_counts(self) -> None:
        self._channel.send(
            {
                "counts": {name: getattr(self._progress, name) for name in COUNTED_FIELDS},
                "failures": self._progress.failures,
                "first_failure": self._progress.first_failure,
                "further_turns": self._progress.total,  # after the first turn of each episode
                "live": backend_text(self._live, self._note),
            }
        )
