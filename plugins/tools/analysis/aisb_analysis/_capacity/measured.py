"""A real service: each load is an ordinary run in a subfolder of the search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

import aisb
from aisb import UsageError
from aisb_analysis._capacity.loads import LAG_SHARE, MIN_LAG_MS, Limit, LoadPoint, MeasuredLoad, max_lag
from aisb_engine import open_finished_run, write_atomically

if TYPE_CHECKING:
    from aisb import FinishedRun, PerformanceResult

MAX_PROMPTS = 20_000
POINTS_FILE = "points.jsonl"
LAG = "loop lag"
CLIENT_SIGNALS = frozenset({LAG, "client CPU", "lateness"})
"""Signals of the certificate which show that the client is the bottleneck."""


class MeasuredService:
    """Measures loads with runs below `folder`, and records each in a line, so that a search can be resumed.

    A search with the same results measures the same loads, so stored points are reused in order as long as
    their loads match. `lag_ms` is the strictest limit so far on the event-loop lag of the client.
    """

    def __init__(
        self,
        folder: Path,
        models: Mapping[str, Mapping[str, Any]],
        tasks: Mapping[str, Mapping[str, Any]],
        *,
        limits: Sequence[Limit],
        synthetic: bool = True,
        launcher: str | None = None,
        data_dir: Path | None = None,
    ) -> None:
        self._folder = folder
        self._models, self._tasks = models, tasks
        self._synthetic = synthetic
        self._limits = limits
        self._launcher = launcher
        self._data_dir = data_dir
        self._number = 0
        self._kept = _read_points(folder / POINTS_FILE)
        self._drop_distorted()
        self.lag_ms: float | None = None

    @property
    def runs(self) -> list[Path]:
        """The folders of the runs, in the order of the search."""
        return [self._folder / one["run"] for one in self._kept]

    @property
    def lag_line(self) -> str:
        """A sentence on the event-loop lag from which points were discarded; empty without such a limit."""
        if self.lag_ms is None:
            return ""
        return (
            f"points with more than {self.lag_ms:.3g} ms of event-loop lag on the client were discarded "
            f"({100 * LAG_SHARE:.0f} % of the tightest latency objective, at least {MIN_LAG_MS:.0f} ms)"
        )

    def _drop_distorted(self) -> None:
        """Remove the discarded points at the end of the stored ones: a resumed search measures them again."""
        while self._kept and self._stored_distortion(self._kept[-1]):
            self._kept.pop()

    def _stored_distortion(self, kept: Mapping[str, Any]) -> str:
        """Return why a stored point was discarded. Older searches did not store it."""
        for key in ("distortion", "spoiled"):  # the second is the name of earlier versions
            if key in kept:
                return str(kept[key])
        ((_, result),) = open_finished_run(self._folder / kept["run"]).performance.items()
        return _distortion(result, None)

    def measure(self, load: MeasuredLoad) -> LoadPoint:
        """Run one load, or read its run if an interrupted search has stored it."""
        self._number += 1
        kept = self._kept[self._number - 1] if self._number <= len(self._kept) else None
        if kept is not None and kept["load"] == _table(load):
            point = self._point(load, open_finished_run(self._folder / kept["run"]))
            return replace(point, distortion=self._stored_distortion(kept))
        self._kept = self._kept[: self._number - 1]
        finished = aisb.run(
            self._models,
            self._tasks_of(load),
            mode="perf",
            load=self._load_table(load),
            launcher=self._launcher,
            work_dir=self._folder,
            data_dir=self._data_dir,
        )
        point = self._point(load, finished)
        self._kept.append({"load": _table(load), "run": finished.folder.name, "distortion": point.distortion})
        lines = b"".join(orjson.dumps(one) + b"\n" for one in self._kept)
        write_atomically(self._folder / POINTS_FILE, lines)
        return point

    def _tasks_of(self, load: MeasuredLoad) -> Mapping[str, Mapping[str, Any]]:
        """Return the tasks with enough synthetic prompts, none of which occurs twice in the search."""
        if not self._synthetic:
            return self._tasks
        most = max(1000, ceil(load.length * (2 * load.rate if load.rate else 50 * (load.users or 1))))
        options = {"requests": min(most, MAX_PROMPTS), "seed": self._number}
        return {
            name: {**task, "dataset": {**task.get("dataset", {}), **options}}
            for name, task in self._tasks.items()
        }

    def _load_table(self, load: MeasuredLoad) -> dict[str, Any]:
        """Return the load in the form of `[load]`."""
        if load.users is not None:
            # With one retry a user waits after a 429; without, it would send thousands of refused requests.
            return {"concurrency": load.users, "duration": load.length, "retries": 1, "seed": self._number}
        return {
            "request_rate": load.rate,
            "arrival": "poisson",
            "duration": load.length,
            "seed": self._number,
        }

    def _point(self, load: MeasuredLoad, finished: FinishedRun) -> LoadPoint:
        ((_, result),) = finished.performance.items()
        requests = result.requests()
        start = float(np.nanmin(requests["sent_ns"])) if len(requests["ok"]) else 0.0
        planned = requests["planned_ns"]
        began = (np.where(np.isnan(planned), requests["sent_ns"], planned) - start) / 1e9
        began = began - min(0.0, float(np.nanmin(began))) if len(began) else began
        columns = [limit.column for limit in self._limits if limit.milliseconds is not None]
        numbers = {name: np.asarray(requests[name], float) for name in columns}
        if "tpot" in numbers:  # a reply of one token has no time between tokens
            numbers["tpot"] = np.where(requests["output_tokens"] <= 1, 0.0, numbers["tpot"])
        failed = ~np.asarray(requests["ok"], bool)
        e2e = np.where(failed, (requests["done_ns"] - requests["sent_ns"]) / 1e6, requests["e2el"]) / 1000
        throttled = np.array(["429" in text for text in requests["failure"]], bool) & failed
        return LoadPoint(
            load,
            began,
            np.nan_to_num(e2e),
            numbers,
            failed,
            throttled,
            max(load.length, (result.stages[0].totals.duration_ms or 0.0) / 1000),
            distortion=_distortion(result, self._max_lag(requests)),
            folder=finished.folder.name,
        )

    def _max_lag(self, requests: Mapping[str, Any]) -> float | None:
        """Return the lag that the requests of a point allow, and keep the strictest so far."""
        lengths = np.asarray(requests["output_tokens"], float)[np.asarray(requests["ok"], bool)]
        lag = max_lag(self._limits, float(np.median(lengths)) if len(lengths) else 1.0)
        if lag is not None:
            self.lag_ms = min(self.lag_ms or lag, lag)
        return lag


def _distortion(result: PerformanceResult, most: float | None) -> str:
    """Return how the client distorted a result; empty if it did not.

    `most` is the limit on its event-loop lag in milliseconds; None: that of the certificate.
    """
    by_certificate = CLIENT_SIGNALS if most is None else CLIENT_SIGNALS - {LAG}
    reasons = [
        one.reason
        for one in result.certificate.signals
        if one.verdict == "INVALID" and one.name in by_certificate
    ]
    lag = (result.client_health or {}).get("lag_stable")
    if most is not None and lag is not None and lag > most:
        reasons.append(
            f"the client's event loop lagged by {lag:.1f} ms (limit {most:.3g} ms with these objectives)"
        )
    return "; ".join(reasons)


def _table(load: MeasuredLoad) -> dict[str, Any]:
    return {"seconds": load.seconds, "users": load.users, "rate": load.rate, "warm": load.warm}


def stored_names(folder: Path) -> tuple[str, str] | None:
    """Return the model and the task of the stored runs of a search; None if it has none.

    A resumed search keeps them. Older versions had fixed names.
    """
    for kept in _read_points(folder / POINTS_FILE):
        for model, task in open_finished_run(folder / kept["run"]).performance:
            return model, task
    return None


def _read_points(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    try:
        return [orjson.loads(line) for line in path.read_bytes().splitlines()]
    except ValueError as error:
        raise UsageError(f"{path} is damaged: {error}; start again without --reuse") from error
