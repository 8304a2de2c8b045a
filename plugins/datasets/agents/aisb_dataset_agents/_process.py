"""Talk with a process that runs code of others: one JSON line for each command, and one for its answer."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from aisb import UsageError

ALLOW = "AISB_ALLOW_CODE_EXECUTION"
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
"""The variables that such a process gets: no key of a service is among them."""


def check_allowed(what: str) -> None:
    """Refuse to run code unless the user allows it.

    Raises:
        UsageError: the user does not.
    """
    if os.environ.get(ALLOW, "").strip().lower() in ("", "0", "false", "no"):
        raise UsageError(f"{what}, which is off by default\n  to allow it, add --allow-code-execution")


def plain_variables() -> dict[str, str]:
    """Return the variables for a process that runs code of others."""
    return {name: os.environ[name] for name in KEPT if name in os.environ}


class LineProcess:
    """A process that answers commands in order."""

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
            limit=1 << 26,
            env=plain_variables(),
        )

    async def ask(self, command: Mapping[str, Any]) -> Any:
        """Return the answer to a command.

        Raises:
            RuntimeError: the process has ended, or takes too long.
        """
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise RuntimeError("the process was not started")
        try:
            async with asyncio.timeout(self._seconds):
                process.stdin.write(json.dumps(command).encode() + b"\n")
                await process.stdin.drain()
                line = await process.stdout.readline()
        except (TimeoutError, ConnectionError) as error:
            await self.close()
            raise RuntimeError(f"the process did not answer within {self._seconds:g} s") from error
        if not line:
            raise RuntimeError(f"the process ended with exit code {await process.wait()}")
        return json.loads(line)

    async def close(self) -> None:
        """Stop the process."""
        if self._process is None or self._process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
