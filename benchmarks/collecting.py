"""What it costs the command to collect records from a Ray cluster: 100 fake nodes feed the run's real end.

    python benchmarks/collecting.py [SECONDS]

Processes on this machine stand for the collectors of nodes: each hands out one batch of real records a
second. The command's side is the launcher's own: it pulls the batches through Ray, and appends their bytes to
the shards of a run. CPU seconds of the whole process are counted, Ray's threads included. The last load is
19,000 records of 5 kB a second, a fifth of what a million streams make. The producers share this machine's
processors with the collecting, so how late the last batch came is printed, and is no limit. The CPU seconds
of the whole load, divided by its seconds, are the share of one core: below 100 %, a command with a free core
keeps up. The part of it that appends bytes is aisb's own; the rest is Ray's transfer.
"""

import asyncio
import os
import sys
import tempfile
import threading
import time
from array import array
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from aisb import Prediction, Timing, Usage
from aisb_engine._record.log import read_file
from aisb_engine._record.records import encode

SECONDS = 8
PRODUCERS = 4
LEASE = 60.0


class Load(NamedTuple):
    """What the fake nodes hand out; the limits are us of CPU a record, or ms of CPU a batch."""

    name: str
    nodes: int
    records: int
    record_bytes: int
    most_us: float | None
    most_ms: float | None


LOADS = [
    Load("10 nodes, batches of 20 records of 1 kB", 10, 20, 1_000, None, None),
    Load("100 nodes, batches of 100 records of 1 kB", 100, 100, 1_000, 15.0, 1.5),
    Load("100 nodes, batches of 20 records of 1 kB", 100, 20, 1_000, None, 1.5),
    Load("100 nodes, 19,000 records of 5 kB a second", 100, 190, 5_000, 25.0, None),
]


def record_of(size: int) -> bytes:
    """Return a record of about that many bytes: a streamed reply of 50 tokens, and its text."""
    stamps = array("q", range(10_000_000, 10_000_000 + 50 * 9_000_000, 9_000_000))
    timing = Timing(sent_ns=1, done_ns=int(stamps[-1]), chunk_ns=stamps, chunk_kinds=["content"] * 50)

    def made(text: str) -> bytes:
        answer = Prediction("sample-1", text=text, usage=Usage(100, 50), timing=timing)
        return encode(answer, final=True, session=1)

    return made("x" * (size - len(made(""))))


class Producer:
    """An actor that stands for the collectors of some nodes."""

    def __init__(self, batch: bytes, batches: int) -> None:
        from aisb_launcher_ray._collector import FileChunk  # here, because it takes seconds on a busy machine

        self._chunk = FileChunk
        self._batch = batch
        self._batches = batches
        self._starts = 0.0

    async def start(self, at: float) -> None:
        """Hand out the first batches one second after this time of the monotonic clock."""
        self._starts = at

    async def pull(self, node: int, number: int) -> tuple[object, ...]:
        """Return a batch of a node at its time."""
        due = self._starts + number + node % 100 / 100
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        chunk = self._chunk(f"worker-{node}", (number - 1) * len(self._batch), self._batch)
        return (number, (), (chunk,), ((node, ""),) if number == self._batches else ())


class Handle:
    """What the run holds of one fake collector, in the form of a handle of Ray."""

    def __init__(self, actor: object, node: int) -> None:
        self.pull = self
        self._actor, self._node = actor, node

    def remote(self, number: int) -> object:
        """Ask for a batch."""
        return self._actor.pull.remote(self._node, number)


def collect(load: Load, seconds: int, folder: Path) -> bool:
    """Collect a load; print what it took, and say whether that is within the limits."""
    import ray

    from aisb_launcher_ray._clocks import ClockOffset
    from aisb_launcher_ray._node import RayNode

    class Fake(RayNode):
        """A node whose clock is ours."""

        def measure_clock(self) -> None:
            """There is nothing to measure."""

        def _keep(self, chunk: object) -> None:
            began = time.thread_time()
            super()._keep(chunk)
            appending.append(time.thread_time() - began)

    appending: list[float] = []
    record = record_of(load.record_bytes)
    batch = record * load.records
    actor = ray.remote(Producer).options(num_cpus=0, max_concurrency=1000)
    producers = [actor.remote(batch, seconds) for _ in range(PRODUCERS)]
    ray.get([each.start.remote(0.0) for each in producers])  # their processes are there
    at = time.monotonic() + 1
    ray.get([each.start.remote(at) for each in producers])
    left, over = load.nodes, threading.Event()
    lock, failed = threading.Lock(), []

    def tell(_worker: int, message: object, how: str) -> None:
        nonlocal left
        if message is None:
            failed.extend([how] if how else [])
            with lock:
                left -= 1
            if not left:
                over.set()

    nodes = []
    for number in range(load.nodes):
        shard = folder / f"{load.records}x{load.record_bytes}-{number}"
        targets = {f"worker-{number}": shard}
        handle = Handle(producers[number % PRODUCERS], number)
        nodes.append(Fake("here", (number,), handle, LEASE, targets, clocks=[ClockOffset(0, 0, "udp")]))
    before = time.process_time()
    for node in nodes:
        node.pull(tell)
    over.wait(seconds * 5 + 40)
    cpu, behind = time.process_time() - before, time.monotonic() - (at + seconds + 1)
    assert not left, f"{left} nodes are not done"
    assert not failed, failed[0]
    files = [file for node in nodes for file in node.targets.values()]
    assert all(file.stat().st_size == len(batch) * seconds for file in files)
    assert sum(1 for one in read_file(files[0]) if one) == load.records * seconds
    for file in files:
        file.unlink()
    for each in producers:
        ray.kill(each)
    batches = load.nodes * seconds
    us, ms = cpu / (batches * load.records) * 1e6, cpu / batches * 1e3
    is_good = us <= (load.most_us or us) and ms <= (load.most_ms or ms) and cpu < seconds
    limits = [f"at most {load.most_us:g} us"] if load.most_us else []
    limits += [f"at most {load.most_ms:g} ms a batch"] if load.most_ms else []
    limits += ["below 100 % of a core"]
    megabytes = load.nodes * len(batch) / 1e6
    print(
        f"{'ok ' if is_good else 'BAD'} {load.name:<44} {megabytes:6.1f} MB/s   {us:6.2f} us a record   "
        f"{ms:5.2f} ms a batch  {cpu:5.2f} s of CPU = {cpu / seconds:4.0%} of a core, "
        f"{sum(appending) / cpu:3.0%} of it appends   ended {max(0.0, behind):4.1f} s late   "
        f"({', '.join(limits)})"
    )
    return is_good


def main() -> int:
    if find_spec("ray") is None:
        print("skipped: ray is not installed (make test-ray installs it)")
        return 0
    from aisb_launcher_ray._cluster import connect_cluster

    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    connect_cluster(None)
    print(f"{os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f}, {seconds} s each")
    with tempfile.TemporaryDirectory() as folder:
        good = [collect(load, seconds, Path(folder)) for load in LOADS]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
