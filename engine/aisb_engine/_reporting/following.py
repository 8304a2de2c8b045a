"""Write the progress of a run next to its log every second, so that other commands can follow it.

`log/progress.json` is removed when the run ends. After a kill it remains, and shows how far the run came.
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
    """A display that also writes the counts into the run's folder, in its own thread."""

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
        """Pass one line to the display."""
        self._display.say(line)

    def log(self, line: str) -> None:
        """Pass a line of a subtask's log to the display."""
        self._display.log(line)

    def stop(self) -> None:
        """Stop both, and remove the file."""
        try:
            self._display.stop()
        finally:
            self._ended.set()
            if self._thread is not None:
                self._thread.join()
            self._path.unlink(missing_ok=True)

    def _watch(self, subtasks: Sequence[Progress]) -> None:
        while not self._ended.wait(self._every):
            with suppress(RunError):  # the log will report a full disk
                write_atomically(self._path, orjson.dumps(counts(subtasks, self._clock())))


def counts(subtasks: Sequence[Progress], at: float) -> dict[str, object]:
    """Return the content of the file; `at` is the current time on the clock of `Progress.started`."""
    return {
        "written": now(),
        "process": os.getpid(),
        "subtasks": [_one(subtask, at) for subtask in subtasks],
    }


def _one(subtask: Progress, at: float) -> dict[str, object]:
    table = asdict(subtask)
    began, ended, _ = (table.pop(name) for name in ("started", "ended", "run"))
    seconds = None if began is None else (at if ended is None else ended) - began
    return {**table, "log_file": str(subtask.log_file), "seconds": seconds}
