"""Show how far a run is: rows that move on a terminal, plain lines in a log.

Both write to stderr, so that stdout holds results alone. The engine only changes counts; each display looks
at them from a thread of its own, and a run never waits for its display.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

from aisb.progress import Display, Phase, Progress

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

ENDED: frozenset[Phase] = frozenset(("done", "failed", "stopped"))
STYLES: dict[Phase, str] = {"asking": "bold", "failed": "red", "stopped": "yellow", "done": "green"}


def choose_display(*, debug: bool = False, interval: float = 10.0) -> Display:
    """Choose rows that move where they can be seen: on a terminal, and not among the lines of `--debug`."""
    if debug or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return PlainDisplay(interval=interval, logs=debug)
    return LiveDisplay()


class PlainDisplay:
    """A line when a subtask begins and when it ends; between them the totals every `interval` seconds."""

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
        self._due = 0.0
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def start(self, subtasks: list[Progress]) -> None:
        """Begin to show these subtasks."""
        self._subtasks = subtasks
        self._seen = ["waiting"] * len(subtasks)
        self._due = self._clock() + self._interval
        self._stopped.clear()
        self._thread = threading.Thread(target=self._watch, name="display", daemon=True)
        self._thread.start()

    def say(self, line: str) -> None:
        """Print one line."""
        with self._lock:
            self._print(line)

    def log(self, line: str) -> None:
        """Print a line of a subtask's log, if logs are wanted."""
        if self._logs:
            self.say(line)

    def stop(self) -> None:
        """Show what has happened since the last look, and end. Called twice, it does nothing more."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            self.look()

    def look(self) -> None:
        """Print what is new: subtasks that began or ended, and the totals when they are due."""
        with self._lock:
            now = self._clock()
            for place, subtask in enumerate(self._subtasks):
                before, phase = self._seen[place], subtask.phase
                self._seen[place] = phase
                if before == phase:
                    continue
                if phase in ENDED:
                    self._print(_ending(subtask, now))
                elif phase == "asking":
                    resumed = f", {subtask.resumed} of them finished before" if subtask.resumed else ""
                    self._print(
                        f"{_name(subtask)}: {subtask.total} requests{resumed}; log: {subtask.log_file}"
                    )
            if now >= self._due:
                self._due = now + self._interval
                if any(subtask.phase not in ENDED for subtask in self._subtasks):
                    self._print(totals(self._subtasks, now))

    def _watch(self) -> None:
        while not self._stopped.wait(0.2):
            self.look()

    def _print(self, line: str) -> None:
        # The stream is looked up late: a test or a caller may have put another in its place.
        print(line, file=self._stream or sys.stderr, flush=True)


class LiveDisplay:
    """A row a subtask with its bar, its rate, the time left and its counts; totals and logs below."""

    def __init__(
        self, console: Console | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        from rich.console import Console

        self._console = console or Console(stderr=True, highlight=False)
        self._clock = clock
        self._subtasks: list[Progress] = []
        self._live: Live | None = None
        self._whole = False

    def start(self, subtasks: list[Progress]) -> None:
        """Take the terminal's last lines and begin to show these subtasks there."""
        from rich.live import Live

        self._subtasks = subtasks
        self._whole = False
        self._live = Live(get_renderable=self.render, console=self._console, refresh_per_second=4)
        self._live.start()

    def say(self, line: str) -> None:
        """Print one line above the rows."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def log(self, line: str) -> None:
        """Leave a subtask's log lines to its file, which the rows name."""

    def stop(self) -> None:
        """Show every row a last time and let go of the terminal. Called twice, it does nothing more."""
        live, self._live = self._live, None
        if live is not None:
            self._whole = True
            live.vertical_overflow = "visible"
            live.stop()

    def render(self) -> RenderableType:
        """Draw the rows as they are now, in the width there is, and not higher than the terminal."""
        from rich.console import Group
        from rich.text import Text

        now = self._clock()
        shown = self._subtasks if self._whole else _most_telling(self._subtasks, self._room())
        below = [totals(self._subtasks, now), _reasons(self._subtasks), _logs(self._subtasks)]
        if len(shown) < len(self._subtasks):
            hidden = [subtask for subtask in self._subtasks if not any(subtask is other for other in shown)]
            below.insert(0, f"and {len(hidden)} more: {_phases(hidden)}")
        return Group(self._table(shown, now), *(Text(line, overflow="fold") for line in below if line))

    def _room(self) -> int:
        """How many subtasks fit on the terminal, with the lines below; a long name takes two lines."""
        lines = max(2, self._console.height - 8)
        name, _ = self._widths()
        return lines // 2 if any(len(_name(subtask)) > name for subtask in self._subtasks) else lines

    def _columns(self) -> dict[str, int]:
        """How wide the numbers can become: by the totals, so that columns do not move while counts grow."""
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
        """How wide the names and the bars are: what the numbers leave."""
        columns = self._columns()
        free = max(20, self._console.width - sum(columns.values()) - len(columns) - 1)
        names = ["task · model", *map(_name, self._subtasks)]
        longest, word = max(map(len, names)), max(len(word) for name in names for word in name.split())
        name = min(longest, max(free - 8, min(word, free - 4)))  # a name breaks between its words, if it must
        return name, min(30, free - name)

    def _table(self, subtasks: Iterable[Progress], now: float) -> RenderableType:
        from rich.progress_bar import ProgressBar
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
                Text(_name(subtask)),
                ProgressBar(total=max(1, subtask.total), completed=subtask.finished, width=bar),
                f"{subtask.finished}/{subtask.total}" if subtask.total else "–",
                _rate(rate),
                _time(left),
                str(subtask.sent),
                str(subtask.received),
                Text(str(subtask.failed), style="red" if subtask.failed else ""),
                Text(subtask.phase, style=STYLES.get(subtask.phase, "")),
            )
        return table


