"""The clock of a run."""

from __future__ import annotations

import time


class RunClock:
    """Returns nanoseconds since `began_ns` of `time.perf_counter_ns`, which a machine's processes share."""

    __slots__ = ("began_ns",)

    def __init__(self, began_ns: int) -> None:
        self.began_ns = began_ns

    def __call__(self) -> int:
        """Return the time of now."""
        return time.perf_counter_ns() - self.began_ns
