"""What a reporter subclasses, and a finished run as it is read from its folder to be shown.

Only reporters know how things look. They read what scoring left in `results/<model>/<task>.json`; nothing is
computed again here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aisb._errors import RunError
from aisb._types import OUTCOMES, Metric, Outcome

AVERAGES = frozenset(("naive_average", "weighted_average"))
"""The metrics of a grouped task that are over all of its groups."""


@dataclass(frozen=True, slots=True)
class Result:
    """What scoring found for one model on one task.

    `outcomes` has a count for every outcome, and they add up to `asked`; `not_asked_yet` are those that an
    interrupted run left over. `first_error` is the first request that failed, or whose answer could not be
    graded, and its log, whose path begins in the run folder. `bounds` are the headline in percent with
    everything unclear taken as wrong, and with everything unclear left out. `merge` asks for one row for all
    groups. `faults` say what plugins raised while answers were graded and summed up. `file` may also hold
    `details`.
    """

    model: str
    task: str
    version: str
    mode: str
    file: Path
    variant: str | None = None
    metrics: tuple[Metric, ...] = ()
    outcomes: Mapping[Outcome, int] = field(default_factory=dict)
    bounds: tuple[float, float] | None = None
    asked: int = 0
    not_asked_yet: int = 0
    failed: int = 0
    first_error: tuple[str, str] | None = None
    merge: bool = False
    faults: tuple[str, ...] = ()

    @property
    def unclear(self) -> int:
        """How many samples ended neither right nor wrong."""
        return sum(count for outcome, count in self.outcomes.items() if outcome not in ("correct", "wrong"))

    @property
    def headline(self) -> Metric | None:
        """The one number that outcomes and bounds stand beside: the plainest over all samples."""
        overall = [metric for _, metric in self.rows() if metric.group is None]
        plain = [metric for metric in overall if metric.name in ("accuracy", "weighted_average")]
        return next(iter([*plain, *overall]), None)

    def rows(self) -> list[tuple[str, Metric]]:
        """Return this result's rows in a table, each with its name: groups, then what is over all of them.

        With `merge`, groups and their averages give way to the one number over all samples.
        """
        groups = [
            (f"{self.task}-{metric.group}", metric) for metric in self.metrics if metric.group is not None
        ]
        overall = {metric.name: (self.task, metric) for metric in self.metrics if metric.group is None}
        if groups and self.merge and "accuracy" in overall:
            return [row for name, row in overall.items() if name not in AVERAGES]
        if groups and AVERAGES & overall.keys():
            overall.pop("accuracy", None)  # it is the weighted average
        return groups + list(overall.values())


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run folder, read for showing. Models, tasks and results stand in the order of the run.

    `unscored` are the (model, task) pairs that the run was to score and that have no result.
    """

    folder: Path
    timestamp: str
    models: tuple[str, ...]
    tasks: tuple[str, ...]
    results: tuple[Result, ...]
    unscored: tuple[tuple[str, str], ...] = ()

    @classmethod
    def read(cls, folder: Path) -> FinishedRun:
        """Read a run folder. Raise `RunError` when it is none, or when a result in it is broken."""
        if not (folder / "configs").is_dir() and not (folder / "results").is_dir():
            reason = "has neither configs/ nor results/" if folder.is_dir() else "does not exist"
            raise RunError(
                f"{folder} is no run folder: it {reason}\n"
                f"  give the folder of one run, such as outputs/default/20261121_220301"
            )
        results = [_read_result(file) for file in sorted(folder.glob("results/*/*.json"))]
        found = {(result.model, result.task): result for result in results}
        asked = _asked(folder)
        pairs = list(dict.fromkeys([*asked, *found]))
        return cls(
            folder=folder,
            timestamp=folder.resolve().name,
            models=tuple(dict.fromkeys(model for model, _ in pairs)),
            tasks=tuple(dict.fromkeys(task for _, task in pairs)),
            results=tuple(found[pair] for pair in pairs if pair in found),
            unscored=tuple(pair for pair in pairs if pair not in found),
        )

    def summary(self, suffix: str) -> Path:
        """Return the path of a summary file, its folder made: `summary/summary_<timestamp><suffix>`."""
        file = self.folder / "summary" / f"summary_{self.timestamp}{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        return file


class Reporter(ABC):
    """Shows a finished run."""

    @abstractmethod
    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write or print what is shown, and return the files written."""


def _asked(folder: Path) -> list[tuple[str, str]]:
    """Read which (model, task) pairs the run was to score, in order; none where no configuration says it."""
    import tomllib

    file = folder / "configs" / f"{folder.resolve().name}.toml"
    try:
        config = tomllib.loads(file.read_text("utf-8"))
        tasks = config.get("tasks", {})
        pairs = [(pair["model"], pair["task"]) for pair in config.get("subtasks", [])]
        return [pair for pair in pairs if tasks.get(pair[1], {}).get("evaluate", True)]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise RunError(
            f"{file} is broken: {error}\n  it says what the run was asked for: restore it, or start a new run"
        ) from error


def _read_result(file: Path) -> Result:
    import json

    try:
        return _result(file, json.loads(file.read_bytes()))
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        timestamp = file.parents[2].resolve().name
        raise RunError(
            f"{file} is no result: {reason}\n  score the run again: aisb run --mode eval --reuse {timestamp}"
        ) from error


def _result(file: Path, data: Mapping[str, Any]) -> Result:
    known = ("name", "value", "low", "high", "unit", "count", "group", "better")
    bounds = data.get("bounds")
    error = data.get("first_error")
    return Result(
        model=data["model"],
        task=data["task"],
        version=data["version"],
        mode=data["mode"],
        file=file,
        variant=data.get("variant"),
        metrics=tuple(
            Metric(**{key: value for key, value in metric.items() if key in known})
            for metric in data["metrics"]
        ),
        outcomes={outcome: data.get("outcomes", {}).get(outcome, 0) for outcome in OUTCOMES},
        bounds=(bounds[0], bounds[1]) if bounds else None,
        asked=data.get("asked", 0),
        not_asked_yet=data.get("not_asked_yet", 0),
        failed=data.get("failed", 0),
        first_error=(error["request"], error["log"]) if error else None,
        merge=data.get("merge", False),
        faults=tuple(data.get("faults", ())),
    )
