"""The clock of a run."""

from __future__ import annotations

import time


class RunClock:
    """Nanoseconds of `time.perf_counter_ns` since `began_ns`; all processes of a machine share this clock."""

    __slots__ = ("began_ns",)

    def __init__(self, began_ns: int) -> None:
        self.began_ns = began_ns

    def __call__(self) -> int:
        """Return the current time."""
        return time.perf_counter_ns() - self.began_ns
