"""The points of several runs as a table: for a terminal of 80 columns, as CSV, and as Markdown."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from aisb.helpers import csv_cell
from aisb_reporter_summary._repeats import numbered, spread
from aisb_reporter_summary._several import LABELS, TIMES, Points, short_names, shown_setting

UNKNOWN = "–"
WIDTH = 80
COLUMNS = (
    ("requests/s", lambda point: point["request_rate"]),
    ("tokens/s", lambda point: point["output_rate"]),
    ("per user", lambda point: point["user_rate"]),
    ("TTFT p50", lambda point: latency(point, "TTFT", "p50")),
    ("p95", lambda point: latency(point, "TTFT", "p95")),
    ("TPOT p50", lambda point: latency(point, "TPOT", "p50")),
    ("p95", lambda point: latency(point, "TPOT", "p95")),
)
"""What stands in the terminal and in Markdown; CSV and JSON have all numbers."""
EXPLAINED = (
    "tokens/s: output tokens of all requests; per user: median of output tokens / E2EL of a request; "
    "TTFT and TPOT in ms. * no other point has both more tokens/s and more per user (Pareto front)."
)
REPEATED = "Numbers are medians over the runs of a load; {place}: (largest - smallest) / median."


def latency(point: Mapping[str, Any], name: str, percentile: str) -> float | None:
    """Return a percentile of a time of a point in milliseconds; None if it is not known."""
    times = point["latency_ms"][name]
    return times.get(percentile) if times else None


def pareto_front(points: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the points that no other one beats in tokens/s and tokens/s per user, by falling user rate.

    Points whose certificate is INVALID are left out.
    """
    known = [
        point
        for point in points
        if point["user_rate"] is not None
        and point["output_rate"] is not None
        and point["certificate"] != "INVALID"
    ]
    front: list[Mapping[str, Any]] = []
    for point in sorted(known, key=lambda point: (-point["user_rate"], -point["output_rate"])):
        if not front or point["output_rate"] > front[-1]["output_rate"]:
            front.append(point)
    return front


def as_text(found: Points) -> str:
    """Return the table and its notes, at most 80 columns wide."""
    front = pareto_front(found.medians)
    blocks = []
    for name in found.series:
        points = found.curve(name)
        head = _axis(points[0])
        rows = [
            (shown_setting(point["level"]), *(_short(read(point)) for _, read in COLUMNS)) for point in points
        ]
        below = [_spreads(point) for point in points]
        heads = (head, *(title for title, _ in COLUMNS))
        widths = [max(len(row[at]) for row in (heads, *rows, *below) if row) for at in range(len(heads))]
        lines = [name[:WIDTH], _line(heads, widths)]
        for point, row, spreads in zip(points, rows, below, strict=True):
            mark = " *" if any(point is one for one in front) else ""
            lines.append(_line(row, widths) + mark)
            lines += [_line(spreads, widths)] if spreads else []
        lines += [part for point in points for note in notes(point) for part in _folded(note)]
        blocks.append("\n".join(lines))
    blocks.append("\n".join(textwrap.wrap(_explained(found, "below them"), WIDTH)))
    return "\n\n".join(blocks) + "\n"


def as_markdown(found: Points) -> str:
    """Return the table and its notes in GitHub's Markdown."""
    from tabulate import tabulate

    front = pareto_front(found.medians)
    points = [point for name in found.series for point in found.curve(name)]
    repeats = any(len(point["runs"]) > 1 for point in points)
    rows = [
        (
            point["series"],
            f"{_axis(point)} {shown_setting(point['level'])}",
            *([str(len(point["runs"]))] if repeats else ()),
            *(_with_spread(point, read) for _, read in COLUMNS),
            "*" if any(point is one for one in front) else "",
            point["certificate"],
        )
        for point in points
    ]
    counted = ("runs",) if repeats else ()
    heads = ("curve", "load", *counted, *(title for title, _ in COLUMNS), "front", "certificate")
    aligned = ("left", "left", *("right" for _ in (*counted, *COLUMNS)), "left", "left")
    grid = tabulate(
        [[_cell(text) for text in row] for row in rows],
        headers=heads,
        tablefmt="pipe",
        disable_numparse=True,
        colalign=aligned,
    )
    remarks = [f"- {_cell(note)}" for point in points for note in notes(point)]
    explained = _explained(found, "in brackets").replace("*", r"\*")
    return "\n".join([grid, "", explained, "", *remarks]) + "\n"


