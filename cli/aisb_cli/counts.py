"""The texts of a progress display: counts, rates, time left, and reasons of failures."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from aisb_engine import Phase, Progress

ENDED_PHASES: frozenset[Phase] = frozenset(("done", "failed", "stopped"))


def pace(subtask: Progress, now: float) -> tuple[float | None, float | None]:
    """Return the samples finished per second and the seconds left; None if they cannot be estimated.

    Samples that an earlier command finished do not count.
    """
    if subtask.started is None:
        return None, None
    passed = (subtask.ended if subtask.ended is not None else now) - subtask.started
    here = subtask.finished - subtask.resumed
    rate = here / passed if passed > 0 and here > 0 else None
    if subtask.phase in ENDED_PHASES:
        return rate, None
    return rate, (subtask.total - subtask.finished) / rate if rate else None


def totals(subtasks: Sequence[Progress], now: float) -> str:
    """Return one line with the counts of all subtasks."""
    finished, total = sum(s.finished for s in subtasks), sum(s.total for s in subtasks)
    sent, received, failed = (sum(getattr(s, n) for s in subtasks) for n in ("sent", "received", "failed"))
    running = [pace(s, now) for s in subtasks if s.phase == "asking"]
    line = f"{finished}/{total} finished, {failed} failed; {sent} sent, {received} received"
    rates = [rate for rate, _ in running if rate is not None]
    if rates:
        line += f"; {per_second(sum(rates))}"
    waiting = sum(s.phase in ("waiting", "probing") for s in subtasks)
    left = [seconds for _, seconds in running if seconds is not None]
    if waiting:  # the total of a waiting subtask is unknown, and so is the time left for all
        line += f"; {waiting} waiting"
    elif left and len(left) == len(running):
        line += f", {duration(max(left))} left"
    return line


def name_of(subtask: Progress) -> str:
    """Return the displayed name of a subtask: its task, then its model."""
    return f"{subtask.task} · {subtask.model}"


def ending_line(subtask: Progress, now: float) -> str:
    """Return the line for a subtask that has ended."""
    rate, _ = pace(subtask, now)
    counts = f"{subtask.finished}/{subtask.total} finished, {subtask.failed} failed"
    line = f"{name_of(subtask)}: {subtask.phase}: {counts}"
    if rate is not None and subtask.started is not None:
        ended = subtask.ended if subtask.ended is not None else now
        line += f" in {duration(ended - subtask.started)} ({per_second(rate)})"
    if subtask.first_failure:
        return f"{line}; {first_failure(subtask)}"
    return line + (f"; log: {subtask.log_file}" if subtask.failed or subtask.phase == "failed" else "")


def per_second(rate: float | None) -> str:
    """Return a rate per second; a slow one per minute."""
    if rate is None:
        return "–"
    return f"{rate:.0f}/s" if rate >= 100 else f"{rate:.1f}/s" if rate >= 0.1 else f"{rate * 60:.1f}/m"


def duration(seconds: float | None) -> str:
    """Return a duration in seconds, from one minute on as minutes and seconds."""
    if seconds is None:
        return "–"
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def failure_lines(subtasks: Iterable[Progress]) -> Iterator[tuple[str, Progress]]:
    """Yield a line for each subtask with failures: their reasons, the first request, and the log."""
    for subtask in subtasks:
        counts = dict(subtask.failures)  # a copy, since the engine may add a kind at any time
        if not counts:
            continue
        told = ", ".join(
            f"{count} {kind}" for kind, count in sorted(counts.items(), key=lambda item: -item[1])
        )
        yield f"{name_of(subtask)}: failed: {told}; {first_failure(subtask)}", subtask


def first_failure(subtask: Progress, width: int = 100) -> str:
    """Name the first request that failed, the reason, and the log with the details."""
    words = " ".join(subtask.first_failure.split())
    words = words if len(words) <= width else f"{words[: width - 1]}…"
    return f"the first is request {words}; log: {subtask.log_file}"


def log_places(subtasks: Sequence[Progress]) -> str:
    """Return the log files of running subtasks, or their common folder if there are several."""
    now = [s for s in subtasks if s.phase not in ("waiting", *ENDED_PHASES)] or list(subtasks)
    if not now:
        return ""
    if len(now) == 1:
        return f"log: {now[0].log_file}"
    return f"logs: {os.path.commonpath([subtask.log_file for subtask in now])}"


def phases(subtasks: Iterable[Progress]) -> str:
    """Return the number of subtasks in each phase."""
    counts: dict[str, int] = {}
    for subtask in subtasks:
        counts[subtask.phase] = counts.get(subtask.phase, 0) + 1
    return ", ".join(f"{count} {phase}" for phase, count in counts.items())


def most_relevant(subtasks: Sequence[Progress], room: int) -> list[Progress]:
    """Select the subtasks to show: running ones before waiting ones, and those before finished ones."""
    rank = {"waiting": 1, "failed": 2, "stopped": 2, "done": 3}
    chosen = sorted(range(len(subtasks)), key=lambda place: (rank.get(subtasks[place].phase, 0), place))[
        :room
    ]
    return [subtasks[place] for place in sorted(chosen)]
