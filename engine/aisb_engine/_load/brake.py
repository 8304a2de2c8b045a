"""React to outages: an accuracy run pauses and probes, a pressure run slows down, until an attempt succeeds.

A service may restart within a minute, or be gone for good. Without a brake, all requests during a restart
would fail, and a service that is gone would fill the disk with failures.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple

from aisb._errors import ServiceError
from aisb._types import Failure, Request
from aisb_engine._load.pacing import Clock
from aisb_engine._load.share import LoadShare

OWN_FAULT: Final = frozenset({400, 405, 406, 410, 411, 413, 414, 415, 422})
"""Statuses that reject a single request, and so show that the service works."""
FIRST_HOLD: Final = 0.1
"""The first delay of a client in a pressure run, in seconds; each further delay is twice as long."""


def is_outage(failure: Failure) -> bool:
    """Return whether a failure may mean that the service is down, not that it rejected this request."""
    if failure.kind == "status" and failure.status is not None:
        return failure.status not in OWN_FAULT
    return failure.kind not in {"refused", "row"}


class FailedRequest(NamedTuple):
    """A request with no attempts left, and its last failure."""

    request: Request
    failure: Failure


class LoadBrake:
    """Circuit breaker: counts consecutive failed attempts, and delays further ones if there are many.

    A process that sends a share of the load counts only its own attempts, and brakes after its share of the
    limit. `say` gets lines for users. `to_resend` holds requests that failed in an outage that is over.
    """

    def __init__(self, share: LoadShare, clock: Clock, say: Callable[[str], None]) -> None:
        brake = share.load.brake
        self._clock = clock
        self._say = say
        self._failure_limit = max(1, -(-brake.failures // share.processes))
        self._after_ns = 0 if share.on_outage == "slow" else round(brake.seconds * 1e9)
        self._probe = brake.probe
        self._patience = brake.patience
        self._outage_ns = round(share.load.outage * 1e9)
        self._failed = 0
        self._since_ns: int | None = None
        self._on_ns = 0
        self._off_ns = 0
        self._last = ""
        self._is_slow = share.on_outage == "slow"
        self._released = asyncio.Event()
        self._released.set()
        self._turn = asyncio.Lock()
        self._recent_failures: list[FailedRequest] = []
        self.to_resend: deque[FailedRequest] = deque()
        self.remarks: list[str] = []

    @property
    def is_on(self) -> bool:
        """Whether attempts are delayed."""
        return not self._released.is_set()

    @property
    def is_paused(self) -> bool:
        """Whether attempts wait until a probe succeeds."""
        return self.is_on and not self._is_slow

    def record_end(self, failure: Failure | None, sent_ns: int | None) -> None:
        """Record the end of an attempt that was sent at `sent_ns`."""
        now = self._clock()
        if failure is None and self._is_slow and self.is_on and (sent_ns or 0) < self._on_ns:
            return  # this attempt began before the outage, so it does not show that the service has recovered
        if failure is None or not (self._is_slow or is_outage(failure)):
            if self.is_on:
                self._release(now)
                self.to_resend.extend(self._recent_failures)
            self._recent_failures.clear()
            self._failed, self._since_ns = 0, now
            return
        self._failed += 1
        self._last = f"{failure.kind}: {failure.message}"
        if self._since_ns is None:
            self._since_ns = now
        if not self.is_on and self._failed >= self._failure_limit and now - self._since_ns >= self._after_ns:
            self._brake(now)

    def excuses(self, began_ns: int, failure: Failure) -> bool:
        """Return whether an attempt that began then failed because of an outage, and so uses no retry.

        An attempt may begin during an outage and fail after it, as a probe that is never answered does.
        """
        if self._is_slow:
            return False
        return self.is_on or (began_ns < self._off_ns and is_outage(failure))

    def record_exhausted(self, request: Request, failure: Failure) -> None:
        """Record a request with no attempts left; it is sent again after the outage, if there is one."""
        if not self._is_slow and is_outage(failure):
            self._recent_failures.append(FailedRequest(request, failure))

    async def wait(self) -> bool:
        """Wait until an attempt may begin. Return True if it is a probe; `probing` must follow.

        Raises:
            ServiceError: nothing has succeeded for longer than `load.outage`.
        """
        await self._turn.acquire()
        is_probe = False
        try:
            if self.is_on:
                await self._sleep(self._probe)
            if self.is_on:
                passed = self._clock() - (self._since_ns or 0)
                if passed >= self._outage_ns:
                    raise ServiceError(
                        f"nothing succeeded for {passed / 1e9:.0f} s (load.outage): {self._last}"
                    )
                is_probe = True
        finally:
            if not is_probe:
                self._turn.release()
        return is_probe

    @contextmanager
    def probing(self) -> Iterator[None]:
        """Probe in the block. The next probe waits for its end, but at most `load.brake.patience` s."""
        turns = [self._turn]

        def let_next_probe() -> None:
            if turns:
                turns.pop().release()

        timer = asyncio.get_running_loop().call_later(self._patience, let_next_probe)
        try:
            yield
        finally:
            timer.cancel()
            let_next_probe()

    async def hold(self, times: int, until_ns: int | None) -> None:
        """Delay a client of a pressure run after `times` earlier delays, until `until_ns` at the latest."""
        seconds = min(FIRST_HOLD * 2.0**times, self._probe)
        if until_ns is not None:
            seconds = min(seconds, max(0.0, (until_ns - self._clock()) / 1e9))
        await self._sleep(seconds)

    async def _sleep(self, seconds: float) -> None:
        """Sleep for this time, or until the brake is released."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._released.wait()

    def _brake(self, now: int) -> None:
        self._released.clear()
        self._on_ns = now
        passed = (now - (self._since_ns or 0)) / 1e9
        failed = f"{self._failed} attempts failed in {passed:.0f} s and none succeeded"
        if self._is_slow:
            line = f"{failed} ({self._last}): clients are slowed down until one succeeds"
            if not self.remarks:
                self._say(line)
                self.remarks.append(line)
            return
        self._say(
            f"paused: {failed} ({self._last}); trying again every {self._probe:g} s, "
            f"for {self._outage_ns / 1e9:g} s in all (load.outage)"
        )

    def _release(self, now: int) -> None:
        self._released.set()
        self._off_ns = now
        if not self._is_slow:
            passed = (now - (self._since_ns or 0)) / 1e9
            self._say(f"resumed: the service answers again after {passed:.0f} s")
