"""Read single keys from a terminal without Enter, and restore the terminal's settings at every exit."""

from __future__ import annotations

import atexit
import os
import select
import signal
import sys
import termios
import threading
from contextlib import suppress
from types import FrameType
from typing import Any, Self

ENDING = (signal.SIGHUP,)
"""Signals that end the process at once, so the terminal is restored first. SIGTERM raises like Ctrl-C."""


class Keys:
    """The keys of one terminal between `start` and `stop`.

    While the process is in the background or stopped by Ctrl-Z, the terminal belongs to the shell, and is
    neither read nor changed. Afterwards keys work again.
    """

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._before: list[Any] | None = None
        self._wake: tuple[int, int] | None = None
        self._closed = False
        self._handlers: dict[signal.Signals, Any] = {}

    @classmethod
    def of_terminal(cls) -> Self | None:
        """Return the keys of standard input if it is a terminal, else None."""
        try:
            return cls(sys.stdin.fileno()) if sys.stdin and sys.stdin.isatty() else None
        except (OSError, ValueError):
            return None

    def start(self) -> None:
        """Begin to read single keys without echo; Ctrl-C and Ctrl-Z keep their meaning."""
        self._wake = os.pipe()
        self._closed = False
        self._take()
        atexit.register(self._give_back)
        if threading.current_thread() is threading.main_thread():
            for number in ENDING:
                if signal.getsignal(number) is signal.SIG_DFL:
                    self._handlers[number] = signal.signal(number, self._end)

    def read(self, seconds: float) -> str | None:
        """Wait up to this time for a key; return it, or None if there was none."""
        if self._wake is None:
            return None
        self._take()
        sources = [self._wake[0]]
        if not self._closed and self._is_ours():
            sources.append(self._terminal)
        with suppress(OSError, ValueError):
            ready, _, _ = select.select(sources, [], [], seconds)
            if self._terminal in ready and self._is_ours():
                typed = os.read(self._terminal, 64)
                self._closed = not typed
                return typed[:1].decode("ascii", "ignore") or None
        return None

    def wake(self) -> None:
        """Make a waiting `read` return at once."""
        if self._wake is not None:
            os.write(self._wake[1], b".")

    def stop(self) -> None:
        """Restore the terminal. A second call does nothing."""
        if self._wake is None:
            return
        self._give_back()
        atexit.unregister(self._give_back)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}
        for end in self._wake:
            os.close(end)
        self._wake = None

    def _take(self) -> None:
        """Turn line editing and echo off, again if the shell had the terminal and turned them on."""
        with suppress(OSError, termios.error):
            if not self._is_ours():
                return
            now = termios.tcgetattr(self._terminal)
            if not now[3] & (termios.ICANON | termios.ECHO):
                return
            self._before = self._before or [*now[:6], list(now[6])]
            now[3] &= ~(termios.ICANON | termios.ECHO)
            now[6][termios.VMIN], now[6][termios.VTIME] = 1, 0
            termios.tcsetattr(self._terminal, termios.TCSADRAIN, now)

    def _give_back(self) -> None:
        before, self._before = self._before, None
        with suppress(OSError, termios.error):
            if before is not None and self._is_ours():
                termios.tcsetattr(self._terminal, termios.TCSADRAIN, before)

    def _is_ours(self) -> bool:
        """Return whether this process is in the foreground; changing the terminal otherwise would stop it."""
        try:
            return os.tcgetpgrp(self._terminal) == os.getpgrp()
        except OSError:  # not a terminal of this session, so no shell uses it
            return True

    def _end(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._give_back()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


def interrupt() -> None:
    """Interrupt the run like Ctrl-C, from any thread."""
    os.kill(os.getpid(), signal.SIGINT)
