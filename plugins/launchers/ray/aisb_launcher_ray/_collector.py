"""The collector of a node: an actor between the workers there and the run.

It keeps the files of the workers' jobs in its own folder, and forwards their output in batches. The run
requests each batch by number after it stored the previous one, so at most one is in transit.
"""

from __future__ import annotations

import asyncio
import os
import resource
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from aisb_launcher_ray._clocks import Echo
from aisb_launcher_ray._frames import ALIVE, END, HELLO, MESSAGE, make_frame, read_frame

BATCH_BYTES = 1 << 20
BATCH_EVERY = 0.5
"""The maximum seconds that data of workers waits for a batch."""
BATCH_DELAY = 0.005
"""Seconds that a message waits for others to join its batch."""
HEARTBEAT_SECONDS = 0.5
PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


class FileChunk(NamedTuple):
    """A part of a file that a job wrote: the file's name, the offset, and the bytes."""

    name: str
    offset: int
    data: bytes


class Batch(NamedTuple):
    """The data of one transfer. `ended` maps ended workers to their failure, or an empty text."""

    number: int
    messages: tuple[tuple[int, bytes], ...] = ()
    chunks: tuple[FileChunk, ...] = ()
    ended: tuple[tuple[int, str], ...] = ()


class Limits(NamedTuple):
    """The limits of a load on a node: open files of a process (None: no limit), local ports, processors."""

    files: int | None
    ports: int | None
    processors: int


class CollectorAddress(NamedTuple):
    """The address of a collector: its folder, and the port and token of its echo."""

    folder: str
    port: int
    token: bytes


@dataclass(slots=True)
class _Worker:
    """The state of one worker. `ended` is its failure, or an empty text; `cpu` its latest CPU time."""

    writes: Sequence[str]
    writer: asyncio.StreamWriter | None = None
    pulse: asyncio.StreamWriter | None = None
    process: int = 0
    heard: float = field(default_factory=time.monotonic)
    cpu: int = 0
    ended: str | None = None
    is_reported: bool = False


