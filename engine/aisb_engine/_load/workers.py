"""Worker processes as the command sees them: start, watch, stop, collect.

`Launcher` is all that a run needs of them, so that another one can place workers on other machines.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import orjson

from aisb._backend import Backend
from aisb._errors import ConfigError, RunError
from aisb_engine._load.work import Job

Message = Mapping[str, Any]
LEAD_NS = 30_000_000
"""How long after the last worker is ready all of them start."""

PATIENCE = 10.0
"""Seconds a worker has to end after it was told to stop."""


class Launcher(Protocol):
    """Places the workers of one subtask somewhere, and speaks with them."""

    async def start(self, jobs: Sequence[Job]) -> int:
        """Start a worker for each job; return their common start (ns from the run's) when all are ready.

        Raises:
            RunError: a worker did not start.
        """

    def watch(self) -> AsyncIterator[tuple[int, Message]]:
        """Yield what the workers tell, each by its number, until all of them have ended.

        Raises:
            RunError: a worker ended before its work did.
        """

    async def stop(self) -> None:
        """Tell all workers to stop; those that do not are ended."""

    async def collect(self) -> None:
        """Bring what the workers logged into the run folder, and let go of them."""


class LocalWorkers:
    """Worker processes on this machine, which log into the run folder themselves."""

    def __init__(self, *, lines: Callable[[str], None]) -> None:
        self._lines = lines
        self._processes: list[asyncio.subprocess.Process] = []
        self._jobs: Sequence[Job] = ()
        self._errors: list[asyncio.Task[str]] = []
        self._stopped = False

    async def start(self, jobs: Sequence[Job]) -> int:
        """Start a process for each job."""
        self._jobs = jobs
        payloads = [pickle.dumps(job) for job in jobs]
        for job in jobs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "aisb_engine._load.worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, **job.environment},
                start_new_session=True,  # Ctrl-C in a terminal is for the command, which tells its workers
            )
            assert process.stderr is not None  # noqa: S101 - asked for above
            self._processes.append(process)
            self._errors.append(asyncio.create_task(_last_words(process.stderr)))
        for process, payload in zip(self._processes, payloads, strict=True):
            assert process.stdin is not None  # noqa: S101 - asked for above
            process.stdin.write(len(payload).to_bytes(8, "big") + payload)
        for number in range(len(jobs)):
            await self._ready(number)
        origin = time.perf_counter_ns() - jobs[0].began + LEAD_NS
        self._order(f"start {origin}")
        return origin

    async def _ready(self, number: int) -> None:
        """Wait until a process is ready, which takes a while where it loads a model."""
        while (message := await self._message(number)) is not None and "ready" not in message:
            if "error" in message:
                raise RunError(message["error"])
            if "note" in message:
                self._lines(f"worker {number}: {message['note']}")
        if message is None:
            raise RunError(await self._why_gone(number))

    async def watch(self) -> AsyncIterator[tuple[int, Message]]:
        """Yield what the processes tell."""
        told: asyncio.Queue[tuple[int, Message | None]] = asyncio.Queue()

        async def listen(number: int) -> None:
            ended = False
            while (message := await self._message(number)) is not None:
                ended = ended or "ended" in message or "error" in message
                await told.put((number, message))
            if not ended and not self._stopped:
                await told.put((number, {"error": await self._why_gone(number), "exit_code": 1}))
            await told.put((number, None))

        listeners = [asyncio.create_task(listen(number)) for number in range(len(self._processes))]
        left = len(listeners)
        try:
            while left:
                number, message = await told.get()
                if message is None:
                    left -= 1
                elif "error" in message:
                    raise RunError(message["error"])
                else:
                    yield number, message
        finally:
            for listener in listeners:
                listener.cancel()
            await asyncio.gather(*listeners, return_exceptions=True)

    async def stop(self) -> None:
        """Tell all to stop, and end those that have not after some seconds."""
        if self._stopped:
            return
        self._stopped = True
        self._order("stop")
        try:
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*(process.wait() for process in self._processes))
        except TimeoutError:
            for process in self._processes:
                with suppress(ProcessLookupError):
                    process.kill()

    async def collect(self) -> None:
        """Wait for all to be gone; their shards are in place, and what they read is removed."""
        await asyncio.gather(*(process.wait() for process in self._processes))
        for number, errors in enumerate(self._errors):
            if words := (await errors).strip():
                self._lines(f"worker {number}: {words}")
        for process in self._processes:
            if process.stdin is not None:
                process.stdin.close()
        for job in self._jobs:
            job.requests.unlink(missing_ok=True)

    def _order(self, line: str) -> None:
        for process in self._processes:
            if process.stdin is not None and not process.stdin.is_closing():
                process.stdin.write(line.encode() + b"\n")

    async def _message(self, number: int) -> Message | None:
        stdout = self._processes[number].stdout
        line = await stdout.readline() if stdout else b""
        if not line.endswith(b"\n"):
            return None
        message: Message = orjson.loads(line)
        return message

    async def _why_gone(self, number: int) -> str:
        code = await self._processes[number].wait()
        words = (await self._errors[number]).strip().splitlines()
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        return (
            f"worker {number} ended {how} before its work did" + (f": {words[-1]}" if words else "") + "\n"
            "  everything that had finished is kept in the log"
        )


def hand_over(backend: Backend) -> tuple[type[Backend], dict[str, Any]]:
    """Return a backend's class and state as another process can have them, after its probe.

    What cannot travel (locks, a process that the backend started) stays behind: a worker only translates.

    Raises:
        ConfigError: the backend's class cannot be found by its name in another process.
    """
    kind = type(backend)
    try:
        pickle.dumps(kind)
        if kind.__module__ == "__main__":
            raise pickle.PicklingError("it stands in __main__")  # noqa: TRY301 - the same answer
    except (pickle.PicklingError, AttributeError) as error:
        raise ConfigError(
            "load.workers", f"the backend cannot be used by other processes ({error}); set it to 1"
        ) from error
    return kind, {key: value for key, value in vars(backend).items() if _travels(value)}


def _travels(value: object) -> bool:
    try:
        pickle.dumps(value)
    except Exception:  # noqa: BLE001 - whatever an object says against it, it stays behind
        return False
    return True


async def _last_words(stream: asyncio.StreamReader) -> str:
    """Read a worker's standard error to its end, and keep the last of it."""
    kept = b""
    while part := await stream.read(1 << 16):
        kept = (kept + part)[-8192:]
    return kept.decode("utf-8", "replace")
