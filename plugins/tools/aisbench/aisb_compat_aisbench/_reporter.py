"""The reporter `aisbench`: a run in the files that AISBench writes, for scripts that read those."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from aisb import FinishedRun, Percentiles, ReplyTokenizer, Reporter

FOLDER = "aisbench"
"""Where the files stand in a run of `aisb`, whose own files have the usual places."""


@dataclass(kw_only=True)
class AisBench(Reporter):
    """The files that AISBench writes: predictions, results, performances and summary, under its names.

    A run of `ais_bench` has them in the usual places, a run of `aisb` in a folder `aisbench`.
    """

    abbrs: Annotated[
        dict[str, Any], "abbreviations that are others than usual: by task, or by task and group"
    ] = field(default_factory=dict)
    extract_rate: Annotated[bool, "in how many replies an answer was found, in results/, too"] = False
    spec_decode: Annotated[bool, "performances/spec_decode_<host>_<port>.json, too"] = False
    stage: Annotated[str, "the stage of a performance run that is written: total or stable"] = "total"
    percentiles: Annotated[list[float], "which percentiles are written", Percentiles] = field(
        default_factory=lambda: [75.0, 90.0, 99.0]
    )
    tokenizer: Annotated[
        str | None, "a tokenizer's folder: counts output tokens where the service does not", ReplyTokenizer
    ] = None
    show: Annotated[bool, "print the tables, too"] = True

    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write the files, and print the tables that AISBench prints."""
        folder = run.folder if (run.folder / "aisb").is_dir() else run.folder / FOLDER
        if run.is_performance:
            from aisb_compat_aisbench._speeds import write_speeds

            return write_speeds(self, run, folder)
        from aisb_compat_aisbench._answers import write_answers

        return write_answers(self, run, folder)