class Collector:
    """The actor, one on each node for each subtask."""

    def __init__(self, writes: Mapping[int, Sequence[str]], lease: float) -> None:
        self._workers = {number: _Worker(names) for number, names in writes.items()}
        self._lease = lease
        self._folder = Path(tempfile.mkdtemp(prefix="aisb-"))
        self._raylet = os.getppid()
        self._heard = time.monotonic()
        self._has_data = asyncio.Event()
        self._connected = asyncio.Event()
        self._messages: list[tuple[int, bytes]] = []
        self._offsets: dict[str, int] = {}
        self._read_at = 0.0
        self._last = Batch(0)
        self._expected, self._early = 0, dict[int, Sequence[tuple[int | None, bytes]]]()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, host: str) -> CollectorAddress:
        """Start to listen to workers, and to answer echoes at the address of this node."""
        loop, token = asyncio.get_running_loop(), secrets.token_bytes(16)
        await asyncio.start_unix_server(self._serve, str(self._folder / "door"))
        echo, _ = await loop.create_datagram_endpoint(lambda: Echo(token), local_addr=(host, 0))
        self._tasks.append(asyncio.create_task(self._watch()))
        return CollectorAddress(str(self._folder), echo.get_extra_info("sockname")[1], token)

    async def put(self, name: str, offset: int, data: bytes) -> None:
        """Write a part of a file that jobs read."""
        self._heard = time.monotonic()
        with (self._folder / name).open("r+b" if offset else "wb") as file:
            file.seek(offset)
            file.write(data)

    async def connected(self) -> None:
        """Return when all workers of this node are connected."""
        await self._connected.wait()

    async def clock(self) -> int:
        """Return the time of this node's clock."""
        return time.perf_counter_ns()

    async def limits(self) -> Limits:
        """Return the limits of a load on this node. Processes of Ray have the limits of the raylet."""
        return _limits()

    async def deliver(self, number: int, messages: Sequence[tuple[int | None, bytes]]) -> None:
        """Pass messages on, each for one worker or for all; calls may arrive out of order."""
        self._heard = time.monotonic()
        self._early[number] = messages
        while (ready := self._early.pop(self._expected, None)) is not None:
            self._expected += 1
            for target, data in ready:
                for one, worker in self._workers.items():
                    if target in (None, one) and worker.writer is not None and worker.ended is None:
                        worker.writer.write(make_frame(MESSAGE, data))

    async def pull(self, number: int) -> Batch:
        """Return the batch of this number; wait for data first, at most as long as a batch may be delayed."""
        self._heard = time.monotonic()
        if number == self._last.number:
            return self._last
        try:
            async with asyncio.timeout(BATCH_EVERY):
                await self._has_data.wait()
            await asyncio.sleep(BATCH_DELAY)
        except TimeoutError:
            pass
        self._heard = time.monotonic()
        self._has_data.clear()
        messages, self._messages = self._messages, []
        ending = [
            one
            for one, worker in self._workers.items()
            if worker.ended is not None and not worker.is_reported
        ]
        chunks, is_all = self._read(is_due=bool(ending))
        ended = []
        if is_all:  # otherwise the rest of their files is sent first
            for one in ending:
                worker = self._workers[one]
                worker.is_reported = True
                ended.append((one, worker.ended or ""))
        else:
            self._has_data.set()
        self._last = Batch(number, tuple(messages), tuple(chunks), tuple(ended))
        return self._last

    async def close(self) -> None:
        """Remove the folder, and end this process."""
        shutil.rmtree(self._folder, ignore_errors=True)
        asyncio.get_running_loop().call_later(0.05, os._exit, 0)

    def _read(self, *, is_due: bool) -> tuple[list[FileChunk], bool]:
        """Return the data written since the last call, up to a batch, and whether it is complete."""
        now = time.monotonic()
        if not is_due and now - self._read_at < BATCH_EVERY:
            return [], True
        chunks, room = list[FileChunk](), BATCH_BYTES
        for name in (name for worker in self._workers.values() for name in worker.writes):
            offset = self._offsets.get(name, 0)
            try:
                with (self._folder / name).open("rb") as file:
                    file.seek(offset)
                    data = file.read(room)
            except FileNotFoundError:
                continue
            if data:
                chunks.append(FileChunk(name, offset, data))
                self._offsets[name] = offset + len(data)
                room -= len(data)
            if not room:
                return chunks, False
        self._read_at = now
        return chunks, True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = await read_frame(reader)
        if hello is None:
            return
        kind, (number, process) = hello[0], map(int, hello[1].split())
        worker = self._workers[number]
        worker.process = process
        if kind == ALIVE:
            worker.pulse, worker.heard = writer, time.monotonic()
            while await reader.read(64):
                worker.heard = time.monotonic()
            return
        assert kind == HELLO  # noqa: S101 - of a worker of ours
        worker.writer = writer
        if all(each.writer is not None for each in self._workers.values()):
            self._connected.set()
        await self._listen(number, worker, reader)

    async def _listen(self, number: int, worker: _Worker, reader: asyncio.StreamReader) -> None:
        """Collect a worker's messages until it ends."""
        while (got := await read_frame(reader)) is not None:
            if got[0] == END:
                self._end(worker, got[1].decode("utf-8", "replace"))
                return
            self._messages.append((number, got[1]))
            self._has_data.set()
        self._end(worker, "its process ended before its work did")

    def _end(self, worker: _Worker, how: str) -> None:
        if worker.ended is None:
            worker.ended = how
            self._has_data.set()
        for writer in (worker.writer, worker.pulse):
            if writer is not None and how:
                writer.close()

    def _kill(self, worker: _Worker, why: str) -> None:
        """Kill a worker's process. Ray does not if the process is suspended or its raylet has ended."""
        with suppress(ProcessLookupError):
            os.kill(worker.process, signal.SIGKILL)
        self._end(worker, why)

    async def _watch(self) -> None:
        """Exchange heartbeats. If the run or the raylet has ended, end the workers."""
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            now = time.monotonic()
            if now - self._heard > self._lease:
                shutil.rmtree(self._folder, ignore_errors=True)
                os._exit(1)
            for worker in self._workers.values():
                if worker.ended is not None or worker.pulse is None:
                    continue
                if os.getppid() != self._raylet:
                    self._kill(worker, "the raylet of its node ended")
                elif not _is_busy(worker) and now - worker.heard > self._lease:
                    self._kill(worker, f"nothing was heard of it for {self._lease:g} s")
                else:
                    worker.pulse.write(b".")


def _is_busy(worker: _Worker) -> bool:
    """Return whether a worker computed since the last look, which counts as a sign of life.

    Importing a large library or loading a model can take seconds in which no other thread runs.
    """
    before, worker.cpu = worker.cpu, cpu_time(worker.process)
    if worker.cpu <= before:
        return False
    worker.heard = time.monotonic()
    return True


def cpu_time(process: int) -> int:
    """Return the CPU time of a process in ticks; 0 if the system does not report."""
    try:
        after_name = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except (OSError, UnicodeDecodeError):
        return 0
    return int(after_name[11]) + int(after_name[12])


def _limits() -> Limits:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    ports = None
    with suppress(OSError, ValueError):
        low, high = map(int, PORTS.read_text(encoding="ascii").split())
        ports = high - low + 1
    return Limits(None if hard == resource.RLIM_INFINITY else hard, ports, os.cpu_count() or 1)
