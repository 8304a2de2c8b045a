"""The reporter `aisbench`: write a run in AISBench's files, for scripts that read those."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from aisb import FinishedRun, Percentiles, ReplyTokenizer, Reporter

FOLDER = "aisbench"
"""The folder of the files in a run of `aisb`, whose own files have the usual paths."""


@dataclass(kw_only=True)
class AisBench(Reporter):
    """Writes AISBench's files under their names: predictions, results, performances and summary.

    A run of `ais_bench` has them at the usual paths, a run of `aisb` in a folder `aisbench`.
    """

    abbrs: Annotated[
        dict[str, Any], "other abbreviations than the usual ones: by task, or by task and group"
    ] = field(default_factory=dict)
    extract_rate: Annotated[bool, "also write to results/ the share of replies with an answer"] = False
    spec_decode: Annotated[bool, "performances/spec_decode_<host>_<port>.json, too"] = False
    stage: Annotated[str, "the stage of a performance run to write: total or stable"] = "total"
    percentiles: Annotated[list[float], "percentiles to write", Percentiles] = field(
        default_factory=lambda: [75.0, 90.0, 99.0]
    )
    tokenizer: Annotated[
        str | None, "folder of a tokenizer that counts output tokens if the service does not", ReplyTokenizer
    ] = None
    show: Annotated[bool, "also print the tables"] = True

    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write the files, and print AISBench's tables."""
        folder = run.folder if (run.folder / "aisb").is_dir() else run.folder / FOLDER
        if run.is_performance:
            from aisb_compat_aisbench._speeds import write_speeds

            return write_speeds(self, run, folder)
        from aisb_compat_aisbench._answers import write_answers

        return write_answers(self, run, folder)
