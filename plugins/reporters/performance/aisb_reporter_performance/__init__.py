"""Show how fast a run was: two tables, a certificate, other tools' numbers; and write them as files."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from aisb import hookimpl
from aisb._report import FinishedRun, Reporter

PERCENTILES = [75.0, 90.0, 99.0]


@dataclass(kw_only=True)
class Performance(Reporter):
    """How fast each model was on each task: tables, certificate, files under performances/."""

    percentiles: Annotated[list[float], "which percentiles are shown"] = field(
        default_factory=lambda: [*PERCENTILES]
    )
    dialects: Annotated[list[str], "tools whose numbers are shown beside: vllm, aiperf, …"] = field(
        default_factory=list
    )
    objectives: Annotated[dict[str, float], "upper limits in ms for goodput, as in {ttft = 500}"] = field(
        default_factory=dict
    )
    tokenizer: Annotated[
        str | None, "a tokenizer's folder: counts output tokens where the service does not, and for aiperf"
    ] = None
    spec_decode: Annotated[bool, "a table of the server's speculative decoding, too"] = False
    width: Annotated[int, "columns it may take; 0: as wide as the terminal"] = 0
    show: Annotated[bool, "print it, too"] = True

    def __post_init__(self) -> None:
        """Check what can be checked before anything is measured.

        Raises:
            UsageError: there is no such dialect, percentile, objective or tokenizer.
        """
        if self.dialects:
            from aisb_engine._performance.dialects import dialect

            for name in self.dialects:
                dialect(name)
        if self.objectives or self.percentiles != PERCENTILES:
            from aisb_engine._performance.performance import checked

            checked(self.percentiles, self.objectives)
        if self.tokenizer:
            from aisb_engine._data.tokens import load_tokenizer

            load_tokenizer(self.tokenizer)

    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write `performances/<model>/<task>…` for everything that was asked, and print the tables."""
        from aisb_engine._performance.performance import measure
        from aisb_engine._record.runfolder import RunFolder
        from aisb_reporter_performance._files import write
        from aisb_reporter_performance._text import as_text

        folder = RunFolder(run.folder)
        tools = []
        if self.dialects:
            from aisb_engine._performance.dialects import dialect

            tools = [dialect(name) for name in self.dialects]
        count_tokens = None
        if self.tokenizer:
            from aisb_engine._data.tokens import load_tokenizer

            count_tokens = load_tokenizer(self.tokenizer).count
        written: list[Path] = []
        for model, task in _asked(run):
            found = measure(
                folder,
                model,
                task,
                percentiles=self.percentiles,
                objectives=self.objectives,
                count_tokens=count_tokens,
            )
            if self.show:
                width = self.width or shutil.get_terminal_size((80, 24)).columns
                _print(as_text(found, tools, width, spec_decode=self.spec_decode))
            written += write(folder, found, tools)  # last, since a disk can be full
        return written


def _asked(run: FinishedRun) -> list[tuple[str, str]]:
    """Return the (model, task) pairs that have a log, those of the run's own order first."""
    logs = {path.parent.parts[-2:] for path in run.folder.glob("log/*/*/worker-*")}
    ranks = {name: rank for rank, name in enumerate((*run.models, *run.tasks))}
    pairs = [(model, task) for model, task in logs]
    return sorted(pairs, key=lambda pair: (*(ranks.get(name, len(ranks)) for name in pair), pair))


def _print(text: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"  # a terminal without "–" shows "?" rather than a traceback
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


@hookimpl
def aisb_reporters() -> dict[str, type[Reporter]]:
    """Offer the performance tables."""
    return {"performance": Performance}
