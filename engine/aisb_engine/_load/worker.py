"""A worker process, `python -m aisb_engine._load.worker`: a job comes in, counts go out.

It ends with the process that started it: when its input ends, so does it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from aisb._errors import AisbError
from aisb_engine._load.clock import RunClock
from aisb_engine._load.work import Job, read_share, work
from aisb_engine._progress import Progress

COUNTS = ("sent", "received", "finished", "failed", "retried", "in_flight")
TOLD_EVERY = 0.2


class _Process:
    """A worker process, seen from inside."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.origin: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.progress = Progress("", "", Path())
        self._out: asyncio.WriteTransport | None = None
        self._live: Callable[[], str] = str

    async def run(self, job: Job) -> int:
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: _Orders(self), sys.stdin)
        self._out, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, sys.stdout)
        backend = object.__new__(job.backend)
        backend.__dict__.update(job.state)
        self._live = backend.live
        telling = asyncio.create_task(self._tell_counts())
        try:
            if backend.local:  # before it is ready, so that all begin together
                for line in (await backend.probe()).notes:
                    self.tell({"note": line})
            notes = await work(
                job.share,
                backend,
                lambda: read_share(job.requests),
                clock=RunClock(job.began),
                start=self._ready,
                progress=self.progress,
                note=lambda line: self.tell({"note": line}),
                stopping=self.stopping,
            )
        except AisbError as error:
            self.tell({"error": str(error), "exit_code": error.exit_code})
            return error.exit_code
        else:
            if words := backend.summary():
                self.tell({"note": words})
            self.tell({"ended": True, "notes": notes})
            return 0
        finally:
            telling.cancel()
            self.tell(self._counts())
            self._out.close()
            while self._out.get_write_buffer_size():  # noqa: ASYNC110 - a pipe has no drain of its own
                await asyncio.sleep(0.005)

    async def _ready(self) -> int:
        self.tell({"ready": True})
        return await self.origin

    def tell(self, message: Mapping[str, Any]) -> None:
        if self._out is not None and not self._out.is_closing():
            self._out.write(orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE))

    async def _tell_counts(self) -> None:
        while True:
            await asyncio.sleep(TOLD_EVERY)
            self.tell(self._counts())

    def _counts(self) -> dict[str, Any]:
        counts = {name: getattr(self.progress, name) for name in COUNTS}
        return {
            "counts": counts,
            "failures": self.progress.failures,
            "first_failure": self.progress.first_failure,
            "live": self._live(),
        }


class _Orders(asyncio.Protocol):
    """What comes through the pipe from the parent: the start, and the stop. Its end is the parent's end."""

    def __init__(self, process: _Process) -> None:
        self._process = process
        self._data = b""

    def data_received(self, data: bytes) -> None:
        *lines, self._data = (self._data + data).split(b"\n")
        for line in lines:
            word, _, value = line.partition(b" ")
            if word == b"start" and not self._process.origin.done():
                self._process.origin.set_result(int(value))
            elif word == b"stop":
                self._process.stopping.set()
                if not self._process.origin.done():
                    self._process.origin.set_result(0)

    def eof_received(self) -> None:
        # Every record is one write, so nothing that finished is lost by going at once.
        os._exit(1)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        os._exit(1)


def main() -> int:
    """Run as a worker process."""
    import pickle

    from aisb_engine._load.capacity import raise_limit

    # Read past all buffers: what follows the job belongs to the event loop. The pipe is the parent's own.
    job: Job = pickle.loads(_exactly(int.from_bytes(_exactly(8), "big")))  # noqa: S301
    raise_limit()

    async def run() -> int:
        return await _Process().run(job)

    with suppress(KeyboardInterrupt):
        try:
            import uvloop
        except ImportError:
            code = asyncio.run(run())
        else:
            code = uvloop.run(run())
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
