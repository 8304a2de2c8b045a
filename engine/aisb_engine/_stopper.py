"""Stop a run by other means than Ctrl-C: from another thread of a program, and by SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any


class Stopper:
    """Cancels the current and all further work of a run. Finished requests are kept."""

    def __init__(self) -> None:
        self._stopped = False
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Allow `stop` to cancel the current task while the block runs.

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
        """Stop the run; callable from any thread."""
        self._stopped = True
        if running := self._running:
            loop, task = running
            with suppress(RuntimeError):  # the loop is closed already, so the work is done
                loop.call_soon_threadsafe(task.cancel)


@contextmanager
def event_loop(
    new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> Iterator[asyncio.Runner]:
    """Provide a runner with an event loop. A Ctrl-C during the creation of the loop is raised afterwards.

    A loop that is only half created cannot be closed: Python prints an exception that it ignores.
    """
    runner = asyncio.Runner(loop_factory=new_loop)
    try:
        with _ctrl_c_afterwards():
            runner.get_loop()
        yield runner
    finally:
        runner.close()


@contextmanager
def _ctrl_c_afterwards() -> Iterator[None]:
    """Raise KeyboardInterrupt for a Ctrl-C at the end of the block, and not within it."""
    handler = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or handler is not signal.default_int_handler:
        yield
        return
    received: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: received.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if received:
        raise KeyboardInterrupt


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Treat the first SIGTERM in the block like Ctrl-C; ignore further ones, which clusters send.

    Nothing changes outside the main thread, or if SIGTERM is ignored already.
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
        if not callable(handler):  # background jobs of a shell ignore Ctrl-C
            raise KeyboardInterrupt
        handler(number, frame)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
