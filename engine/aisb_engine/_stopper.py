"""What stops a run besides Ctrl-C: a program that holds it, from another thread, and SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
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


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Let the first SIGTERM in the block do what Ctrl-C does; later ones, as clusters send them, do nothing.

    Outside of the main thread, and where SIGTERM is ignored already, nothing changes.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
        yield
        return
    received = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal received
        if received:
            return
        received = True
        handler = signal.getsignal(signal.SIGINT)
        if not callable(handler):  # Ctrl-C is ignored in a shell's background jobs
            raise KeyboardInterrupt
        handler(number, frame)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
