"""The launcher `ray`: each worker is an actor; one collector on each node speaks for its workers."""

from __future__ import annotations

import asyncio
import importlib.util
import pickle
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson

from aisb import Job, Launcher, RunError, UsageError
from aisb_launcher_ray._cluster import check_versions, connect, nodes
from aisb_launcher_ray._collector import Collector
from aisb_launcher_ray._node import Node
from aisb_launcher_ray._worker import Worker

Event = tuple[int, bytes | Mapping[str, Any] | None, str]


class RayWorkers(Launcher):
    """Workers are actors on a Ray cluster."""

    def __init__(
        self,
        *,
        address: Annotated[
            str | None, "the cluster's address, or 'auto' for the one on this machine; else one is started"
        ] = None,
        cpus: Annotated[
            float | None, "CPUs that Ray reserves for a worker; else 1, and none in a cluster of our own"
        ] = None,
        gpus: Annotated[float, "GPUs that Ray gives a worker"] = 0,
        resources: Annotated[Mapping[str, float] | None, "custom resources that a worker needs"] = None,
        placing: Annotated[Literal["SPREAD", "PACK"], "over many nodes, or on few"] = "SPREAD",
        lease: Annotated[float, "seconds of silence after which a worker, or the run, counts as lost"] = 5.0,
        start_within: Annotated[float, "seconds that the cluster may take to start all workers"] = 120.0,
    ) -> None:
        if importlib.util.find_spec("ray") is None:
            raise UsageError(
                "the launcher 'ray' needs the package ray, which is not installed: pip install 'ray>=2.50,<3'"
            )
        self._address = address
        self._cpus, self._gpus, self._resources = cpus, gpus, dict(resources or {})
        self._placing = placing
        self._lease, self._start_within = lease, start_within
        self._nodes: list[Node] = []
        self._workers: list[Any] = []
        self._where: dict[int, Node] = {}
        self._runs: list[Any] = []
        self._running: set[int] = set()
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._changed = asyncio.Event()
        self._starting: asyncio.Task[None] | None = None
        self._stopped = False

    async def start(self, jobs: Sequence[Job]) -> None:
        """Place an actor for each job, check the nodes, copy the files there, and begin."""
        is_own = connect(self._address)  # in the main thread: it may set signal handlers
        if self._cpus is None:
            self._cpus = 0.0 if is_own else 1.0
        self._starting = asyncio.create_task(asyncio.to_thread(self._start, jobs))
        await asyncio.shield(self._starting)
        loop = asyncio.get_running_loop()
        self._running = set(range(len(jobs)))

        def tell(*event: Any) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits for this any more
                loop.call_soon_threadsafe(self._take, event)

        for node in self._nodes:
            node.pull(tell)

    async def watch(self) -> AsyncIterator[tuple[int, Mapping[str, Any]]]:
        """Yield the messages of all workers."""
        left = len(self._workers)
        while left:
            number, message, how = await self._events.get()
            if isinstance(message, bytes):
                yield number, orjson.loads(message)
            elif message is not None:
                yield number, message
            else:
                left -= 1
                if how and not self._stopped:
                    raise RunError(self._lost(number, how))

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send a message to all workers: one call for each node."""
        data = orjson.dumps(message)
        for node in self._nodes:
            node.send(None, data)

    async def send_to(self, worker: int, message: Mapping[str, Any]) -> None:
        """Send a message to one worker."""
        if (node := self._where.get(worker)) is not None:
            node.send(worker, orjson.dumps(message))

    async def stop(self, patience: float = 10.0) -> None:
        """Wait for all workers, and kill those that are left after some seconds."""
        self._stopped = True
        if self._starting is not None:
            await asyncio.gather(self._starting, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self._running:
                    self._changed.clear()
                    await self._changed.wait()
        if self._running or len(self._runs) < len(self._workers):
            import ray

            for worker in self._workers:
                ray.kill(worker)

    async def collect(self) -> None:
        """Wait for the last batches, and end the actors. What came is in place already."""
        await asyncio.to_thread(self._collect)

    def _take(self, event: Event) -> None:
        self._events.put_nowait(event)
        if event[1] is None:
            self._running.discard(event[0])
            self._changed.set()

    def _start(self, jobs: Sequence[Job]) -> None:
        """Do what `start` does, in a thread: Ray's calls wait.

        Raises:
            RunError: a worker cannot be started.
        """
        import ray

        payloads = [pickle.dumps(job) for job in jobs]
        check_versions(payloads)
        deadline = time.monotonic() + self._start_within
        try:
            self._place(jobs, deadline)
            for node in self._nodes:
                door = node.open(deadline - time.monotonic())
                for file in sorted({file for number in node.workers for file in jobs[number].reads}):
                    node.put(file)
                for number in node.workers:
                    run = self._workers[number].run.remote(
                        payloads[number],
                        number,
                        folder=door.folder,
                        offset_ns=node.clocks[0].offset_ns,
                        lease=self._lease,
                        environment=self._environment(jobs[number]),
                    )
                    self._runs.append(run)
            self._wait_until_connected(deadline)
            self._measure_sending()
        except ray.exceptions.RayError as error:
            said = str(error).strip().splitlines()
            raise RunError(
                f"workers cannot be started on the Ray cluster: {said[-1] if said else error!r}"
            ) from error

    def _place(self, jobs: Sequence[Job], deadline: float) -> None:
        """Make the actors of the workers, and a collector on each node that got one.

        Raises:
            RunError: the cluster has no room for them.
        """
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        worker = ray.remote(Worker).options(
            num_cpus=self._cpus,
            num_gpus=self._gpus,
            resources=self._resources,
            scheduling_strategy="SPREAD" if self._placing == "SPREAD" else "DEFAULT",
            max_restarts=0,
        )
        self._workers = [worker.remote() for _ in jobs]
        asked = [each.place.remote() for each in self._workers]
        placed, waiting = ray.wait(asked, num_returns=len(asked), timeout=deadline - time.monotonic())
        if waiting:
            offered = ray.available_resources()
            free = {name: number for name, number in offered.items() if ":" not in name}
            raise RunError(
                f"the Ray cluster placed {len(placed)} of {len(asked)} workers within "
                f"{self._start_within:g} s; "
                f"each asks for {self._cpus:g} CPUs, {self._gpus:g} GPUs and {self._resources}; "
                f"free are {free}"
            )
        addresses, workers = nodes(), dict[str, list[int]]()
        for number, (node, _) in enumerate(ray.get(asked)):
            workers.setdefault(node, []).append(number)
        for node, numbers in workers.items():
            collector = ray.remote(Collector).options(
                num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
            )
            writes = {number: [file.name for file in jobs[number].writes] for number in numbers}
            targets: dict[str, Path] = {file.name: file for number in numbers for file in jobs[number].writes}
            made = Node(addresses[node], numbers, collector.remote(writes, self._lease), self._lease, targets)
            self._nodes.append(made)
            self._where |= dict.fromkeys(numbers, made)

    def _wait_until_connected(self, deadline: float) -> None:
        import ray

        waiting = [node.collector.connected.remote() for node in self._nodes]
        while waiting:
            if time.monotonic() > deadline:
                raise RunError(f"workers did not begin within {self._start_within:g} s")
            _, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=0.2)
            if waiting and (ended := ray.wait(self._runs, timeout=0)[0]):
                ray.get(ended)  # raises what ended it

    def _measure_sending(self) -> None:
        """Measure how long a message to all takes: the common start must be later than that."""
        import ray

        began = time.perf_counter_ns()
        ray.get([node.collector.deliver.remote(-1, ()) for node in self._nodes], timeout=self._lease)
        self.lead_ns = 2 * (time.perf_counter_ns() - began)

    def _environment(self, job: Job) -> dict[str, str | None]:
        """Return what to set in a worker's process; None removes what Ray set for it."""
        chosen = dict[str, str | None](job.environment)
        if self._gpus:  # Ray has chosen the devices
            chosen = {name: value for name, value in chosen.items() if not name.endswith("VISIBLE_DEVICES")}
        return chosen if self._cpus else {"OMP_NUM_THREADS": None, **chosen}

    def _lost(self, number: int, how: str) -> str:
        *_, last = how.strip().splitlines()
        return f"worker {number} on node {self._where[number].address} was lost: {last}"

    def _collect(self) -> None:
        import ray

        for node in self._nodes:
            node.join(self._lease)
            with suppress(Exception):  # its node may be gone
                ray.get(node.collector.close.remote(), timeout=1)
        for worker in self._workers:
            ray.kill(worker)
        self._nodes, self._workers = [], []
