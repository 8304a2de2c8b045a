"""The launcher `ray`: each worker is an actor; a collector on each node forwards its workers' data."""

from __future__ import annotations

import asyncio
import importlib.util
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal

import orjson

from aisb import Job, Launcher, RunError, UsageError
from aisb_launcher_ray._cluster import connect_cluster, disconnect_cluster, head_address
from aisb_launcher_ray._head import HeadWatch
from aisb_launcher_ray._node import RayNode
from aisb_launcher_ray._placing import Placing

LauncherEvent = tuple[int, bytes | Mapping[str, Any] | RunError | None, str]


class RayWorkers(Launcher):
    """Workers are actors on a Ray cluster."""

    assigns_devices = True

    def __init__(
        self,
        *,
        address: Annotated[
            str | None, "address of the cluster, or 'auto' for one on this machine; default: start one"
        ] = None,
        cpus: Annotated[
            float | None, "CPUs that Ray reserves for a worker; default: 1, or 0 in aisb's own cluster"
        ] = None,
        gpus: Annotated[float, "GPUs that Ray reserves for a worker"] = 0,
        resources: Annotated[Mapping[str, float] | None, "custom resources that a worker needs"] = None,
        placing: Annotated[Literal["SPREAD", "PACK"], "use many nodes, or few"] = "SPREAD",
        lease: Annotated[float, "seconds of silence after which a worker, or the run, counts as lost"] = 5.0,
        start_within: Annotated[float, "seconds that the cluster may take to start all workers"] = 120.0,
    ) -> None:
        if importlib.util.find_spec("ray") is None:
            raise UsageError(
                "the launcher 'ray' needs the package ray, which is not installed: pip install 'ray>=2.50,<3'"
            )
        self._address = address
        self._cpus, self._gpus, self._resources = cpus, gpus, dict(resources or {})
        self._spread: Literal["SPREAD", "PACK"] = placing
        self._lease, self._start_within = lease, start_within
        self._placing: Placing | None = None
        self._head: HeadWatch | None = None
        self._jobs: Sequence[Job] = ()
        self._nodes: list[RayNode] = []
        self._where: dict[int, RayNode] = {}
        self._running: set[int] = set()
        self._watched: set[int] = set()
        self._events: asyncio.Queue[LauncherEvent] = asyncio.Queue()
        self._changed = asyncio.Event()
        self._starting: asyncio.Task[list[RayNode]] | None = None
        self._replacing: dict[int, asyncio.Task[None]] = {}
        self._stopped = False

    def inspect(self) -> Iterator[Mapping[str, str]]:
        """Inspect the cluster for `aisb doctor`."""
        from aisb_launcher_ray._inspecting import inspect_cluster

        connect_cluster(self._address)
        yield from inspect_cluster(self._lease)

    async def start(self, jobs: Sequence[Job]) -> None:
        """Place an actor for each job, check the nodes, copy the files there, and begin."""
        # In a thread, because it takes seconds: the run can be stopped meanwhile.
        is_own = await asyncio.to_thread(connect_cluster, self._address)
        cpus = self._cpus if self._cpus is not None else 0.0 if is_own else 1.0
        self._jobs = jobs
        self._loop = asyncio.get_running_loop()
        self._placing = placing = Placing(
            len(jobs),
            cpus,
            self._gpus,
            self._resources,
            self._spread,
            self._lease,
            self._start_within,
            self._why_stop,
        )
        self._head = HeadWatch(head_address(), self._end_without_head)
        self._starting = asyncio.create_task(asyncio.to_thread(placing.start, dict(enumerate(jobs))))
        made = await asyncio.shield(self._starting)
        self.lead_ns = await asyncio.to_thread(_measure_sending, made, self._lease)
        self._follow(made)

    async def watch(self) -> AsyncIterator[tuple[int, Mapping[str, Any]]]:
        """Yield the messages of all workers."""
        while self._watched or self._replacing:
            number, message, how = await self._events.get()
            if isinstance(message, RunError):
                raise message
            if isinstance(message, bytes):
                yield number, orjson.loads(message)
            elif message is not None:
                yield number, message
            else:
                self._watched.discard(number)
                if how and not self._stopped:
                    yield number, {"lost": self._lost(number, how)}
                elif not self._watched:
                    return  # all work is done, so no worker is replaced

    async def replace(self, worker: int) -> bool:
        """Begin to place a worker anew, wherever there is room; without the head nothing can be placed."""
        if self._is_headless:
            return False
        self._replacing[worker] = asyncio.create_task(self._replace(worker))
        return True

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send a message to all workers: one call for each node."""
        data = orjson.dumps(message)
        for node in self._nodes:
            if not node.is_lost:
                node.send(None, data)

    async def send_to(self, worker: int, message: Mapping[str, Any]) -> None:
        """Send a message to one worker."""
        if (node := self._where.get(worker)) is not None and not node.is_lost:
            node.send(worker, orjson.dumps(message))

    async def stop(self, patience: float = 10.0) -> None:
        """Wait for all workers, and kill those that still run after `patience` seconds."""
        self._stopped = True
        starting = [self._starting] if self._starting is not None else []
        await asyncio.gather(*starting, *self._replacing.values(), return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self._running:
                    self._changed.clear()
                    await self._changed.wait()
        if self._running and not self._is_headless:  # Ray would wait for the head
            self._kill()

    async def collect(self) -> None:
        """Wait for the last batches, and end the actors. Earlier batches are already stored."""
        await asyncio.to_thread(self._collect)

    @property
    def _is_headless(self) -> bool:
        return self._head is not None and self._head.is_missing

    def _why_stop(self) -> str:
        """Return why workers need not be placed any more, or an empty text."""
        if self._stopped:
            return "the run was stopped while its workers were started"
        return self._head.why_missing() if self._head is not None else ""

    def _end_without_head(self, line: str) -> None:
        """End the run; called in another thread."""
        with suppress(RuntimeError):  # the loop is closed: the run has ended
            self._loop.call_soon_threadsafe(self._events.put_nowait, (0, RunError(line), ""))

    def _follow(self, made: Sequence[RayNode]) -> None:
        """Start to pull the data of nodes' workers."""

        def report(*event: Any) -> None:
            with suppress(RuntimeError):  # the loop is closed, so nothing waits for this event
                self._loop.call_soon_threadsafe(self._take, event)

        for node in made:
            self._nodes.append(node)
            self._where |= dict.fromkeys(node.workers, node)
            self._running |= set(node.workers)
            self._watched |= set(node.workers)
            node.pull(report)

    def _take(self, event: LauncherEvent) -> None:
        self._events.put_nowait(event)
        if event[1] is None:
            self._running.discard(event[0])
            self._changed.set()

    async def _replace(self, worker: int) -> None:
        assert self._placing is not None  # noqa: S101 - started
        jobs = {worker: self._jobs[worker]}
        try:
            self._follow(await asyncio.to_thread(self._placing.start_again, jobs))
        except RunError as error:
            line = f"no other worker can be started in its place: {error}"
            if self._stopped:
                self._events.put_nowait((worker, None, line))
            elif self._watched or len(self._replacing) > 1:
                self._events.put_nowait((worker, {"note": line}, ""))
            else:  # no other worker is running
                where = self._where[worker].address
                self._events.put_nowait(
                    (worker, RunError(f"worker {worker} on node {where} was lost, and {line}"), "")
                )
        finally:
            del self._replacing[worker]

    def _lost(self, number: int, how: str) -> str:
        *_, last = how.strip().splitlines()
        return f"worker {number} on node {self._where[number].address} was lost: {last}"

    def _kill(self) -> None:
        import ray

        for actor in self._placing.actors if self._placing is not None else ():
            ray.kill(actor)

    def _collect(self) -> None:
        import ray

        for node in self._nodes:
            if not node.is_lost:
                node.join(self._lease)
                with suppress(Exception):  # its node may be gone
                    ray.get(node.collector.close.remote(), timeout=1)
        if self._head is not None:
            self._head.end()
        if self._is_headless:
            disconnect_cluster()  # else Ray ends this process while its answers are scored
        else:
            self._kill()
        self._nodes = []


def _measure_sending(made: Sequence[RayNode], timeout: float) -> int:
    """Return twice the duration of a message to all nodes in ns: the lead time of the common start."""
    import ray

    began = time.perf_counter_ns()
    try:
        ray.get([node.collector.deliver.remote(-1, ()) for node in made], timeout=timeout)
    except ray.exceptions.RayError as error:
        raise RunError(f"a node was lost as the workers began ({type(error).__name__})") from error
    return 2 * (time.perf_counter_ns() - began)
