"""Show one run or several as a self-contained page: scores, samples, plots, loads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from aisb import FinishedRun, Reporter, hookimpl

if TYPE_CHECKING:
    from aisb_reporter_html._one_sample import SampleAnswer, pack_sample
    from aisb_reporter_html._page import page, web_file
    from aisb_reporter_html._texts import turns

__all__ = ["Html", "SampleAnswer", "pack_sample", "page", "turns", "web_file"]
_MODULES = {
    "SampleAnswer": "_one_sample",
    "pack_sample": "_one_sample",
    "page": "_page",
    "turns": "_texts",
    "web_file": "_page",
}
"""Where the parts are that other pages build on: imported at their first use."""


@dataclass(kw_only=True)
class Html(Reporter):
    """A self-contained page with scores, samples and plots, without network requests."""

    default_for = frozenset({"several"})

    megabytes: Annotated[
        float, "maximum size of the page for up to 10,000 answers; long texts are cut until it fits"
    ] = 6.0
    notes: Annotated[list[str], "lines at the top of the page of several runs"] = field(default_factory=list)
    heading: Annotated[str, "title of the page of several runs; default: their models and tasks"] = ""

    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write `summary_<timestamp>.html`."""
        from aisb.helpers import write_file
        from aisb_reporter_html._page import page

        file = run.summary(".html")
        write_file(file, page(run, int(self.megabytes * 1e6)))
        return [file]

    def report_several(self, runs: Sequence[FinishedRun], folder: Path) -> Iterable[Path]:
        """Write `points.html`: throughput against latency, percentiles by load, a table of all numbers."""
        from aisb.helpers import write_file
        from aisb_reporter_html._page import page_of_several

        file = folder / "points.html"
        write_file(file, page_of_several(runs, self.notes, self.heading))
        return [file]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@hookimpl
def aisb_reporters() -> dict[str, type[Reporter]]:
    """Declare the page."""
    return {"html": Html}
