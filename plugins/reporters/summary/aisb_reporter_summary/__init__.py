"""Show a run as one table: in the terminal and a text file, as CSV, as Markdown."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from aisb import hookimpl
from aisb.report import FinishedRun, Reporter


@dataclass(kw_only=True)
class Text(Reporter):
    """The table as the terminal shows it."""

    width: Annotated[int, "columns it may take; models that do not fit beside each other follow below"] = 80
    show: Annotated[bool, "print it, too"] = True

    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write `summary_<timestamp>.txt`, and print the same text."""
        from aisb_reporter_summary.table import as_text

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

    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write `summary_<timestamp>.csv`."""
        from aisb_reporter_summary.table import as_csv

        return [_written(run.summary(".csv"), as_csv(run))]


class Markdown(Reporter):
    """The table for a pull request or an issue."""

    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write `summary_<timestamp>.md`."""
        from aisb_reporter_summary.table import as_markdown

        return [_written(run.summary(".md"), as_markdown(run))]


def _written(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8", newline="\n")
    return file


@hookimpl
def aisb_reporters() -> dict[str, type[Reporter]]:
    """Offer the three forms of the summary."""
    return {"text": Text, "csv": Csv, "markdown": Markdown}
