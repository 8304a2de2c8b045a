"""Read the counters of a service before, during and after a load, without disturbing the load."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aisb._backend import Backend
from aisb_engine._faults import RAISED, describe, is_stop
from aisb_engine._record.loadfiles import GAUGES

TIMEOUT_SECONDS = 2.0
"""The timeout in seconds. A service that exceeded it before the load is not polled again."""

MIN_INTERVAL, MAX_INTERVAL = 0.25, 5.0
"""Seconds between samples of running and waiting requests: short at first, for short loads, then longer."""


class ServiceCounters:
    """The counters of one service around one load.

    `table` is stored in `load.json`: counters `before` and `after`, and samples of gauges `during` the load.
    """

    def __init__(self, backend: Backend, note: Callable[[str], None]) -> None:
        self._backend = backend
        self._note = note
        self._sampler: asyncio.Task[None] | None = None
        self._before: dict[str, float] = {}
        self._after: dict[str, float] = {}
        self._during: dict[str, dict[str, float]] = {}

    @property
    def table(self) -> dict[str, Any]:
        """The values known so far."""
        return {"before": self._before, "after": self._after, "during": self._during}

    async def begin(self) -> None:
        """Read the counters, and begin to sample the gauges."""
        self._before = await self._read(self._note)
        if any(name in self._before for name in GAUGES):
            self._sampler = asyncio.create_task(self._sample_gauges())

    async def end(self) -> None:
        """Read the counters again, if they were read before the load."""
        if self._sampler:
            self._sampler.cancel()
            with suppress(asyncio.CancelledError):
                await self._sampler
        if self._before:
            self._after = await self._read(self._note)

    async def _sample_gauges(self) -> None:
        pause = MIN_INTERVAL
        while True:
            await asyncio.sleep(pause)
            pause = min(2 * pause, MAX_INTERVAL)
            values = await self._read(lambda _: None)
            for name in GAUGES:
                if name in values:
                    self._add_sample(name, values[name])

    def _add_sample(self, name: str, value: float) -> None:
        gauge = self._during.setdefault(name, {"samples": 0, "sum": 0.0, "maximum": value})
        gauge["samples"] += 1
        gauge["sum"] += value
        gauge["maximum"] = max(gauge["maximum"], value)

    async def _read(self, note: Callable[[str], None]) -> dict[str, float]:
        values: dict[str, float] = {}
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                values = dict(await self._backend.counters())
        except TimeoutError:
            note(f"server counters could not be read: no answer within {TIMEOUT_SECONDS:g} s")
        except RAISED as error:  # counters are optional: the failure is noted, and the run continues
            if is_stop(error):
                raise
            note(f"server counters could not be read: {describe(error)}")
        return values
