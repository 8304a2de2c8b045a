"""Show a performance run as plots: requests, concurrency, rates and latencies, in pages of one file each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from aisb import hookimpl
from aisb._report import FinishedRun, Reporter


@dataclass(kw_only=True)
class Plots(Reporter):
    """Requests, concurrency, rates and latencies over time: pages that open without a network."""

    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write `performances/<model>/<task>_plot.html` and `…_rps_distribution_plot.html` for every log."""
        from aisb_engine._performance.performance import measure_for_run
        from aisb_engine._record.runfolder import RunFolder, write_atomically
        from aisb_reporter_plots._page import pages

        folder = RunFolder(run.folder)
        written = []
        for model, task in sorted({path.parent.parts[-2:] for path in run.folder.glob("log/*/*/worker-*")}):
            base = folder.performances(model, task)
            found = measure_for_run(folder, model, task)
            for ending, page in pages(found, run.timestamp, base.name):
                file = base.with_name(base.name + ending)
                write_atomically(file, page)
                written.append(file)
        return written


@hookimpl
def aisb_reporters() -> dict[str, type[Reporter]]:
    """Offer the plots."""
    return {"plots": Plots}
