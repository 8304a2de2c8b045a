"""The summary of a run in AISBench's formats: `summary_<timestamp>.txt`, `.csv` and `.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from aisb import FinishedRun
from aisb.helpers import csv_cell, write_file

LABELS = ("dataset", "version", "metric", "mode")
WIDE = 128
DIVIDER = f"{'-' * WIDE} THIS IS A DIVIDER {'-' * WIDE}"
TOP, BOTTOM = "^" * WIDE, "$" * WIDE


class SummaryLine(NamedTuple):
    """One number with its data set, metric and model."""

    abbr: str
    version: str
    metric: str
    mode: str
    model: str
    value: float | None


def write_summary(folder: Path, run: FinishedRun, lines: Sequence[SummaryLine]) -> Iterator[Path]:
    """Write the three forms of the summary."""
    table = _table(run, lines)
    base = folder / "summary" / f"summary_{run.timestamp}"
    csv = "\n".join(",".join(str(csv_cell(cell)) for cell in row) for row in table)
    content = {
        ".txt": _text(run, table, csv, lines),
        ".csv": f"{csv}\n",
        ".md": _markdown(table),
    }
    for ending, text in content.items():
        path = base.with_name(base.name + ending)
        write_file(path, text.encode())
        yield path


def print_summary(run: FinishedRun, lines: Sequence[SummaryLine]) -> None:
    """Print the table as a grid, then in Markdown, as AISBench does."""
    table = _table(run, lines)
    text = f"{_grid(table)}\n\n\nThe markdown format results is as below:\n\n{_markdown(table)}"
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


def _table(run: FinishedRun, lines: Sequence[SummaryLine]) -> list[list[str]]:
    rows: dict[tuple[str, str, str, str], dict[str, str]] = {}
    for line in lines:
        cells = rows.setdefault(line[:4], {})
        cells[line.model] = "-" if line.value is None else f"{line.value:.2f}"
    return [
        [*LABELS, *run.models],
        *([*labels, *(cells.get(model, "-") for model in run.models)] for labels, cells in rows.items()),
    ]


def _text(run: FinishedRun, table: list[list[str]], csv: str, lines: Sequence[SummaryLine]) -> str:
    blocks = [
        *(run.timestamp, "tabulate format", TOP, _grid(table), BOTTOM, ""),
        *(DIVIDER, "", "csv format", TOP, csv, BOTTOM, ""),
        *("markdown format", TOP, _markdown(table), BOTTOM, DIVIDER, ""),
        *("raw format", TOP, *_raw(run, lines), BOTTOM),
    ]
    return "\n".join(blocks) + "\n"


def _raw(run: FinishedRun, lines: Sequence[SummaryLine]) -> Iterator[str]:
    """Yield the unformatted numbers by model and data set."""
    for model in run.models:
        yield "-" * 31
        yield f"Model: {model}"
        found: dict[str, dict[str, Any]] = {}
        for line in lines:
            if line.model == model:
                found.setdefault(line.abbr, {})[line.metric] = line.value
        yield from (f"{abbr}: {metrics}" for abbr, metrics in found.items())


def _grid(table: list[list[str]]) -> str:
    from tabulate import tabulate

    return str(tabulate(table, headers="firstrow", floatfmt=".2f"))


def _markdown(table: list[list[str]]) -> str:
    head, *rows = table
    lines = [_row(head), f"|{' | '.join(['-----'] * len(head))}|", *map(_row, rows)]
    return "".join(f"{line}\n" for line in lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
