"""The launcher `local`: workers are processes on this machine, which log into the run folder themselves."""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import orjson

from aisb._errors import RunError
from aisb._running import Job, Launcher

Message = Mapping[str, Any]
LONGEST_MESSAGE = 1 << 20
"""Bytes of a message; the longest are errors with the words of a service."""


class LocalWorkers(Launcher):
    """Workers are processes on this machine."""

    def __init__(self) -> None:
        self._processes: list[asyncio.subprocess.Process] = []
        self._jobs: Sequence[Job] = ()
        self._errors: list[asyncio.Task[str]] = []
        self._stopped = False

    async def start(self, jobs: Sequence[Job]) -> None:
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
                limit=LONGEST_MESSAGE,
                env={**os.environ, **job.environment},
                start_new_session=True,  # Ctrl-C in a terminal is for the command, which stops its workers
            )
            assert process.stderr is not None  # noqa: S101 - asked for above
            self._processes.append(process)
            self._errors.append(asyncio.create_task(_last_words(process.stderr)))
        for process, payload in zip(self._processes, payloads, strict=True):
            assert process.stdin is not None  # noqa: S101 - asked for above
            process.stdin.write(len(payload).to_bytes(8, "big") + payload)

    async def watch(self) -> AsyncIterator[tuple[int, Message]]:
        """Yield the messages of the processes."""
        messages: asyncio.Queue[tuple[int, Message | RunError | None]] = asyncio.Queue()

        async def listen(number: int) -> None:
            while (message := await self._message(number)) is not None:
                await messages.put((number, message))
            await messages.put((number, await self._last_message(number)))
            await messages.put((number, None))

        listeners = [asyncio.create_task(listen(number)) for number in range(len(self._processes))]
        left = len(listeners)
        try:
            while left:
                number, message = await messages.get()
                if message is None:
                    left -= 1
                elif isinstance(message, RunError):
                    raise message
                elif message:
                    yield number, message
        finally:
            for listener in listeners:
                listener.cancel()
            await asyncio.gather(*listeners, return_exceptions=True)

    async def send(self, message: Message) -> None:
        """Send a message to all processes."""
        _write(self._processes, message)

    async def send_to(self, worker: int, message: Message) -> None:
        """Send a message to one process."""
        _write(self._processes[worker : worker + 1], message)

    async def stop(self, patience: float = 10.0) -> None:
        """Wait for all processes, and kill those that are left after some seconds."""
        self._stopped = True
        try:
            async with asyncio.timeout(patience):
                await asyncio.gather(*(process.wait() for process in self._processes))
        except TimeoutError:
            for process in self._processes:
                with suppress(ProcessLookupError):
                    process.kill()

    async def collect(self) -> None:
        """Wait for all to be gone; what they wrote is in place already."""
        await asyncio.gather(*(process.wait() for process in self._processes))
        await asyncio.gather(*self._errors)
        for process in self._processes:
            if process.stdin is not None:
                process.stdin.close()

    async def _message(self, number: int) -> Message | None:
        stdout = self._processes[number].stdout
        line = await stdout.readline() if stdout else b""
        if not line.endswith(b"\n"):
            return None
        message: Message = orjson.loads(line)
        return message

    async def _last_message(self, number: int) -> Message | RunError:
        """Return what is left to say of a process that ended: its standard error, or that it was lost."""
        code = await self._processes[number].wait()
        words = (await self._errors[number]).strip()
        if code == 0 or self._stopped:
            return {"note": words} if words else {}
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        last = f": {words.splitlines()[-1]}" if words else ""
        return RunError(f"worker {number} ended {how} before its work did{last}")


def _write(processes: Iterable[asyncio.subprocess.Process], message: Message) -> None:
    line = orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE)
    for process in processes:
        if process.stdin is not None and not process.stdin.is_closing():
            process.stdin.write(line)


async def _last_words(stream: asyncio.StreamReader) -> str:
    """Read a worker's standard error to its end, and keep the last of it."""
    kept = b""
    while part := await stream.read(1 << 16):
        kept = (kept + part)[-8192:]
    return kept.decode("utf-8", "replace")
