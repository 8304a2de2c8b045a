"""Talk with a child process that runs code of others: one JSON line for each command, one for its answer."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from aisb_processes._programs import end

KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR")
"""The environment variables that such a process gets: no key of a service is among them."""
LONGEST_LINE = 1 << 26


class SlowProcessError(RuntimeError):
    """The process did not answer in time, and was killed."""


class LineProcess:
    """A process that answers commands in order, each within `seconds`."""

    def __init__(self, command: Sequence[str], seconds: float) -> None:
        self._command = command
        self._seconds = seconds
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the process."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=LONGEST_LINE,
            env={name: os.environ[name] for name in KEPT if name in os.environ},
        )

    async def ask(self, command: Mapping[str, Any], *, seconds: float | None = None) -> Any:
        """Return the answer to a command, which may have a deadline of its own.

        Raises:
            SlowProcessError: it takes too long; the process is killed.
            RuntimeError: the process has ended, or was not started.
        """
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise RuntimeError("the process was not started")
        limit = self._seconds if seconds is None else seconds
        line = b""
        try:
            async with asyncio.timeout(limit):
                process.stdin.write(json.dumps(command).encode() + b"\n")
                await process.stdin.drain()
                line = await process.stdout.readline()
        except TimeoutError as error:
            await self.close()
            raise SlowProcessError(f"the process did not answer within {limit:g} s") from error
        except ConnectionError:  # it has closed its input: it ends, or has ended
            await self.close()
        if not line:
            raise RuntimeError(f"the process ended with exit code {await process.wait()}")
        return json.loads(line)

    async def close(self) -> None:
        """Kill the process if it still runs."""
        if self._process is not None:
            await end(self._process)
