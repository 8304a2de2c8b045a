"""Run a program to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path


async def run_program(
    command: Sequence[str], seconds: float, *, folder: Path | None = None
) -> tuple[int | None, str]:
    """Run a program without input; return its exit code and its output, errors included.

    The exit code is None if it took longer than `seconds`; then it is killed, and what it wrote is lost.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(seconds):
            output, _ = await process.communicate()
    except TimeoutError:
        return None, f"it took longer than {seconds:g} s"
    finally:
        await end(process)
    return process.returncode, output.decode("utf-8", "replace")


async def end(process: asyncio.subprocess.Process) -> None:
    """Kill a process that has not ended, and wait for its end."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
