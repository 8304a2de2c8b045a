"""Show how fast a run was: a headline, tables, other tools' numbers; and write them as files."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from aisb import Dialects, FinishedRun, Objectives, Percentiles, ReplyTokenizer, Reporter, hookimpl

if TYPE_CHECKING:
    from aisb_reporter_performance._files import common_metrics, details, parameters_rows

__all__ = ["Performance", "common_metrics", "details", "parameters_rows"]


@dataclass(kw_only=True)
class Performance(Reporter):
    """How fast each model was on each task: certificate, headline, files under performances/."""

    default_for = frozenset({"performance"})

    percentiles: Annotated[list[float], "percentiles to show", Percentiles] = field(
        default_factory=lambda: [75.0, 90.0, 99.0]
    )
    dialects: Annotated[list[str], "tools whose numbers are also shown: vllm, aiperf, …", Dialects] = field(
        default_factory=list
    )
    objectives: Annotated[
        dict[str, float | str], "limits for goodput, as in {ttft = 500, tpot = '0.05s'}", Objectives
    ] = field(default_factory=dict)
    tokenizer: Annotated[
        str | None,
        "folder of a tokenizer that counts output tokens if the service does not, and for aiperf",
        ReplyTokenizer,
    ] = None
    tables: Annotated[bool, "also print all tables below the headline"] = False
    spec_decode: Annotated[bool, "also print a table of the server's speculative decoding"] = False
    width: Annotated[int, "maximum width in columns; 0: the width of the terminal"] = 0
    show: Annotated[bool, "also print it"] = True

    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write `performances/<model>/<task>…` for everything that was asked, and print the headline.

        What is measured follows from the options in the run's configuration, the same for all reporters.
        """
        from aisb_reporter_performance._files import write_files
        from aisb_reporter_performance._text import result_text

        written: list[Path] = []
        for result in run.performance.values():
            dialects = [result.dialect(name) for name in self.dialects]
            if self.show:
                width = self.width or shutil.get_terminal_size((80, 24)).columns
                _print(result_text(result, dialects, width, tables=self.tables, spec_decode=self.spec_decode))
            written += write_files(run.folder, result, dialects)  # last, since the disk may be full
        return written


def __getattr__(name: str) -> Any:
    """Return what files hold of a result, from where it is dear to import."""
    if name in ("common_metrics", "details", "parameters_rows"):
        from aisb_reporter_performance import _files

        return getattr(_files, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _print(text: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"  # a terminal without "–" shows "?" rather than a traceback
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


@hookimpl
def aisb_reporters() -> dict[str, type[Reporter]]:
    """Declare the performance tables."""
    return {"performance": Performance}
