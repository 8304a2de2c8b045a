"""Estimate how long a run with a slow service will take, and say so early."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from aisb_engine import Display, Progress

POLL_SECONDS = 0.25
MIN_FINISHED = 2
"""The estimate is made when this many requests have finished, sent one at a time."""
MIN_SECONDS = 60.0
"""Shorter estimates, in seconds, are not printed."""


class EstimatingDisplay:
    """Shows the progress of a run in `display`, and once prints how long the whole run will take, if long.

    The estimate is the pace of the first subtask, times the requests of all subtasks: an upper bound, if the
    others send more requests at once. `advice` follows it.
    """

    def __init__(self, display: Display, advice: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._display, self._advice, self._clock = display, advice, clock
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, subtasks: list[Progress]) -> None:
        """Begin to show these subtasks, and to watch the first one."""
        self._display.start(subtasks)
        self._thread = threading.Thread(target=self._watch, args=(subtasks,), name="estimate", daemon=True)
        self._thread.start()

    def say(self, line: str) -> None:
        """Print one line."""
        self._display.say(line)

    def log(self, line: str) -> None:
        """Pass on a line of a log."""
        self._display.log(line)

    def stop(self) -> None:
        """End. A second call does nothing."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._display.stop()

    def _watch(self, subtasks: list[Progress]) -> None:
        first = subtasks[0]
        while not self._stopped.wait(POLL_SECONDS):
            if first.started is not None and first.finished >= MIN_FINISHED:
                line = self.estimate(subtasks)
                if line:
                    self._display.say(line)
                return

    def estimate(self, subtasks: list[Progress]) -> str:
        """Return the line on the time that the run needs; "" if that is short."""
        first, count = subtasks[0], sum(subtask.total for subtask in subtasks)
        if first.started is None or not first.finished:
            return ""
        pace = (self._clock() - first.started) / first.finished
        seconds = pace * count
        if seconds < MIN_SECONDS:
            return ""
        return (
            f"a reply takes {pace:.3g} s: these {count} requests need up to {math.ceil(seconds / 60)} min; "
            f"{self._advice}"
        )
