"""Show a performance run as plots: requests, concurrency, rates and latencies, in pages of one file each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aisb import FinishedRun, Reporter, hookimpl

if TYPE_CHECKING:
    from aisb_reporter_plots._data import pack_rates, pack_requests, place_requests
    from aisb_reporter_plots._page import embed, fill, frame, page_part, pages, plotly_bundle

__all__ = [
    "Plots",
    "embed",
    "fill",
    "frame",
    "pack_rates",
    "pack_requests",
    "page_part",
    "pages",
    "place_requests",
    "plotly_bundle",
]
_MODULES = {
    "_data": ("pack_rates", "pack_requests", "place_requests"),
    "_page": ("embed", "fill", "frame", "page_part", "pages", "plotly_bundle"),
}
"""The places of names for other reporters, which are imported at their first use."""


@dataclass(kw_only=True)
class Plots(Reporter):
    """Requests, concurrency, rates and latencies over time: pages that open without a network."""

    default_for = frozenset({"performance"})

    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write `performances/<model>/<task>_plot.html` and `…_rps_distribution_plot.html` for every log."""
        from aisb.helpers import write_file
        from aisb_reporter_plots._page import pages

        written = []
        for (model, task), result in run.performance.items():
            base = run.folder / "performances" / model / task
            for ending, page in pages(result, run.timestamp, base.name):
                file = base.with_name(base.name + ending)
                write_file(file, page)
                written.append(file)
        return written


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@hookimpl
def aisb_reporters() -> dict[str, type[Reporter]]:
    """Declare the plots."""
    return {"plots": Plots}
