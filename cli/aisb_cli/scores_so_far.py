"""The scores of a run so far, for the live display: graded in a thread that uses at most 5 % of the time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aisb import AisbError
from aisb_cli.counts import ENDED_PHASES, name_of

if TYPE_CHECKING:
    from aisb_engine import Plugins, Progress

REST = 20.0
"""After each piece of work, the thread sleeps this many times as long as the work took."""
BETWEEN = 1.0
"""The shortest time in seconds between two readings of the log."""
AT_ONCE = 256
"""The number of answers of a subtask that are graded before its score is shown again."""
MAX_BYTES = 100_000_000
"""Larger logs are not read, because that would take much memory, and seconds each time."""
MAX_LINES = 4


class _EndedError(Exception):
    """Ends the thread while it sleeps."""


class ScoresSoFar:
    """Grades the answers of a run as they arrive, with the code that `aisb view` uses."""

    def __init__(self, plugins: Plugins, *, between: float = BETWEEN, max_bytes: int = MAX_BYTES) -> None:
        self._plugins = plugins
        self._between = between
        self._max_bytes = max_bytes
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._results: dict[tuple[str, str], dict[str, Any]] = {}

    def start(self, subtasks: Sequence[Progress]) -> None:
        """Begin to grade the answers of those subtasks that may be graded while the run goes on."""
        graded = [one for one in subtasks if one.run is not None]
        self._results = {}
        self._ended.clear()
        if graded and graded[0].run is not None:
            self._thread = threading.Thread(
                target=self._work, args=(graded[0].run, graded), name="scores", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Stop grading. A part of the work that has begun is not waited for longer than a moment."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout=0.2)
            self._thread = None

    @property
    def is_working(self) -> bool:
        """Whether answers are being graded, or will be."""
        return self._thread is not None and self._thread.is_alive()

    def lines(self, subtasks: Sequence[Progress]) -> list[str]:
        """Return a line with the score so far of each subtask, running ones first; at most a few."""
        results = dict(self._results)
        shown = [one for one in subtasks if (one.model, one.task) in results]
        shown.sort(key=lambda one: one.phase in ENDED_PHASES)
        lines = [
            _line(results[one.model, one.task], name_of(one) if len(subtasks) > 1 else "")
            for one in shown[:MAX_LINES]
        ]
        if more := len(shown) - len(lines):
            lines.append(f"and the scores so far of {more} more subtask{'s' if more > 1 else ''}: aisb view")
        return lines

    def _work(self, path: Path, subtasks: Sequence[Progress]) -> None:
        # The run itself reports what is wrong with its folder or with a plugin.
        with suppress(AisbError, OSError, _EndedError):
            self._read(path, subtasks)

    def _read(self, path: Path, subtasks: Sequence[Progress]) -> None:
        from aisb_cli.viewing.live import LiveResults
        from aisb_engine import open_run

        self._wait(self._between)
        run = open_run(path.parent, str(path.resolve()), self._plugins)
        live = LiveResults(run, self._plugins, pause=lambda seconds: self._wait(REST * seconds))
        left = {(one.model, one.task): one for one in subtasks}
        graded: dict[tuple[str, str], int] = {}
        while left:
            for subtask in run.spec.subtasks:
                progress = left.get((subtask.model, subtask.task))
                if progress is None or progress.phase in ("waiting", "probing"):
                    continue
                is_last = progress.phase in ENDED_PHASES  # read before the log, which is complete then
                key = (subtask.model, subtask.task)
                logs = run.folder.log(*key).glob("worker-*")
                if sum(log.stat().st_size for log in logs) > self._max_bytes:
                    del left[key]
                    continue
                found = live.read_subtask(subtask, AT_ONCE)
                if found and found["value"] is not None:
                    self._results[key] = found
                before, graded[key] = graded.get(key, 0), found["n"] if found else 0
                if (is_last and graded[key] == before) or (found and found["not_graded"]):
                    del left[key]
            self._wait(self._between)

    def _wait(self, seconds: float) -> None:
        if self._ended.wait(seconds):
            raise _EndedError


def _line(found: dict[str, Any], name: str) -> str:
    """Return the score so far in words: metric, value, interval, and how many answers it covers."""
    interval = ""
    if found["low"] is not None and found["high"] is not None:
        interval = f"95 % interval {found['low']:.1f} to {found['high']:.1f}, "
    metric = str(found["metric"]).replace("_", " ")
    return f"{name}{': ' if name else ''}{metric} so far {found['value']:.1f} ({interval}{found['n']} scored)"
