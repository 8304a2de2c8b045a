"""The live display of a run on a terminal: a row for each subtask, with totals, failures and logs below."""

from __future__ import annotations

import re
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from aisb_cli.counts import (
    ENDED_PHASES,
    duration,
    ended_cells,
    failure_lines,
    failure_summary,
    finished_of,
    log_places,
    most_relevant,
    name_of,
    pace,
    per_second,
    phases,
    totals,
)
from aisb_cli.errors import wrap
from aisb_cli.keys import Keys, interrupt
from aisb_cli.scores_so_far import ScoresSoFar
from aisb_cli.terminal import plain_stream
from aisb_engine import Phase, Progress, printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.text import Text

REFRESH_SECONDS = 0.25
MAX_FAILING = 2
"""The number of subtasks whose failures are shown during the run; at the end all are."""

STYLES: dict[Phase, str] = {"sending": "bold", "failed": "red", "stopped": "yellow", "done": "green"}


class LiveDisplay:
    """A row for each subtask with bar, rate, time left and counts; totals, scores so far and logs below."""

    def __init__(
        self,
        console: Console | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        keys: Keys | None = None,
        scores: ScoresSoFar | None = None,
        stop: Callable[[], None] = interrupt,
    ) -> None:
        from rich.console import Console

        self._console = console or Console(file=plain_stream(sys.stderr), highlight=False)
        self._clock = clock
        self._keys = keys
        self._scores = scores
        self._stop_run = stop
        self._subtasks: list[Progress] = []
        self._live: Live | None = None
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self._whole = self._paused = self._stopping = False
        self._pending: list[str] = []
        self._lock = threading.Lock()

    def start(self, subtasks: list[Progress]) -> None:
        """Begin to show these subtasks on the last lines of the terminal."""
        from rich.live import Live

        self._subtasks = subtasks
        self._whole = self._paused = self._stopping = False
        self._ended.clear()
        self._live = Live(get_renderable=self.render, console=self._console, auto_refresh=False)
        self._live.start()
        if self._keys:
            self._keys.start()
        if self._scores:
            self._scores.start(subtasks)
        self._thread = threading.Thread(target=self._watch, name="display", daemon=True)
        self._thread.start()

    def say(self, line: str) -> None:
        """Print one line above the rows; while the display is paused, later."""
        with self._lock:
            if self._paused:
                self._pending.append(line)
                return
        self._print(line)

    def log(self, line: str) -> None:
        """Do nothing: the log lines of a subtask are in its file, whose path the display shows."""

    def stop(self) -> None:
        """Show all rows for the last time, and release the terminal. A second call does nothing."""
        live, self._live = self._live, None
        self._ended.set()
        if self._keys:
            self._keys.wake()
        if self._scores:
            self._scores.stop()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if live is not None:
            self._resume()
            self._whole = True
            live.vertical_overflow = "visible"
            live.stop()
        if self._keys:
            self._keys.stop()

    def press(self, key: str | None) -> None:
        """Handle a key: `p` pauses and continues the display, `q` stops the run, once."""
        if key == "p":
            if self._paused:
                self._resume()
            else:
                self._paused = True
                self._refresh()  # once more, to show the state "paused"
        elif key == "q" and not self._stopping:
            self._stopping = True
            self._resume()
            self._stop_run()

    def render(self) -> RenderableType:
        """Draw the rows at the width of the terminal, and no more than its height holds."""
        from rich.console import Group

        now = self._clock()
        if self._whole:
            several = [totals(self._subtasks, now)] if len(self._subtasks) > 1 else []
            below = self._wrapped([*several, failure_summary(self._subtasks)])
            return Group(self._ended_table(now), *below)
        models = [
            f"{s.model}: {s.detail}" for s in self._subtasks if s.detail and s.phase not in ENDED_PHASES
        ]
        scores = self._scores.lines(self._subtasks) if self._scores else []
        counts = totals(self._subtasks, now, has_scores=bool(scores))
        lines = [counts, *scores, *dict.fromkeys(models), *self._failed(), *self._keys_line()]
        below = self._wrapped(lines)
        shown = most_relevant(self._subtasks, self._room(len(below)))
        if len(shown) < len(self._subtasks):
            hidden = [subtask for subtask in self._subtasks if not any(subtask is other for other in shown)]
            below = self._wrapped([f"and {len(hidden)} more: {phases(hidden)}", *lines])
        return Group(self._table(shown, now), *below)

    def _watch(self) -> None:
        while not self._ended.is_set():
            if self._keys:
                self.press(self._keys.read(REFRESH_SECONDS))
            else:
                self._ended.wait(REFRESH_SECONDS)
            if not self._paused and not self._ended.is_set():
                self._refresh()

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.refresh()

    def _resume(self) -> None:
        with self._lock:
            self._paused = False
            pending, self._pending = self._pending, []
        for line in pending:
            self._print(line)

    def _print(self, line: str) -> None:
        text = wrap(printable(line), self._console.width)
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _wrapped(self, lines: Iterable[str]) -> list[Text]:
        """Return lines in the terminal's width, broken between words; only a longer word is broken itself."""
        from rich.text import Text

        width = self._console.width
        glued = (re.sub(r"(?<=\d) (?=s\b)", "\N{NO-BREAK SPACE}", printable(line)) for line in lines)
        return [
            Text(part.replace("\N{NO-BREAK SPACE}", " "), overflow="fold")
            for line in glued
            for part in textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)
        ]

    def _failed(self) -> list[str]:
        """Return the failures with their logs, then the log of what runs now if it is not among them."""
        failed = list(failure_lines(self._subtasks))
        lines = [line for line, _ in failed[:MAX_FAILING]]
        if len(lines) < len(failed):
            lines.append(f"and failures in {len(failed) - len(lines)} more subtasks")
        log = log_places(self._subtasks)
        named = any(log.endswith(str(subtask.log_file)) for _, subtask in failed)
        return [*lines, *([] if named else [log])]

    def _keys_line(self) -> list[str]:
        if not self._keys or self._whole:
            return []
        return ["paused; p: continue, q: stop" if self._paused else "p: pause, q: stop"]

    def _room(self, taken: int) -> int:
        """Return how many subtasks fit on the terminal above so many lines; a long name takes two lines."""
        lines = max(2, self._console.height - taken - 3)
        name, _ = self._widths()
        return lines // 2 if any(len(name_of(subtask)) > name for subtask in self._subtasks) else lines

    def _columns(self) -> dict[str, int]:
        """Return the widths of the numbers at their maximum, so that columns do not move."""
        digits = max((len(str(max(s.total, s.sent))) for s in self._subtasks), default=1)
        count = max(4, digits)
        return {
            "finished": max(8, 2 * digits + 1),
            "rate": 7,
            "left": 7,
            "sent": count,
            "recv": count,
            "fail": count,
            "phase": 7,
        }

    def _widths(self) -> tuple[int, int]:
        """Return the widths of names and bars, which share the rest of the line."""
        columns = self._columns()
        free = max(20, self._console.width - sum(columns.values()) - len(columns) - 1)
        names = ["task · model", *map(name_of, self._subtasks)]
        longest, word = max(map(len, names)), max(len(word) for name in names for word in name.split())
        name = min(longest, max(free - 8, min(word, free - 4)))  # names may wrap between words
        return name, min(30, free - name)

    def _table(self, subtasks: Iterable[Progress], now: float) -> RenderableType:
        from rich.table import Table
        from rich.text import Text

        name, bar = self._widths()
        table = Table(
            box=None, padding=(0, 1, 0, 0), collapse_padding=True, pad_edge=False, header_style="dim"
        )
        table.add_column("task · model", width=name, overflow="fold")
        table.add_column("", width=bar, no_wrap=True)
        for header, width in self._columns().items():
            table.add_column(
                header, width=width, no_wrap=True, justify="left" if header == "phase" else "right"
            )
        for subtask in subtasks:
            rate, left = pace(subtask, now)
            table.add_row(
                Text(printable(name_of(subtask))),
                _bar(subtask, now, width=bar),
                finished_of(subtask),
                per_second(rate),
                duration(left),
                str(subtask.sent),
                str(subtask.received),
                Text(str(subtask.failed), style="red" if subtask.failed else ""),
                Text(subtask.phase, style=STYLES.get(subtask.phase, "")),
            )
        return table

    def _ended_table(self, now: float) -> RenderableType:
        """Return the rows of the end, which need neither a header nor a bar."""
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(overflow="fold")
        rows = [ended_cells(subtask, now) for subtask in self._subtasks]
        used = [column for column in range(len(rows[0]) if rows else 0) if any(row[column] for row in rows)]
        for _ in used:
            table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True)
        for subtask, row in zip(self._subtasks, rows, strict=True):
            phase = Text(subtask.phase, style=STYLES.get(subtask.phase, ""))
            table.add_row(Text(printable(name_of(subtask))), *(row[column] for column in used), phase)
        return table


def _bar(subtask: Progress, now: float, *, width: int) -> RenderableType:
    """Return the bar of a subtask: in requests, or in time if the load ends by time."""
    from rich.progress_bar import ProgressBar

    if subtask.lasts is None:
        return ProgressBar(total=max(1, subtask.total), completed=subtask.finished, width=width)
    passed = 0.0 if subtask.started is None else now - subtask.started
    done = subtask.lasts if subtask.phase in ENDED_PHASES else min(passed, subtask.lasts)
    return ProgressBar(total=subtask.lasts, completed=done, width=width)
