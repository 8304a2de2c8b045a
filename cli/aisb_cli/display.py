"""Show the progress of a run: a live display on a terminal (`live_display`), plain lines otherwise.

Both write to stderr, so that stdout has only results. The engine only updates counts; a display reads them in
its own thread, and the run never waits for it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from aisb_cli.counts import ENDED_PHASES, duration, ending_line, first_failure, name_of, totals
from aisb_engine import Display, Phase, Progress

if TYPE_CHECKING:
    from aisb_engine import Plugins


def choose_display(*, debug: bool = False, interval: float = 10.0, plugins: Plugins | None = None) -> Display:
    """Choose the live display if stderr is a terminal and `--debug` does not print log lines there.

    With `plugins`, the rows have the scores of the answers so far.
    """
    if debug or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return PlainDisplay(interval=interval, logs=debug)
    from aisb_cli.keys import Keys
    from aisb_cli.live_display import LiveDisplay
    from aisb_cli.scores_so_far import ScoresSoFar

    return LiveDisplay(keys=Keys.of_terminal(), scores=ScoresSoFar(plugins) if plugins else None)


class PlainDisplay:
    """Prints a line when a subtask begins, first fails and ends, and the totals every `interval` seconds."""

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        interval: float = 10.0,
        logs: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._interval = interval
        self._logs = logs
        self._clock = clock
        self._subtasks: list[Progress] = []
        self._seen: list[Phase] = []
        self._failing: set[int] = set()
        self._due = 0.0
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def start(self, subtasks: list[Progress]) -> None:
        """Begin to show these subtasks."""
        self._subtasks = subtasks
        self._seen = ["waiting"] * len(subtasks)
        self._failing = set()
        self._due = self._clock() + self._interval
        self._stopped.clear()
        self._thread = threading.Thread(target=self._watch, name="display", daemon=True)
        self._thread.start()

    def say(self, line: str) -> None:
        """Print one line."""
        with self._lock:
            self._print(line)

    def log(self, line: str) -> None:
        """Print a line of a subtask's log, if log lines are to be shown."""
        if self._logs:
            self.say(line)

    def stop(self) -> None:
        """Print what is new, and end. A second call does nothing."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            self.update()

    def update(self) -> None:
        """Print what is new: subtasks that began or ended, and the totals when they are due."""
        with self._lock:
            now = self._clock()
            for place, subtask in enumerate(self._subtasks):
                before, phase = self._seen[place], subtask.phase
                self._seen[place] = phase
                if subtask.first_failure and phase not in ENDED_PHASES and place not in self._failing:
                    self._failing.add(place)
                    self._print(f"{name_of(subtask)}: failing: {first_failure(subtask)}")
                if before == phase:
                    continue
                if phase in ENDED_PHASES:
                    self._print(ending_line(subtask, now))
                elif phase == "sending":
                    resumed = f", {subtask.resumed} of them finished before" if subtask.resumed else ""
                    size = f"{subtask.total} request{'' if subtask.total == 1 else 's'}"
                    if subtask.lasts is not None:
                        size = f"requests for {duration(subtask.lasts)}"
                    self._print(f"{name_of(subtask)}: {size}{resumed}; log: {subtask.log_file}")
            if now >= self._due:
                self._due = now + self._interval
                if any(subtask.phase not in ENDED_PHASES for subtask in self._subtasks):
                    active = [s for s in self._subtasks if s.detail and s.phase == "sending"]
                    said = [f"; {s.model}: {s.detail}" for s in active]
                    self._print(totals(self._subtasks, now) + "".join(said))

    def _watch(self) -> None:
        while not self._stopped.wait(0.2):
            self.update()

    def _print(self, line: str) -> None:
        # Read sys.stderr now, since a test or a caller may have replaced it.
        print(line, file=self._stream or sys.stderr, flush=True)
