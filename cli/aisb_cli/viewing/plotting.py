"""The plots of a performance run as pages, made when they are first opened, by the reporter `plots`."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING

from aisb import AisbError

if TYPE_CHECKING:
    from aisb import FinishedRun

NAME = "plots"
FIRST = "plots_plot.html"
"""The page with requests, latencies, tokens and numbers in flight; it has a link to the one of rates."""
CACHED_PAGES = 4
"""How many subtasks' pages are kept in memory; one has some megabytes."""
INSTALL = "pip install 'aisb[pages]'"


class PlotPages:
    """Makes pages of plots, and keeps the latest."""

    def __init__(self) -> None:
        self._lock = Lock()  # measuring twice at once would take twice the memory
        self._pages: OrderedDict[tuple[object, str, str], dict[str, bytes]] = OrderedDict()

    def page(self, run: FinishedRun, state: object, model: str, task: str, file: str) -> bytes | None:
        """Return a page of a subtask, made again when `state` differs; None if there is no such page.

        Raises:
            AisbError: the reporter is not installed, or the run's log is damaged.
        """
        try:
            from aisb_reporter_plots import pages
        except ImportError as error:
            raise AisbError(
                f"the plots are drawn by aisb-reporter-plots, which is not installed: {INSTALL}"
            ) from error

        if (model, task) not in run.performance:
            return None
        key = (state, model, task)
        with self._lock:
            if key not in self._pages:
                pages_made = pages(run.performance[model, task], run.timestamp, NAME)
                self._pages[key] = {f"{NAME}{ending}": page for ending, page in pages_made}
                while len(self._pages) > CACHED_PAGES:
                    self._pages.popitem(last=False)
            self._pages.move_to_end(key)
            return self._pages[key].get(file)
