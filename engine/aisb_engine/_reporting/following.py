"""How far a run is, written beside its log every second, so that another command can follow it.

`log/progress.json` is removed when the run ends; after a kill it stays, and says how far the run had come.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict

import orjson

from aisb._errors import RunError
from aisb_engine._progress import Display, Progress
from aisb_engine._record.manifest import now
from aisb_engine._record.runfolder import RunFolder, write_atomically
from aisb_engine._reporting.runs import PROGRESS


class Followable:
    """A display that writes the counts into the run's folder as well, from a thread of its own."""

    def __init__(
        self,
        display: Display,
        folder: RunFolder,
        *,
        every: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._display = display
        self._path = folder.path / "log" / PROGRESS
        self._every = every
        self._clock = clock
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, subtasks: list[Progress]) -> None:
        """Begin to show these subtasks, and to write their counts."""
        self._ended.clear()
        self._thread = threading.Thread(target=self._watch, args=(subtasks,), name="follow", daemon=True)
        self._thread.start()
        self._display.start(subtasks)

    def say(self, line: str) -> None:
        """Let the display print one line."""
        self._display.say(line)

    def log(self, line: str) -> None:
        """Let the display take a line of a subtask's log."""
        self._display.log(line)

    def stop(self) -> None:
        """End both; the file goes."""
        try:
            self._display.stop()
        finally:
            self._ended.set()
            if self._thread is not None:
                self._thread.join()
            self._path.unlink(missing_ok=True)

    def _watch(self, subtasks: Sequence[Progress]) -> None:
        while not self._ended.wait(self._every):
            with suppress(RunError):  # a full disk is the log's to tell
                write_atomically(self._path, orjson.dumps(counts(subtasks, self._clock())))


def counts(subtasks: Sequence[Progress], at: float) -> dict[str, object]:
    """Return what the file holds; `at` is now on the clock of `Progress.started`."""
    return {
        "written": now(),
        "process": os.getpid(),
        "subtasks": [_one(subtask, at) for subtask in subtasks],
    }


def _one(subtask: Progress, at: float) -> dict[str, object]:
    table = asdict(subtask)
    began, ended = table.pop("started"), table.pop("ended")
    seconds = None if began is None else (at if ended is None else ended) - began
    return {**table, "log_file": str(subtask.log_file), "seconds": seconds}
