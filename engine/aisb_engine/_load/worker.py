"""A local worker's process, `python -m aisb_engine._load.worker`: it reads a job, then exchanges messages.

It ends with the process that started it: the end of its input ends it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson

from aisb._running import Channel, Job


class PipeChannel(Channel):
    """A worker's standard input and output, with one JSON message a line."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        self._out: asyncio.WriteTransport | None = None

    async def open(self) -> None:
        """Begin to read and write."""
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: _Lines(self._messages), sys.stdin)
        self._out, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, sys.stdout)

    def send(self, message: Mapping[str, Any]) -> None:
        """Write one message."""
        if self._out is not None and not self._out.is_closing():
            self._out.write(orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE))

    async def receive(self) -> Mapping[str, Any]:
        """Return the next message. The end of the input ends this process at once."""
        return await self._messages.get()

    async def close(self) -> None:
        """Wait until everything is written."""
        if self._out is None:
            return
        self._out.close()
        while self._out.get_write_buffer_size():  # noqa: ASYNC110 - a pipe has no drain of its own
            await asyncio.sleep(0.005)


class _Lines(asyncio.Protocol):
    """Splits the bytes of the parent's pipe into messages. The pipe ends when the parent does."""

    def __init__(self, messages: asyncio.Queue[Mapping[str, Any]]) -> None:
        self._messages = messages
        self._data = b""

    def data_received(self, data: bytes) -> None:
        *lines, self._data = (self._data + data).split(b"\n")
        for line in lines:
            self._messages.put_nowait(orjson.loads(line))

    def eof_received(self) -> None:
        # Every record is a single write, so ending at once loses nothing that has finished.
        os._exit(1)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        os._exit(1)


async def _run(job: Job) -> None:
    channel = PipeChannel()
    await channel.open()
    try:
        await job.run(channel)
    finally:
        await channel.close()


def main() -> int:
    """Run as a worker process."""
    import pickle
    import traceback

    # Read past all buffers: what follows the job belongs to the event loop. The pipe is the parent's own.
    # A cluster sends SIGTERM to all processes of a job, and the command tells its workers to stop. SIG_IGN
    # would be inherited by the processes of a local model.
    signal.signal(signal.SIGTERM, lambda *_: None)
    job: Job = pickle.loads(_exactly(int.from_bytes(_exactly(8), "big")))  # noqa: S301
    with suppress(KeyboardInterrupt):
        code = 0
        try:
            try:
                import uvloop
            except ImportError:
                asyncio.run(_run(job))
            else:
                uvloop.run(_run(job))
        except Exception:  # noqa: BLE001 - a defect: the parent shows the last line
            traceback.print_exc()
            code = 1
        sys.stderr.flush()
        os._exit(code)
    return 130


def _exactly(size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = os.read(sys.stdin.fileno(), size)
        if not part:
            os._exit(1)
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


if __name__ == "__main__":
    raise SystemExit(main())
