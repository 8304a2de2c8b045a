"""Show runs as one table (terminal, CSV, Markdown), and as JSON and JUnit XML for other programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from aisb import FinishedRun, Reporter, hookimpl

if TYPE_CHECKING:
    from aisb_reporter_summary._json import as_tables
    from aisb_reporter_summary._several import points_of
    from aisb_reporter_summary._several_table import pareto_front

__all__ = ["Csv", "Json", "Junit", "Markdown", "Text", "as_tables", "pareto_front", "points_of"]
_MODULES = {"as_tables": "_json", "points_of": "_several", "pareto_front": "_several_table"}
"""Where the parts are that other reporters build on: imported at their first use."""


@dataclass(kw_only=True)
class Text(Reporter):
    """The table as the terminal shows it."""

    default_for = frozenset({"accuracy", "several"})

    width: Annotated[int, "columns it may take; models that do not fit next to each other follow below"] = 80
    show: Annotated[bool, "print it, too"] = True

    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write `summary_<timestamp>.txt`, and print the same text."""
        from aisb_reporter_summary._table import table_text

        printed = table_text(run, _printed_width(self.width)) if self.show else None
        return self._shown(run.summary(".txt"), table_text(run, self.width), printed)

    def report_several(self, runs: Sequence[FinishedRun], folder: Path) -> Iterable[Path]:
        """Write `points.txt`, and print the same text."""
        from aisb_reporter_summary._several import points_of
        from aisb_reporter_summary._several_table import as_text

        return self._shown(folder / "points.txt", as_text(points_of(runs)))

    def _shown(self, file: Path, text: str, printed: str | None = None) -> list[Path]:
        written = [_written(file, text)]
        text = text if printed is None else printed
        if self.show:
            encoding = (
                sys.stdout.encoding or "utf-8"
            )  # a terminal without "–" shows "?" rather than a traceback
            sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
            sys.stdout.flush()
        return written


def _printed_width(width: int) -> int:
    """Return a width in columns that a narrower terminal has room for."""
    import shutil

    return (
        min(width, max(40, shutil.get_terminal_size((width, 24)).columns)) if sys.stdout.isatty() else width
    )


class Csv(Reporter):
    """The table for a spreadsheet: a column a model, then counts, intervals and bounds for each."""

    default_for = frozenset({"accuracy", "several"})

    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write `summary_<timestamp>.csv`."""
        from aisb_reporter_summary._table import as_csv

        return [_written(run.summary(".csv"), as_csv(run))]

    def report_several(self, runs: Sequence[FinishedRun], folder: Path) -> Iterable[Path]:
        """Write `points.csv`: a row for each model and task of each run, with every number."""
        from aisb_reporter_summary._several import points_of
        from aisb_reporter_summary._several_table import as_csv

        return [_written(folder / "points.csv", as_csv(points_of(runs)))]


class Markdown(Reporter):
    """The table for a pull request or an issue."""

    default_for = frozenset({"accuracy", "several"})

    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write `summary_<timestamp>.md`."""
        from aisb_reporter_summary._table import as_markdown

        return [_written(run.summary(".md"), as_markdown(run))]

    def report_several(self, runs: Sequence[FinishedRun], folder: Path) -> Iterable[Path]:
        """Write `points.md`."""
        from aisb_reporter_summary._several import points_of
        from aisb_reporter_summary._several_table import as_markdown

        return [_written(folder / "points.md", as_markdown(points_of(runs)))]


@dataclass(kw_only=True)
class Json(Reporter):
    """Everything about the run for other programs: what, where, when, and every number."""

    default_for = frozenset({"several"})

    samples: Annotated[bool, "the verdict on each answer, too"] = False

    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write `summary_<timestamp>.json`; `summary.schema.json` of this package describes it."""
        import orjson

        from aisb_reporter_summary._json import as_tables, first_scores

        table = as_tables(run)
        if self.samples:
            table["samples"] = [row for result in run.results for row in first_scores(run, result)]
        data = orjson.dumps(table, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE, default=str)
        return [_written(run.summary(".json"), data.decode())]

    def report_several(self, runs: Sequence[FinishedRun], folder: Path) -> Iterable[Path]:
        """Write `points.json`: `settings` (what differs), `series` (the curves) and `points`."""
        import orjson

        from aisb_reporter_summary._several import points_of

        table = {"schema": "aisb-points/2", **asdict(points_of(runs))}
        data = orjson.dumps(table, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE, default=str)
        return [_written(folder / "points.json", data.decode())]


@dataclass(kw_only=True)
class Junit(Reporter):
    """Each answer as a test, for continuous integration; what was not right is a failure."""

    least: Annotated[
        float | None,
        "a score in percent: one test a model and task, which fails below it, in place of answers",
    ] = None

    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write `summary_<timestamp>.xml`."""
        from aisb_reporter_summary._junit import as_junit

        file = run.summary(".xml")
        file.write_bytes(as_junit(run, self.least))
        return [file]


def _written(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8", newline="\n")
    return file


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@hookimpl
def aisb_reporters() -> dict[str, type[Reporter]]:
    """Offer the forms of the summary."""
    return {"text": Text, "csv": Csv, "markdown": Markdown, "json": Json, "junit": Junit}
