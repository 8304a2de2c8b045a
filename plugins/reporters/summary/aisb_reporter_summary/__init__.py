"""Show a run as one table (terminal, CSV, Markdown), and as JSON and JUnit XML for other programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from aisb import FinishedRun, Reporter, hookimpl

if TYPE_CHECKING:
    from aisb_reporter_summary._json import as_tables

__all__ = ["Csv", "Json", "Junit", "Markdown", "Text", "as_tables"]


@dataclass(kw_only=True)
class Text(Reporter):
    """The table as the terminal shows it."""

    default_for = frozenset({"accuracy"})

    width: Annotated[int, "columns it may take; models that do not fit beside each other follow below"] = 80
    show: Annotated[bool, "print it, too"] = True

    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write `summary_<timestamp>.txt`, and print the same text."""
        from aisb_reporter_summary._table import as_text

        text = as_text(run, self.width)
        written = [_written(run.summary(".txt"), text)]
        if self.show:
            encoding = (
                sys.stdout.encoding or "utf-8"
            )  # a terminal without "–" shows "?" rather than a traceback
            sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
            sys.stdout.flush()
        return written


class Csv(Reporter):
    """The table for a spreadsheet: a column a model, then counts, intervals and bounds for each."""

    default_for = frozenset({"accuracy"})

    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write `summary_<timestamp>.csv`."""
        from aisb_reporter_summary._table import as_csv

        return [_written(run.summary(".csv"), as_csv(run))]


class Markdown(Reporter):
    """The table for a pull request or an issue."""

    default_for = frozenset({"accuracy"})

    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write `summary_<timestamp>.md`."""
        from aisb_reporter_summary._table import as_markdown

        return [_written(run.summary(".md"), as_markdown(run))]


@dataclass(kw_only=True)
class Json(Reporter):
    """Everything about the run for other programs: what, where, when, and every number."""

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
    """Return `as_tables`, what the JSON file holds of a run, from where it is dear to import."""
    if name == "as_tables":
        from aisb_reporter_summary._json import as_tables

        return as_tables
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@hookimpl
def aisb_reporters() -> dict[str, type[Reporter]]:
    """Offer the forms of the summary."""
    return {"text": Text, "csv": Csv, "markdown": Markdown, "json": Json, "junit": Junit}
