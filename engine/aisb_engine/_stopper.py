"""A program's hold on a run: it is stopped from another thread, as Ctrl-C stops the command."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


class Stopper:
    """Cancels what a run does now, and all that it would do afterwards. What has finished is kept."""

    def __init__(self) -> None:
        self._stopped = False
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Let `stop` cancel the present task while the block runs.

        Raises:
            asyncio.CancelledError: the run was stopped before.
        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine that runs is in a task
        self._running = (asyncio.get_running_loop(), task)
        try:
            if self._stopped:
                raise asyncio.CancelledError
            yield
        finally:
            self._running = None

    def stop(self) -> None:
        """Stop the run. Any thread may call this."""
        self._stopped = True
        if running := self._running:
            loop, task = running
            with suppress(RuntimeError):  # the loop was closed meanwhile: the work is done
                loop.call_soon_threadsafe(task.cancel)
