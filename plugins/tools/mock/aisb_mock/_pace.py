"""The mock's timing: one alarm for all replies, more precise than event loops, which use milliseconds."""

from __future__ import annotations

import asyncio
import ctypes
import heapq
import os
import sys
from collections.abc import Callable
from time import monotonic_ns
from typing import Protocol

NS_PER_SECOND = 1_000_000_000
SLACK = 50_000
"""Parts that are due within this time, in nanoseconds, share a wake-up, which costs more than sending."""
FLAG_ABSOLUTE = 1
"""TFD_TIMER_ABSTIME of timerfd_settime(2)."""


class Paced(Protocol):
    """An object with work due at certain times."""

    def step(self, now: int) -> int | None:
        """Do the due work; return the time of the next, or None."""


class ChunkPacer:
    """Calls all added objects when they are due, in order."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[tuple[int, int, Paced]] = []
        self._count = 0
        self._armed: int | None = None
        self._alarm: FileAlarm | LoopAlarm = (
            FileAlarm(loop, self._ring) if sys.platform == "linux" else LoopAlarm(loop, self._ring)
        )

    def add(self, paced: Paced, now: int) -> None:
        """Call a function when it is due, and again at each time that it returns."""
        due = paced.step(now)
        if due is None:
            return
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, paced))
        if self._armed is None or due < self._armed:
            self._arm(due)

    def close(self) -> None:
        """Stop calling."""
        self._heap.clear()
        self._alarm.close()

    def _arm(self, due: int) -> None:
        self._armed = due
        self._alarm.set(due)

    def _ring(self) -> None:
        heap = self._heap
        self._armed = None
        now = monotonic_ns()
        # Handle only what was due at the wake-up, then yield to the loop, so that requests are not starved.
        until = now
        while heap and heap[0][0] <= until:
            _, number, paced = heap[0]
            due = paced.step(now)
            if due is None:
                heapq.heappop(heap)
            else:
                heapq.heapreplace(heap, (max(due, until + 1), number, paced))
            now = monotonic_ns()
        if heap:
            self._arm(max(heap[0][0], now + SLACK))


class LoopAlarm:
    """An alarm of the event loop, with a resolution of a millisecond."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._timer: asyncio.TimerHandle | None = None

    def set(self, due: int) -> None:
        """Set the time of the alarm; it replaces the previous one."""
        self.close()
        self._timer = self._loop.call_later(max(0, due - monotonic_ns()) / NS_PER_SECOND, self._ring)

    def close(self) -> None:
        """Cancel the alarm."""
        if self._timer is not None:
            self._timer.cancel()


class FileAlarm:
    """A Linux timerfd: libuv and epoll round waits to milliseconds, too coarse for latencies of 5 ms."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._file: int = self._libc.timerfd_create(1, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._file < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        # struct itimerspec: interval (seconds, nanoseconds), then value (seconds, nanoseconds)
        self._spec = (ctypes.c_long * 4)()
        self._spec_pointer = ctypes.byref(self._spec)
        loop.add_reader(self._file, self._expired)

    def set(self, due: int) -> None:
        """Set the time of the alarm; it replaces the previous one, and rings at once if it has passed."""
        self._spec[2], self._spec[3] = divmod(due, NS_PER_SECOND)
        self._libc.timerfd_settime(self._file, FLAG_ABSOLUTE, self._spec_pointer, None)

    def close(self) -> None:
        """Cancel the alarm."""
        self._loop.remove_reader(self._file)
        os.close(self._file)

    def _expired(self) -> None:
        try:
            os.read(self._file, 8)
        except BlockingIOError:  # it was set again between expiring and being read
            return
        self._ring()
