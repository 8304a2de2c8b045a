"""Client health: each worker measures its event-loop lag, the lateness of its requests, and its CPU use.

About once a second it appends a line of JSON to `client_health-N.jsonl` next to the worker's log. Without
these figures, the backlog of a saturated client would look like latency of the server.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import orjson

from aisb_engine._load.pacing import Clock, Timer

TICK_NS: Final = 10_000_000
WRITE_INTERVAL_NS: Final = 1_000_000_000


class ClientHealth:
    """Watches the running event loop with a timer every 10 ms, which costs about a thousandth of a core.

    `lag` is how late a tick of the timer was handled. Ticks that fell due while the loop was blocked count
    one by one, each with its own lag, so that a stall counts in proportion to its duration. `late` is how
    long after its planned time a request was launched.
    """

    __slots__ = (
        "_clock",
        "_cpu",
        "_due",
        "_fd",
        "_in_flight",
        "_lags",
        "_late",
        "_since",
        "_timer",
        "failure",
    )

    def __init__(self, path: Path, clock: Clock, in_flight: Callable[[], int]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.failure = ""
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._clock = clock
        self._in_flight = in_flight
        self._lags: list[int] = []
        self._late: int | None = None
        self._timer = Timer(self._tick)
        self._cpu = time.process_time_ns()
        self._since = clock()
        self._timer.set(TICK_NS, TICK_NS)
        self._due = clock() + TICK_NS

    def record_lateness(self, by_ns: int) -> None:
        """Record how long after its planned time a request was launched."""
        if self._late is None or by_ns > self._late:
            self._late = by_ns

    def close(self) -> None:
        """Write the measurements since the last line, and stop."""
        self._timer.close()
        if self._lags or self._late is not None:
            self._write(self._clock())
        os.close(self._fd)

    def _tick(self, count: int) -> None:
        now = self._clock()
        while count:
            self._lags.append(now - self._due if now > self._due else 0)
            self._due += TICK_NS
            count -= 1
        if now - self._since >= WRITE_INTERVAL_NS:
            self._write(now)

    def _write(self, now: int) -> None:
        lags = sorted(self._lags)
        cpu = time.process_time_ns()
        line = {
            "t_ns": now,
            "lag_ms_p50": _ms(_rank(lags, 50)),
            "lag_ms_p99": _ms(_rank(lags, 99)),
            "lag_ms_max": _ms(lags[-1] if lags else None),
            "late_ms_max": _ms(self._late),
            "in_flight": self._in_flight(),
            "cpu_share": round((cpu - self._cpu) / max(1, now - self._since), 4),
        }
        self._lags.clear()
        self._late, self._cpu, self._since = None, cpu, now
        try:
            os.write(self._fd, orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        except OSError as error:  # the run goes on: a full disk also fails the log, which ends it
            self.failure = f"the client's health could not be written: {error.strerror}"


def _rank(ordered: list[int], percent: int) -> int | None:
    """Return the nearest-rank percentile of sorted values."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else None


def _ms(ns: int | None) -> float | None:
    return None if ns is None else round(ns / 1e6, 3)
