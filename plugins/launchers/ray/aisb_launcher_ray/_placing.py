"""Place workers: Ray selects the nodes, then the jobs' files are copied, and the jobs begin."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from aisb import Job, RunError
from aisb_launcher_ray._cluster import check_versions, nodes
from aisb_launcher_ray._collector import Collector
from aisb_launcher_ray._node import RayNode
from aisb_launcher_ray._worker import RayWorker

ANSWER_TIMEOUT = 60.0
CHECK_INTERVAL = 0.5
"""The interval at which a wait for Ray checks whether the run was stopped, in seconds."""
RETRY_INTERVAL = 1.0
"""Seconds between attempts to place a worker, since Ray may select a node that has been lost."""


class PlacingError(RunError):
    """Ray failed while workers were placed, as when it selects a node that has just been lost."""


@dataclass(slots=True)
class Placing:
    """Places workers on a cluster. `cpus`, `gpus` and `resources` are what Ray reserves for each.

    `workers` is the number of all workers of the run. `actors` are all that were made. `why_stop` is pending
    while something is waited for: it returns why workers are not needed any more, or an empty text.
    """

    workers: int
    cpus: float
    gpus: float
    resources: Mapping[str, float]
    spread: Literal["SPREAD", "PACK"]
    lease: float
    start_within: float
    why_stop: Callable[[], str]
    actors: list[Any] = field(default_factory=list)

    def start(self, jobs: Mapping[int, Job]) -> list[RayNode]:
        """Start a worker for each job; return the nodes that they are on, once all of them are connected.

        All nodes must have the code of this command.

        Raises:
            RunError: a node has other code, the cluster has no room, or workers cannot be started.
        """
        return self._start(jobs, time.monotonic() + self.start_within, check_all=True)

    def start_again(self, jobs: Mapping[int, Job]) -> list[RayNode]:
        """Start workers in the place of lost ones: like `start`, but only their nodes must have this code.

        For some seconds Ray may still select the node that was lost, so a failure is tried again until the
        workers would be late.

        Raises:
            RunError: a node has other code, the cluster has no room, or workers cannot be started.
        """
        deadline = time.monotonic() + self.start_within
        while True:
            try:
                return self._start(jobs, deadline, check_all=False)
            except PlacingError:
                if self.why_stop() or time.monotonic() + RETRY_INTERVAL > deadline:
                    raise
            time.sleep(RETRY_INTERVAL)

    def _start(self, jobs: Mapping[int, Job], deadline: float, *, check_all: bool) -> list[RayNode]:
        import ray

        payloads = {number: pickle.dumps(job) for number, job in jobs.items()}
        try:
            if check_all:
                check_versions([*payloads.values()], self._patience, self.why_stop)
            workers = self._create_workers([*jobs], deadline)
            if not check_all:
                chosen = {node for _, node in workers.values()}
                check_versions([*payloads.values()], self._patience, self.why_stop, only=chosen)
            made = self._create_collectors(jobs, {number: node for number, (_, node) in workers.items()})
            runs = []
            for node in made:
                door = node.open(deadline - time.monotonic())
                for file in sorted({file for number in node.workers for file in jobs[number].reads}):
                    node.put(file)
                runs += [
                    workers[number][0].run.remote(
                        payloads[number],
                        number,
                        folder=door.folder,
                        offset_ns=node.clocks[0].offset_ns,
                        lease=self.lease,
                        environment=self._environment(jobs[number]),
                    )
                    for number in node.workers
                ]
            self._wait_until_connected(made, runs, deadline)
        except ray.exceptions.RayError as error:
            lines = str(error).strip().splitlines()
            raise PlacingError(
                f"workers cannot be started on the Ray cluster: {lines[-1] if lines else error!r}"
            ) from error
        return made

    @property
    def _patience(self) -> float:
        """The timeout of a node's list of packages, in seconds: busy nodes are slow to start a process."""
        return max(ANSWER_TIMEOUT, self.start_within)

    def _create_workers(self, numbers: Sequence[int], deadline: float) -> dict[int, tuple[Any, str]]:
        """Create the actors of workers; return each with the id of its node.

        Raises:
            RunError: the cluster has no room for them.
        """
        import ray

        worker = ray.remote(RayWorker).options(
            num_cpus=self.cpus,
            num_gpus=self.gpus,
            resources=dict(self.resources),
            scheduling_strategy="SPREAD" if self.spread == "SPREAD" else "DEFAULT",
            max_restarts=0,
        )
        made = {number: worker.remote() for number in numbers}
        self.actors += made.values()
        pending = [each.place.remote() for each in made.values()]
        waiting = self._wait(pending, deadline)
        if waiting:
            for actor in made.values():
                ray.kill(actor)  # else Ray places them when there is room again
            offered = ray.available_resources()
            free = {name: number for name, number in offered.items() if ":" not in name}
            raise RunError(
                f"the Ray cluster placed {len(pending) - len(waiting)} of {len(pending)} workers within "
                f"{self.start_within:g} s; "
                f"each asks for {self.cpus:g} CPUs, {self.gpus:g} GPUs and {dict(self.resources)}; "
                f"free are {free}"
            )
        found = [node for node, _ in ray.get(pending)]
        return {number: (made[number], node) for number, node in zip(numbers, found, strict=True)}

    def _create_collectors(self, jobs: Mapping[int, Job], places: Mapping[int, str]) -> list[RayNode]:
        """Create a collector on each node with workers."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        addresses, workers = nodes(), dict[str, list[int]]()
        for number, node in places.items():
            workers.setdefault(node, []).append(number)
        made = []
        for node, numbers in workers.items():
            collector = ray.remote(Collector).options(
                num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
            )
            writes = {number: [file.name for file in jobs[number].writes] for number in numbers}
            targets: dict[str, Path] = {file.name: file for number in numbers for file in jobs[number].writes}
            actor = collector.remote(writes, self.lease)
            self.actors.append(actor)
            made.append(RayNode(addresses.get(node, node), numbers, actor, self.lease, targets))
        return made

    def _wait_until_connected(self, made: Sequence[RayNode], runs: Sequence[Any], deadline: float) -> None:
        import ray

        waiting = [node.collector.connected.remote() for node in made]
        while waiting := self._wait(waiting, min(deadline, time.monotonic() + CHECK_INTERVAL)):
            if ended := ray.wait(list(runs), timeout=0)[0]:
                ray.get(ended)  # raises the error that ended it
            if time.monotonic() > deadline:
                raise RunError(f"workers did not begin within {self.start_within:g} s")

    def _wait(self, calls: Sequence[Any], deadline: float) -> list[Any]:
        """Wait for calls; return those that are not done at the deadline.

        Raises:
            RunError: the run was stopped.
        """
        import ray

        waiting = list(calls)
        while waiting:
            left = max(0.0, min(CHECK_INTERVAL, deadline - time.monotonic()))
            _, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=left)
            if reason := self.why_stop():
                raise RunError(reason)
            if time.monotonic() >= deadline:
                break
        return waiting

    def _environment(self, job: Job) -> dict[str, str]:
        """Return the environment variables of a worker's process, which override those of Ray.

        Ray sets the devices of a worker, and as many threads as it has CPUs. Without CPUs of their own, the
        workers of a local model share the cores of this machine.
        """
        if self.cpus:
            return dict(job.environment)
        threads = max(1, (os.cpu_count() or 1) // self.workers)
        return {"OMP_NUM_THREADS": str(threads), **job.environment}