def pace(subtask: Progress, now: float) -> tuple[float | None, float | None]:
    """Return how many samples a second finish, and how many seconds are left; None where nothing tells it.

    What an earlier command finished counts for neither.
    """
    if subtask.started is None:
        return None, None
    passed = (subtask.ended if subtask.ended is not None else now) - subtask.started
    here = subtask.finished - subtask.resumed
    rate = here / passed if passed > 0 and here > 0 else None
    if subtask.phase in ENDED:
        return rate, None
    return rate, (subtask.total - subtask.finished) / rate if rate else None


def totals(subtasks: Sequence[Progress], now: float) -> str:
    """Return one line for all subtasks together."""
    finished, total = sum(s.finished for s in subtasks), sum(s.total for s in subtasks)
    sent, received, failed = (sum(getattr(s, n) for s in subtasks) for n in ("sent", "received", "failed"))
    running = [pace(s, now) for s in subtasks if s.phase == "asking"]
    line = f"{finished}/{total} finished, {failed} failed; {sent} sent, {received} received"
    rates = [rate for rate, _ in running if rate is not None]
    if rates:
        line += f"; {_rate(sum(rates))}"
    waiting = sum(s.phase in ("waiting", "probing") for s in subtasks)
    left = [seconds for _, seconds in running if seconds is not None]
    if waiting:  # it has no total yet: nothing can be said of the time left for all
        line += f"; {waiting} waiting"
    elif left and len(left) == len(running):
        line += f", {_time(max(left))} left"
    return line


def _name(subtask: Progress) -> str:
    return f"{subtask.task} · {subtask.model}"


def _ending(subtask: Progress, now: float) -> str:
    rate, _ = pace(subtask, now)
    counts = f"{subtask.finished}/{subtask.total} finished, {subtask.failed} failed"
    line = f"{_name(subtask)}: {subtask.phase}: {counts}"
    if rate is not None and subtask.started is not None:
        ended = subtask.ended if subtask.ended is not None else now
        line += f" in {_time(ended - subtask.started)} ({_rate(rate)})"
    return line + (f"; log: {subtask.log_file}" if subtask.failed or subtask.phase == "failed" else "")


def _rate(rate: float | None) -> str:
    if rate is None:
        return "–"
    return f"{rate:.0f}/s" if rate >= 100 else f"{rate:.1f}/s" if rate >= 0.1 else f"{rate * 60:.1f}/m"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _reasons(subtasks: Iterable[Progress]) -> str:
    counts: dict[str, int] = {}
    for subtask in subtasks:
        for kind, count in dict(subtask.failures).items():  # a copy: the engine may add a kind meanwhile
            counts[kind] = counts.get(kind, 0) + count
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items(), key=lambda item: -item[1]))
    return f"failed: {told}" if told else ""


def _logs(subtasks: Sequence[Progress]) -> str:
    """Return where the logs are: those of what runs now, or the folder they share when they are many."""
    now = [s for s in subtasks if s.phase not in ("waiting", *ENDED)] or list(subtasks)
    if not now:
        return ""
    if len(now) == 1:
        return f"log: {now[0].log_file}"
    return f"logs: {os.path.commonpath([subtask.log_file for subtask in now])}"


def _phases(subtasks: Iterable[Progress]) -> str:
    counts: dict[str, int] = {}
    for subtask in subtasks:
        counts[subtask.phase] = counts.get(subtask.phase, 0) + 1
    return ", ".join(f"{count} {phase}" for phase, count in counts.items())


def _most_telling(subtasks: Sequence[Progress], room: int) -> list[Progress]:
    """Choose those for which there is room: what runs before what waits, and that before what ended."""
    rank = {"waiting": 1, "failed": 2, "stopped": 2, "done": 3}
    chosen = sorted(range(len(subtasks)), key=lambda place: (rank.get(subtasks[place].phase, 0), place))[
        :room
    ]
    return [subtasks[place] for place in sorted(chosen)]
