"""Stop a run by other means than Ctrl-C: from another thread of a program, and by SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

INSIST_SECONDS = 0.5
"""How long a cancelled task may take to end before KeyboardInterrupt is raised in it, and each time again."""


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

    def stop(self) -> bool:
        """Stop the run; callable from any thread. Return whether there was a task to cancel."""
        self._stopped = True
        if running := self._running:
            loop, task = running
            with suppress(RuntimeError):  # the loop is closed already, so the work is done
                loop.call_soon_threadsafe(task.cancel)
                return True
        return False


@contextmanager
def event_loop(
    new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> Iterator[asyncio.Runner]:
    """Provide a runner with an event loop.

    A Ctrl-C or SIGTERM while the loop is made or closed is handled afterwards: a loop that is only half made
    or closed prints exceptions of its own. Closing waits for threads of plugins; a second signal ends that.
    """
    runner = asyncio.Runner(loop_factory=new_loop)
    try:
        with _signals_afterwards():
            runner.get_loop()
        yield runner
    finally:
        with _signals_afterwards():
            runner.close()


@contextmanager
def _signals_afterwards() -> Iterator[None]:
    """Handle a Ctrl-C or SIGTERM at the end of the block, and any further one at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    handlers: dict[int, Any] = {}

    def receive(number: int, frame: FrameType | None) -> None:
        if received:
            handlers[number](number, frame)
        else:
            received.append(number)

    for known in (signal.SIGINT, signal.SIGTERM):
        if callable(handler := signal.getsignal(known)):
            handlers[known] = handler
            signal.signal(known, receive)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for one in received:
        signal.raise_signal(one)


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


class SignalStop:
    """Stops the work in the block at Ctrl-C and SIGTERM, although plugins may compute or catch everything.

    The task that `stopper` holds is cancelled, so that it can close what it opened. If there is none, or if
    it does not end within INSIST_SECONDS, KeyboardInterrupt is raised in the main thread, repeatedly until
    the block ends. Use it only for work that can be repeated, such as scoring and reports. A second SIGTERM,
    which clusters send, has no effect until `sigterm_as_ctrl_c` ends; a second Ctrl-C raises at once.

    With `stopped`, the run was stopped before, so that SIGTERM has no effect. Nothing changes outside the
    main thread, or for a signal that is ignored already.
    """

    def __init__(self, stopper: Stopper, *, stopped: bool = False) -> None:
        self._stopper = stopper
        self._ignores_sigterm = stopped
        self._received = self._insists = False
        self._left = threading.Event()
        self._insisting: threading.Thread | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> None:
        """Install the handlers.

        Raises:
            KeyboardInterrupt: a signal came meanwhile.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._receive)
        if self._received:
            self.__exit__(None, None, None)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: object) -> None:
        """Restore the handlers.

        Raises:
            KeyboardInterrupt: a signal came; the block was cancelled, or caught the exception.
        """
        self._left.set()
        if self._insisting is not None:
            self._insisting.join()
        for number, before in self._before.items():
            keeps = self._received and number == signal.SIGTERM  # `_receive` ignores it from now on
            if not keeps:
                signal.signal(number, before or signal.SIG_DFL)
        if self._received and (error is None or isinstance(error, Exception | asyncio.CancelledError)):
            raise KeyboardInterrupt from None

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._left.is_set():
            return
        if _is_in(frame, SignalStop.__enter__, SignalStop.__exit__):
            self._received = True  # an exception here would leave the handlers behind
            return
        if self._received:
            if number == signal.SIGINT or self._insists:
                self._insists = False
                raise KeyboardInterrupt
            return
        if number == signal.SIGTERM and self._ignores_sigterm:
            return
        self._received = True
        self._insisting = threading.Thread(target=self._insist, args=(number,), daemon=True)
        self._insisting.start()
        if not self._stopper.stop():
            raise KeyboardInterrupt

    def _insist(self, number: int) -> None:
        """Send the signal to the main thread again, which also ends a system call that it waits in."""
        main = threading.main_thread().ident
        assert main is not None  # noqa: S101 - it runs
        while not self._left.wait(INSIST_SECONDS):
            self._insists = True
            signal.pthread_kill(main, number)


def _is_in(frame: FrameType | None, *functions: Callable[..., Any]) -> bool:
    """Return whether one of the functions runs."""
    codes = [function.__code__ for function in functions]
    while frame is not None:
        if frame.f_code in codes:
            return True
        frame = frame.f_back
    return False
