"""Wake up at a planned time, accurate to tens of microseconds; event loops are accurate to milliseconds.

uvloop's timers have a resolution of one millisecond, so requests that they pace leave in bursts. On Linux, a
kernel timer (timerfd) wakes the loop as a socket does, without busy waiting. Elsewhere the loop sleeps until
shortly before the time, and spins for the rest.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Final

Clock = Callable[[], int]
COARSE_NS: Final = 2_000_000
"""The largest error expected of an event loop's own timers."""
BURST: Final = 64
"""The number of overdue times that are handled before the event loop gets a turn."""

_CLOCK_MONOTONIC, _NONBLOCK, _CLOEXEC = 1, os.O_NONBLOCK, 0o2000000


class Timer:
    """Calls `ring` in the event loop at an exact time, once or periodically.

    `ring` gets the number of expirations since its last call, which exceeds one if the loop was blocked.
    """

    __slots__ = ("_due_at", "_every", "_fd", "_handle", "_loop", "_ring")

    def __init__(self, ring: Callable[[int], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._ring = ring
        self._handle: asyncio.TimerHandle | asyncio.Handle | None = None
        self._due_at = 0.0
        self._every = 0
        self._fd = _open()
        if self._fd is not None:
            self._loop.add_reader(self._fd, self._read)

    def set(self, after_ns: int, every_ns: int = 0) -> None:
        """Ring after `after_ns` (0: as soon as possible), and then every `every_ns`."""
        self._every = every_ns
        if self._fd is not None:
            _set(self._fd, max(1, after_ns), every_ns)
            return
        self._due_at = self._loop.time() + after_ns / 1e9
        self._approach()

    def close(self) -> None:
        """Cancel the timer and close it."""
        if self._handle is not None:
            self._handle.cancel()
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None

    def _read(self) -> None:
        if self._fd is None:
            return
        try:
            rung = os.read(self._fd, 8)
        except BlockingIOError:  # it was set again between its wake-up and this call
            return
        self._ring(int.from_bytes(rung, sys.byteorder))

    def _approach(self) -> None:
        left = self._due_at - self._loop.time()
        if left > COARSE_NS / 1e9:
            self._handle = self._loop.call_later(left - COARSE_NS / 1e9, self._approach)
        elif left > 0:
            self._handle = self._loop.call_soon(self._approach)
        else:
            count = 1
            if self._every:
                count += int(-left * 1e9 // self._every)
                self._due_at += count * self._every / 1e9
                self._handle = self._loop.call_soon(self._approach)
            self._ring(count)


class Pacer:
    """Waits for the times of a schedule, one after another."""

    __slots__ = ("_at", "_clock", "_gate", "_timer", "_turn")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at = 0
        self._turn: asyncio.Future[None] | None = None
        self._gate: asyncio.Future[None] | None = None
        self._timer = Timer(self._ring)

    async def until(self, at_ns: int, gate: asyncio.Future[None] | None = None) -> None:
        """Return at this time of the clock, or at once if it has passed; `gate` is set in the same turn."""
        self._at, self._gate = at_ns, gate
        while (left := at_ns - self._clock()) > 0:
            self._turn = asyncio.get_running_loop().create_future()
            self._timer.set(left)
            await self._turn
        self._open_gate()

    def close(self) -> None:
        """Close the timer."""
        self._timer.close()

    def _ring(self, count: int) -> None:
        del count
        if self._clock() >= self._at:
            self._open_gate()
        if self._turn is not None and not self._turn.done():
            self._turn.set_result(None)

    def _open_gate(self) -> None:
        if self._gate is not None and not self._gate.done():
            self._gate.set_result(None)


async def open_gates(clock: Clock, gates: Iterable[tuple[int, asyncio.Future[None]]]) -> None:
    """Open each gate at its time, in order."""
    pacer = Pacer(clock)
    try:
        for number, (at, gate) in enumerate(gates):
            await pacer.until(at, gate)
            if number % BURST == 0:  # if many are overdue, let what they started reach the socket
                await asyncio.sleep(0)
    finally:
        pacer.close()


def _open() -> int | None:
    """Open a kernel timer; None if the system has none."""
    libc = _libc()
    if libc is None:
        return None
    fd = libc.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK | _CLOEXEC)
    return fd if fd >= 0 else None


def _set(fd: int, after_ns: int, every_ns: int) -> None:
    libc = _libc()
    spec = libc.spec(every_ns // 10**9, every_ns % 10**9, after_ns // 10**9, after_ns % 10**9)
    if libc.timerfd_settime(fd, 0, libc.byref(spec), None):
        raise OSError(libc.get_errno(), "timerfd_settime")


@cache
def _libc() -> Any:
    """Return the C library for its timers. Python has them from 3.13 on; ctypes works in every version."""
    if sys.platform != "linux":
        return None
    import ctypes
    from types import SimpleNamespace

    class Spec(ctypes.Structure):
        _fields_ = tuple((name, ctypes.c_long) for name in ("every_s", "every_ns", "after_s", "after_ns"))

    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "timerfd_create"):
        return None
    return SimpleNamespace(
        timerfd_create=library.timerfd_create,
        timerfd_settime=library.timerfd_settime,
        spec=Spec,
        byref=ctypes.byref,
        get_errno=ctypes.get_errno,
    )
