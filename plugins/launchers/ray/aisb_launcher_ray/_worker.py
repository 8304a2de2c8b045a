"""A worker on a node: an actor that runs one job, and communicates with the collector of its node."""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from aisb import Channel, Job
from aisb_launcher_ray._frames import ALIVE, END, HELLO, MESSAGE, make_frame, read_frame


class NodeChannel(Channel):
    """A worker's connection with the collector of its node."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, offset_ns: int) -> None:
        self.offset_ns = offset_ns
        self._reader = reader
        self._writer = writer

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one message."""
        self._writer.write(make_frame(MESSAGE, orjson.dumps(message)))

    async def receive(self) -> Mapping[str, Any] | None:
        """Return the next message of the run; None if the collector has ended."""
        got = await read_frame(self._reader)
        if got is None:
            return None
        message: Mapping[str, Any] = orjson.loads(got[1])
        return message


class RayWorker:
    """The actor. Ray starts a process for each."""

    async def place(self) -> tuple[str, int]:
        """Return the node that this worker is on, and its process."""
        import ray

        return ray.get_runtime_context().get_node_id(), os.getpid()

    async def run(
        self,
        payload: bytes,
        number: int,
        *,
        folder: str,
        offset_ns: int,
        lease: float,
        environment: Mapping[str, str],
    ) -> None:
        """Run a pickled job to its end; `environment` is set before the job's modules are imported."""
        os.environ.update(environment)
        door = str(Path(folder) / "door")
        _keep_alive(door, number, lease)
        reader, writer = await asyncio.open_unix_connection(door)
        writer.write(make_frame(HELLO, b"%d %d" % (number, os.getpid())))
        error = b""
        try:
            job: Job = pickle.loads(payload)  # noqa: S301 - of the command that started this worker
            await job.run(NodeChannel(reader, writer, offset_ns), Path(folder))
        except Exception:  # noqa: BLE001 - a defect: the run shows the last line
            error = traceback.format_exc().encode()
        writer.write(make_frame(END, error))
        await writer.drain()
        writer.close()
        await writer.wait_closed()


def _keep_alive(door: str, number: int, lease: float) -> None:
    """Answer the collector's heartbeats in a thread; end this process if they or the raylet stop.

    A record is a single write, so an immediate end loses nothing that is finished.
    """
    raylet = os.getppid()
    wire = socket.socket(socket.AF_UNIX)
    wire.connect(door)
    wire.settimeout(lease)
    wire.sendall(make_frame(ALIVE, b"%d %d" % (number, os.getpid())))

    def answer() -> None:
        try:
            while wire.recv(1) and os.getppid() == raylet:
                wire.sendall(b".")
        except OSError:
            pass
        os._exit(1)

    threading.Thread(target=answer, name="aisb-lease", daemon=True).start()
