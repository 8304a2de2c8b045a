"""Read the counters of a service before, during and after a load, without disturbing the load."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aisb._backend import Backend
from aisb_engine._faults import RAISED, describe, is_stop
from aisb_engine._record.loadfiles import GAUGES

WITHIN = 2.0
"""The timeout in seconds. A service that exceeded it before the load is not polled again."""

OFTEN, SELDOM = 0.25, 5.0
"""Seconds between samples of running and waiting requests: short at first, for short loads, then longer."""


class TokenCounting:
    """The counters of one service around one load.

    `table` is stored in `load.json`: counters `before` and `after`, and samples of gauges `during` the load.
    """

    def __init__(self, backend: Backend, note: Callable[[str], None]) -> None:
        self._backend = backend
        self._note = note
        self._looking: asyncio.Task[None] | None = None
        self._before: dict[str, float] = {}
        self._after: dict[str, float] = {}
        self._during: dict[str, dict[str, float]] = {}

    @property
    def table(self) -> dict[str, Any]:
        """The values known so far."""
        return {"before": self._before, "after": self._after, "during": self._during}

    async def begin(self) -> None:
        """Read the counters, and begin to sample the gauges."""
        self._before = await self._ask(self._note)
        if any(name in self._before for name in GAUGES):
            self._looking = asyncio.create_task(self._look())

    async def end(self) -> None:
        """Read the counters again, if they were read before the load."""
        if self._looking:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking
        if self._before:
            self._after = await self._ask(self._note)

    async def _look(self) -> None:
        pause = OFTEN
        while True:
            await asyncio.sleep(pause)
            pause = min(2 * pause, SELDOM)
            counted = await self._ask(lambda _: None)
            for name in GAUGES:
                if name in counted:
                    self._add(name, counted[name])

    def _add(self, name: str, value: float) -> None:
        gauge = self._during.setdefault(name, {"looks": 0, "sum": 0.0, "most": value})
        gauge["looks"] += 1
        gauge["sum"] += value
        gauge["most"] = max(gauge["most"], value)

    async def _ask(self, note: Callable[[str], None]) -> dict[str, float]:
        counted: dict[str, float] = {}
        try:
            async with asyncio.timeout(WITHIN):
                counted = dict(await self._backend.counters())
        except TimeoutError:
            note(f"server counters could not be read: no answer within {WITHIN:g} s")
        except RAISED as error:  # counters are optional: the failure is noted, and the run continues
            if is_stop(error):
                raise
            note(f"server counters could not be read: {describe(error)}")
        return counted
