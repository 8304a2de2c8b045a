"""Facts about a run that all formats need: its subtasks, its times, and the measured services."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from aisb import FinishedRun, PerformanceResult, Result

NS_PER_S = 1_000_000_000


class Subtask(NamedTuple):
    """One model on one task: its scores and its measurements, None if it has none."""

    model: str
    task: str
    result: Result | None
    performance: PerformanceResult | None


class RunTimes(NamedTuple):
    """The start and the end of a run in wall-clock time; None if they are unknown."""

    start: datetime | None
    end: datetime | None

    @property
    def start_ns(self) -> int:
        """The start in nanoseconds since 1970; 0 if it is unknown."""
        return _nanoseconds(self.start)

    @property
    def end_ns(self) -> int:
        """The end in nanoseconds since 1970; the start if it is unknown."""
        return _nanoseconds(self.end) or self.start_ns


def subtasks(run: FinishedRun) -> list[Subtask]:
    """Return the models and tasks of a run that were sent or scored, in its order."""
    results = {(result.model, result.task): result for result in run.results}
    pairs = dict.fromkeys([*run.performance, *results])
    return [Subtask(*pair, results.get(pair), run.performance.get(pair)) for pair in pairs]


def run_times(run: FinishedRun) -> RunTimes:
    """Return when a run began and ended, from its manifest."""
    sessions = run.manifest.get("sessions") or [{}]
    return RunTimes(_moment(sessions[0].get("started")), _moment(sessions[-1].get("ended")))


def aisb_version(run: FinishedRun) -> str:
    """Return the version of aisb that made a run."""
    return str(run.manifest.get("aisb") or "unknown")


def backend_of(run: FinishedRun, model: str) -> str:
    """Return the backend of a model."""
    return str(run.configuration.get("models", {}).get(model, {}).get("backend") or "unknown")


def served_name(run: FinishedRun, model: str) -> str:
    """Return the name of the model that the service serves; if it is unknown, the name in the run."""
    options = run.configuration.get("models", {}).get(model, {}).get("options", {})
    known = run.manifest.get("models", {}).get(model, {}).get("served")
    return str(known or options.get("model") or model)


def server_address(run: FinishedRun, model: str) -> tuple[str, int | None] | None:
    """Return host and port of the service of a model; None if it has none."""
    parts = urlsplit(str(run.manifest.get("models", {}).get(model, {}).get("url") or ""))
    return (parts.hostname, parts.port) if parts.hostname else None


def parameters(run: FinishedRun, subtask: Subtask) -> Mapping[str, Any]:
    """Return the generation parameters that were sent for a model and task."""
    for table in run.configuration.get("subtasks", ()):
        if (table.get("model"), table.get("task")) == (subtask.model, subtask.task):
            return {**table.get("params", {}), **table.get("forced", {})}
    return {}


def _moment(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _nanoseconds(moment: datetime | None) -> int:
    return 0 if moment is None else round(moment.timestamp() * 1000) * (NS_PER_S // 1000)
