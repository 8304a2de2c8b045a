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

from aisb._running import Job, Launcher

WorkerMessage = Mapping[str, Any]
LONGEST_MESSAGE = 1 << 26
"""The maximum size of a message in bytes; the longest are the conversations of episodes."""


class LocalWorkers(Launcher):
    """Workers are processes on this machine."""

    def __init__(self) -> None:
        self._jobs: Sequence[Job] = ()
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._listeners: list[asyncio.Task[None]] = []
        self._messages: asyncio.Queue[tuple[int, WorkerMessage | None]] = asyncio.Queue()
        self._left = 0
        self._stopped = False

    async def start(self, jobs: Sequence[Job]) -> None:
        """Start a process for each job."""
        self._jobs = jobs
        for number in range(len(jobs)):
            await self._start(number)

    async def watch(self) -> AsyncIterator[tuple[int, WorkerMessage]]:
        """Yield the messages of the processes."""
        try:
            while self._left:
                number, message = await self._messages.get()
                if message is None:
                    self._left -= 1
                else:
                    yield number, message
        finally:
            for listener in self._listeners:
                listener.cancel()
            await asyncio.gather(*self._listeners, return_exceptions=True)

    async def replace(self, worker: int) -> bool:
        """Start a process to replace a lost one."""
        await self._start(worker)
        return True

    async def send(self, message: WorkerMessage) -> None:
        """Send a message to all processes."""
        _write(self._processes.values(), message)

    async def send_to(self, worker: int, message: WorkerMessage) -> None:
        """Send a message to one process."""
        _write([self._processes[worker]], message)

    async def stop(self, patience: float = 10.0) -> None:
        """Wait for all processes, and kill those still running after `patience` seconds."""
        self._stopped = True
        try:
            async with asyncio.timeout(patience):
                await asyncio.gather(*(process.wait() for process in self._processes.values()))
        except TimeoutError:
            for process in self._processes.values():
                with suppress(ProcessLookupError):
                    process.kill()

    async def collect(self) -> None:
        """Wait until all processes have ended; their files are in place already."""
        for process in self._processes.values():
            await process.wait()
            if process.stdin is not None:
                process.stdin.close()

    async def _start(self, number: int) -> None:
        payload = pickle.dumps(self._jobs[number])
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "aisb_engine._load.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LONGEST_MESSAGE,
            env={**os.environ, **self._jobs[number].environment},
            start_new_session=True,  # Ctrl-C in a terminal is for the command, which then stops its workers
        )
        assert process.stdin is not None  # noqa: S101 - asked for above
        self._processes[number] = process
        self._left += 1
        self._listeners.append(asyncio.create_task(self._listen(number, process)))
        process.stdin.write(len(payload).to_bytes(8, "big") + payload)

    async def _listen(self, number: int, process: asyncio.subprocess.Process) -> None:
        """Forward the messages of a process, and at its end a last message about it."""
        assert process.stdout is not None and process.stderr is not None  # noqa: S101, PT018 - asked for
        words = asyncio.create_task(_last_words(process.stderr))
        while (line := await process.stdout.readline()).endswith(b"\n"):
            await self._messages.put((number, orjson.loads(line)))
        if last := self._last_message(number, await process.wait(), (await words).strip()):
            await self._messages.put((number, last))
        await self._messages.put((number, None))

    def _last_message(self, number: int, code: int, words: str) -> WorkerMessage:
        """Return the last message about a process that ended: its standard error, or that it was lost."""
        if code == 0 or self._stopped:
            return {"note": words} if words else {}
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        last = f": {words.splitlines()[-1]}" if words else ""
        return {"lost": f"worker {number} ended {how} before its work did{last}"}


def _write(processes: Iterable[asyncio.subprocess.Process], message: WorkerMessage) -> None:
    line = orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE)
    for process in processes:
        if process.stdin is not None and not process.stdin.is_closing():
            process.stdin.write(line)


async def _last_words(stream: asyncio.StreamReader) -> str:
    """Read a worker's standard error to its end, and return its last part."""
    tail = b""
    while part := await stream.read(1 << 16):
        tail = (tail + part)[-8192:]
    return tail.decode("utf-8", "replace")
