"""Show a run as one page that opens without a network: scores, every sample, and the plots."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from aisb import FinishedRun, Reporter, hookimpl


@dataclass(kw_only=True)
class Html(Reporter):
    """One page of everything: scores, samples, plots; a file that asks no host for anything."""

    megabytes: Annotated[
        float, "how large the page of up to 10,000 answers may be; longer texts are cut until it fits"
    ] = 6.0
    beside: Annotated[
        list[str], "other performance runs (paths), shown with it in throughput and latency"
    ] = field(default_factory=list)

    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write `summary_<timestamp>.html`."""
        from aisb.helpers import write_file
        from aisb_reporter_html._page import page

        file = run.summary(".html")
        others = [run.open(Path(other)) for other in self.beside]
        write_file(file, page(run, others, int(self.megabytes * 1e6)))
        return [file]


@hookimpl
def aisb_reporters() -> dict[str, type[Reporter]]:
    """Offer the page."""
    return {"html": Html}
