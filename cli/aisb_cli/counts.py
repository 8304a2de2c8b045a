"""Format the progress of a run: counts, rates, time left, and reasons of failures."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from aisb_engine import Phase, Progress

ENDED_PHASES: frozenset[Phase] = frozenset(("done", "failed", "stopped"))


PLAIN_WIDTH = 300
"""The maximum number of characters of a failure's reason in plain lines."""


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
    if subtask.lasts is not None:
        return rate, max(0.0, subtask.lasts - passed)
    return rate, (subtask.total - subtask.finished) / rate if rate else None


def totals(subtasks: Sequence[Progress], now: float, *, has_scores: bool = False) -> str:
    """Return one line with the counts of all subtasks, those that wait included.

    With `has_scores`, the line does not say "not graded yet": the display shows scores so far.
    """
    total = sum(s.total for s in subtasks if s.lasts is None)
    finished = sum(s.finished for s in subtasks)
    sent, received, failed, retried = (
        sum(getattr(s, name) for s in subtasks) for name in ("sent", "received", "failed", "retried")
    )
    of = f"/{total}" if total and all(s.lasts is None for s in subtasks) else ""
    line = f"{finished}{of} finished, {failed} failed"
    more = f", {retried} retried" if retried else ""
    if all(s.phase in ENDED_PHASES for s in subtasks):
        return line + more
    line += f"; {sent} sent, {received} received{more}"
    rate, left = pace_of_all(subtasks, now)
    if rate is not None:
        line += f"; {per_second(rate)}"
    if (tokens := tokens_per_second(subtasks, now)) is not None:
        line += f", {tokens:,.0f} output tokens/s"
    if left is not None:
        line += f", {duration(left)} left"
    if not has_scores and any(s.is_graded_later for s in subtasks):
        line += "; not graded yet"
    if waiting := sum(s.phase in ("waiting", "probing") for s in subtasks):
        line += f"; {waiting} subtask{'s' if waiting > 1 else ''} waiting"
    return line


def pace_of_all(subtasks: Sequence[Progress], now: float) -> tuple[float | None, float | None]:
    """Return the samples finished per second by all running subtasks, and the seconds left for the whole run.

    Waiting subtasks are assumed to run at the average pace since the first subtask began.
    """
    running = [pace(s, now) for s in subtasks if s.phase == "sending"]
    rates = [rate for rate, _ in running if rate is not None]
    own_left = [left for _, left in running if left is not None]
    if not rates or len(own_left) < len(running):
        return (sum(rates) if rates else None), None
    waiting = [s for s in subtasks if s.phase in ("waiting", "probing")]
    if not waiting:
        return sum(rates), max(own_left)
    if any(s.lasts is not None for s in subtasks):
        planned = [s.lasts if s.phase in ("waiting", "probing") else pace(s, now)[1] for s in subtasks]
        known = [seconds for seconds in planned if seconds is not None]
        unended = sum(s.phase not in ENDED_PHASES for s in subtasks)
        return sum(rates), sum(known) if len(known) == unended else None
    if any(not s.total for s in waiting):
        return sum(rates), None
    begun = [s for s in subtasks if s.started is not None]
    here = sum(s.finished - s.resumed for s in begun)
    passed = now - min(s.started for s in begun if s.started is not None)
    if passed <= 0 or not here:
        return sum(rates), None
    left = sum(s.total - s.finished for s in subtasks if s.phase not in ENDED_PHASES) * passed / here
    return sum(rates), max(left, *own_left)


def tokens_per_second(subtasks: Sequence[Progress], now: float) -> float | None:
    """Return the output tokens per second of running subtasks; None if the service does not report them."""
    found = [
        s.output_tokens / (now - s.started)
        for s in subtasks
        if s.phase == "sending" and s.output_tokens and s.started is not None and now > s.started
    ]
    return sum(found) if found else None


def finished_of(subtask: Progress) -> str:
    """Return how many of how many requests have finished; of a load that ends by time, only how many."""
    if subtask.lasts is not None:
        return str(subtask.finished)
    return f"{subtask.finished}/{subtask.total}" if subtask.total else "–"


def ended_cells(subtask: Progress, now: float) -> list[str]:
    """Return the cells of the row of a subtask that has ended, empty where there is nothing to tell."""
    rate, _ = pace(subtask, now)
    passed = None
    if subtask.started is not None:
        passed = (subtask.ended if subtask.ended is not None else now) - subtask.started
    return [
        finished_of(subtask),
        f"{subtask.failed} failed" if subtask.failed else "",
        f"{subtask.retried} retried" if subtask.retried else "",
        "" if passed is None else duration(passed),
        "" if rate is None else per_second(rate),
    ]


def name_of(subtask: Progress) -> str:
    """Return the displayed name of a subtask: its task, then its model."""
    return f"{subtask.task} · {subtask.model}"


def ending_line(subtask: Progress, now: float) -> str:
    """Return the line for a subtask that has ended."""
    rate, _ = pace(subtask, now)
    counts = f"{subtask.finished}/{subtask.total} finished, {subtask.failed} failed"
    counts += f", {subtask.retried} retried" if subtask.retried else ""
    line = f"{name_of(subtask)}: {subtask.phase}: {counts}"
    if rate is not None and subtask.started is not None:
        ended = subtask.ended if subtask.ended is not None else now
        line += f" in {duration(ended - subtask.started)} ({per_second(rate)})"
    if subtask.first_failure:
        return f"{line}; {first_failure(subtask, PLAIN_WIDTH)}"
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
        if kinds := failure_kinds([subtask]):
            yield f"{name_of(subtask)}: failed: {kinds}; {first_failure(subtask)}", subtask


def failure_kinds(subtasks: Iterable[Progress]) -> str:
    """Return how many requests failed for each reason, the most frequent first; empty without any."""
    counts: Counter[str] = Counter()
    for subtask in subtasks:
        counts.update(dict(subtask.failures))  # a copy, since the engine may add a kind at any time
    return ", ".join(f"{count} {kind}" for kind, count in counts.most_common())


def failure_summary(subtasks: Sequence[Progress], width: int = 100) -> str:
    """Return one line with the reasons of all failures, and the first of them; empty without any."""
    failed = [subtask for subtask in subtasks if subtask.failures]
    if not failed:
        return ""
    request, _, words = _shortened(failed[0].first_failure, width).partition(": ")
    of = f" of {failed[0].task}" if len(subtasks) > 1 else ""
    return f"failed: {failure_kinds(failed)}; the first is request {request}{of}: {words}"


def first_failure(subtask: Progress, width: int = 100) -> str:
    """Name the first request that failed, the reason, and the log with the details."""
    return f"the first is request {_shortened(subtask.first_failure, width)}; log: {subtask.log_file}"


def _shortened(text: str, width: int) -> str:
    words = " ".join(text.split())
    return words if len(words) <= width else f"{words[: width - 1]}…"


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