def as_csv(found: Points) -> str:
    """Return every number of every run as CSV; what is not known is empty.

    The Pareto front is that of the medians over the runs of a load.
    """
    percentiles = sorted(
        {key for point in found.points for times in point["latency_ms"].values() for key in times or ()},
        key=lambda key: float(key[1:]),
    )
    plain = (
        "run", "model", "task", "series", "certificate", "requests", "failed", "seconds", "stage",
        "requested_concurrency", "requested_rate", "concurrency", "request_rate", "output_rate",
        "total_rate", "user_rate", "writing_rate", "goodput",
    )  # fmt: skip
    best = {run for point in pareto_front(found.medians) for run in _runs_with(point)}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    times = [f"{name.lower()}_{key}_ms" for name in TIMES for key in percentiles]
    writer.writerow([*plain[:4], *found.settings, *plain[4:], *times, "pareto_front", "repeat"])
    for point, repeat in zip(found.points, numbered(found.points), strict=True):
        values = [
            *(point[key] for key in plain[:4]),
            *(point["settings"][key] for key in found.settings),
            *(point[key] for key in plain[4:]),
            *(latency(point, name, key) for name in TIMES for key in percentiles),
            int((point["run"], point["model"], point["task"]) in best),
            repeat,
        ]
        writer.writerow([csv_cell("" if value is None else value) for value in values])
    return text.getvalue()


def notes(point: Mapping[str, Any]) -> Iterator[str]:
    """Yield what must be known of a point next to its numbers: doubts about it, and failures."""
    place = f"{_axis(point)} {shown_setting(point['level'])}"
    if point["certificate"] != "VALID":
        reason = point["reasons"][0] if point["reasons"] else "no reason is known"
        more = f" (and {len(point['reasons']) - 1} more)" if len(point["reasons"]) > 1 else ""
        yield f"{place}: {point['certificate']}: {reason}{more}"
    if point["failed"]:
        yield f"{place}: {point['failed']:,} of {point['requests']:,} requests failed"


def _runs_with(point: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield the runs of a point, each with its model and task, since a run may have several."""
    yield from ((run, point["model"], point["task"]) for run in point["runs"])


def _spreads(point: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the line below a point of several runs; nothing below a single run."""
    if len(point["runs"]) == 1:
        return ()
    return (f"{len(point['runs'])} runs", *(_percent(spread(point, read)) for _, read in COLUMNS))


def _with_spread(point: Mapping[str, Any], read: Callable[[Mapping[str, Any]], float | None]) -> str:
    value = _short(read(point))
    return value if len(point["runs"]) == 1 else f"{value} ({_percent(spread(point, read))})"


def _percent(share: float | None) -> str:
    return UNKNOWN if share is None else f"{100 * share:.1f} %"


def _explained(found: Points, place: str) -> str:
    repeats = any(len(point["runs"]) > 1 for point in found.medians)
    return f"{EXPLAINED} {REPEATED.format(place=place)}" if repeats else EXPLAINED


def _axis(point: Mapping[str, Any]) -> str:
    axis = point["axis"]
    return LABELS.get(axis) or short_names([axis])[axis]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _folded(note: str) -> list[str]:
    return textwrap.wrap(f"  {note}", WIDTH, subsequent_indent="    ", break_on_hyphens=False)


def _short(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", r"\|").split())
