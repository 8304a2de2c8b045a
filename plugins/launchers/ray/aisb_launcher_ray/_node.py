"""Pull the batches of one node's collector into the main process, and store their data."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aisb_launcher_ray._clocks import ClockOffset, measure_clock
from aisb_launcher_ray._collector import BATCH_BYTES, Batch, CollectorAddress, FileChunk

Report = Callable[[int, bytes | Mapping[str, Any] | None, str], None]
"""Gets a worker's number with a message, or with None and its failure when the worker has ended."""

DISK = 5
"""The command's exit code if the run cannot be written on this machine."""
LEASE_MARGIN = 2.0
"""Seconds beside the lease after which the workers of a node that is out of reach have ended: the collector
looks once in half a second, and began to count when it answered, up to half a second after the request."""


@dataclass(slots=True)
class RayNode:
    """A node with workers of one subtask. `collector` is a handle of the actor there."""

    address: str
    workers: Sequence[int]
    collector: Any
    lease: float
    targets: Mapping[str, Path]
    door: CollectorAddress | None = None
    clocks: list[ClockOffset] = field(default_factory=list)
    is_lost: bool = False
    _bases: dict[str, int] = field(default_factory=dict)
    _sent: int = 0
    _puller: threading.Thread | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self, timeout: float) -> CollectorAddress:
        """Start the collector's listener, and measure the node's clock."""
        import ray

        opened = self.collector.open.remote(self.address)
        self.door = door = CollectorAddress(*ray.get(opened, timeout=timeout))
        self.measure_clock()
        return door

    def measure_clock(self) -> None:
        """Measure the offset of the node's clock."""
        import ray

        assert self.door is not None  # noqa: S101 - opened first

        def call() -> int:
            time_ns: int = ray.get(self.collector.clock.remote(), timeout=self.lease)
            return time_ns

        self.clocks.append(measure_clock(self.address, self.door.port, self.door.token, call))

    def put(self, file: Path) -> None:
        """Copy a file to the node, part by part."""
        import ray

        offset = 0
        with file.open("rb") as source:
            while (data := source.read(BATCH_BYTES)) or not offset:
                ray.get(self.collector.put.remote(file.name, offset, data), timeout=60)
                offset += len(data)
                if len(data) < BATCH_BYTES:
                    return

    def send(self, target: int | None, message: bytes) -> Any:
        """Send a message to one worker of this node, or to all; return Ray's reference to the call."""
        with self._lock:
            number, self._sent = self._sent, self._sent + 1
        return self.collector.deliver.remote(number, [(target, message)])

    def pull(self, report: Report) -> None:
        """Start to pull batches in a thread, so that a busy run does not look dead to its workers."""
        name = f"aisb-pull-{self.address}"
        self._puller = threading.Thread(target=self._pull, args=(report,), name=name, daemon=True)
        self._puller.start()

    def join(self, timeout: float) -> None:
        """Wait for the last batch."""
        if self._puller is not None:
            self._puller.join(timeout)

    def _pull(self, report: Report) -> None:
        import ray

        left, number, requested_at = set(self.workers), 0, 0.0
        try:
            while left:
                number, requested_at = number + 1, time.monotonic()
                batch = self._batch(number)
                for chunk in batch.chunks:
                    self._keep(chunk)
                for worker, message in batch.messages:
                    report(worker, message, "")
                if left <= {worker for worker, _ in batch.ended}:
                    self._report_clock(report)
                for worker, how in batch.ended:
                    left.discard(worker)
                    report(worker, None, how)
        except ray.exceptions.RayError as error:  # some are an OSError, too
            self.is_lost = True
            reason = "no answer" if isinstance(error, TimeoutError) else type(error).__name__
            report(min(left), {"say": f"its node {self.address} was lost ({reason})"}, "")
            # It may be alive but unreachable: its workers may send until its lease ends.
            time.sleep(max(0.0, requested_at + self.lease + LEASE_MARGIN - time.monotonic()))
            for worker in left:
                report(worker, None, f"its node was lost ({reason})")
        except OSError as error:
            failed = f"the files of the workers cannot be written to the run: {error.strerror}"
            report(min(left), {"error": failed, "exit_code": DISK}, "")

    def _batch(self, number: int) -> Batch:
        import ray

        return Batch(*ray.get(self.collector.pull.remote(number), timeout=self.lease))

    def _keep(self, chunk: FileChunk) -> None:
        """Append a chunk to its file in the run, also after an earlier session."""
        target = self.targets[chunk.name]
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            base = self._bases.setdefault(chunk.name, os.fstat(descriptor).st_size)
            view, place = memoryview(chunk.data), base + chunk.offset
            while view:
                written = os.pwrite(descriptor, view, place)
                view, place = view[written:], place + written
        finally:
            os.close(descriptor)

    def _report_clock(self, report: Report) -> None:
        """Measure the clock at the end, and report its measurements."""
        with suppress(Exception):  # the node is lost: the measurement at the start stays valid
            self.measure_clock()
        report(self.workers[0], {"clock": self.clock_facts()}, "")

    def clock_facts(self) -> dict[str, Any]:
        """Return the facts about this node's clock for `load.json`; its drift adds to the uncertainty."""
        first, last = self.clocks[0], self.clocks[-1]
        widest = max(each.uncertainty_ns for each in self.clocks)
        return {
            "node": self.address,
            "workers": list(self.workers),
            "offset_ns": first.offset_ns,
            "offset_at_end_ns": last.offset_ns,
            "uncertainty_ns": widest + abs(last.offset_ns - first.offset_ns),
            "way": first.way,
        }
