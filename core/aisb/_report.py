"""What a reporter subclasses, and a finished run as plain values.

Only reporters know how things look. What they show was scored and measured before; nothing is computed again.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

from aisb._errors import AisbError, RunError, StorageError
from aisb._performance import PerformanceResult
from aisb._types import Metric, Outcome, Row

RunKind: TypeAlias = Literal["accuracy", "performance", "several"]
"""What a reporter shows: one run of either kind, or several performance runs together."""

AVERAGES = frozenset(("naive_average", "weighted_average"))
"""The metrics of a grouped task that are over all of its groups."""


@dataclass(frozen=True, slots=True)
class Result:
    """What scoring found for one model on one task.

    `version` is the task's (six hexadecimal digits), `variant` the variant of it that was asked, and `mode`
    how it asks: `gen` or `logprob`. `outcomes` has a count for every outcome, and they add up to `asked`;
    `not_asked_yet` are those that an interrupted run left over. `first_error` is the first request that
    failed, or whose answer could not be graded, and its log, whose path begins in the run folder. `bounds`
    are the headline in percent with everything unclear taken as wrong, and with everything unclear left out.
    `merge` asks for one row for all groups. `faults` say what plugins raised while answers were graded and
    summed up, `doubts` why the headline may be another. `trial` are the keys of rules that are not the task's
    own: how a trial scored it; empty where its own rules did. `file` may also hold `details`.
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
    trial: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def unclear(self) -> int:
        """How many samples ended neither correct nor wrong."""
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


class Rows(list[Row]):
    """Plain rows: a list of mappings with the same keys."""

    def to_pandas(self) -> Any:
        """Return the rows as a `pandas.DataFrame`. Raise `AisbError` where pandas is not installed."""
        try:
            return import_module("pandas").DataFrame(list(self))
        except ImportError:
            raise AisbError("to_pandas() needs pandas: pip install pandas") from None


class RunSource(Protocol):
    """Reads the files of a run; the engine gives one to each `FinishedRun`."""

    def rows(
        self, kind: Literal["scores", "requests", "samples"], model: str | None, task: str | None
    ) -> Iterable[Row]:
        """Yield the rows of one kind; None stands for all models, or all tasks."""

    def open(self, folder: Path) -> FinishedRun:
        """Open another run."""


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run that has ended. Models, tasks and results stand in the order of the run.

    `unscored` are the (model, task) pairs that the run was to score and that have no result. `configuration`
    is the resolved configuration and `manifest` what ran where and when; both are empty where their file is
    missing. `performance` has what was measured of each (model, task) that was sent; a pair is measured at
    its first use, once for all reporters. The folder `summary` in `folder` exists when a reporter is called.
    """

    folder: Path
    timestamp: str
    models: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    results: tuple[Result, ...] = ()
    unscored: tuple[tuple[str, str], ...] = ()
    is_performance: bool = False
    configuration: Mapping[str, Any] = field(default_factory=dict, repr=False)
    manifest: Mapping[str, Any] = field(default_factory=dict, repr=False)
    performance: Mapping[tuple[str, str], PerformanceResult] = field(default_factory=dict, repr=False)
    source: RunSource | None = field(default=None, repr=False, compare=False)

    def scores(self, model: str | None = None, task: str | None = None) -> Rows:
        """Return a row for each answer and evaluator, those of a task's first evaluator first.

        Keys: model, task, id, repeat, evaluator, outcome, value (0 to 1), answer, rule, span (start and end
        in the output, or None), details. Raise `RunError` where a file is damaged.
        """
        return Rows(self.source.rows("scores", model, task) if self.source else ())

    def requests(self, model: str | None = None, task: str | None = None) -> Rows:
        """Return a row for each request, by sample, repeat and turn; those of a load as logged.

        Keys: model, task, id, repeat, turn, group, origin_prompt, prediction (the output), reasoning,
        tool_calls, gold, finish_reason, usage, failure, attempts, logprobs, sent_ms (from the start of the
        run), ttft_ms, e2el_ms; `file` and `line` say where the row stands in the run folder, and
        `reasoning_spans` where the reasoning in the output does, as pairs of start and end.
        """
        return Rows(self.source.rows("requests", model, task) if self.source else ())

    def samples(self, model: str | None = None, task: str | None = None) -> Rows:
        """Return a row for each sample that was asked: model, task, id, group, target, choices, prompt."""
        return Rows(self.source.rows("samples", model, task) if self.source else ())

    def metrics(self) -> Rows:
        """Return a row for each metric: model, task, version, mode, and the fields of `Metric`."""
        return Rows(
            {"model": one.model, "task": one.task, "version": one.version, "mode": one.mode, **asdict(metric)}
            for one in self.results
            for metric in one.metrics
        )

    def open(self, folder: Path) -> FinishedRun:
        """Open another run, to show it beside this one. Raise `RunError` where it is none."""
        if self.source is None:
            raise RunError(f"{folder} cannot be opened from a run that was not read from a folder")
        return self.source.open(folder)

    def summary(self, suffix: str) -> Path:
        """Return the path of a summary file, its folder made: `summary/summary_<timestamp><suffix>`."""
        file = self.folder / "summary" / f"summary_{self.timestamp}{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        return file


class Reporter(ABC):
    """Shows a finished run. An exception ends this reporter alone, and the command ends with exit code 1."""

    default_for: ClassVar[frozenset[RunKind]] = frozenset()
    """The kinds of run that it shows where the user names no reporters."""

    @abstractmethod
    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write or print what is shown, and return the files written."""

    def report_several(self, runs: Sequence[FinishedRun], folder: Path) -> Iterable[Path]:
        """Show several performance runs together, write into `folder`, and return the files written.

        Raises:
            NotImplementedError: this reporter shows one run at a time.
        """
        raise NotImplementedError


def csv_cell(value: object) -> object:
    """Return a value as a cell of CSV that no spreadsheet runs as a formula: a text may get a `'` before it.

    Numbers, with or without a unit, stay as they are.
    """
    if not isinstance(value, str) or not _FORMULA.match(value) or _NUMBER.fullmatch(value):
        return value
    return f"'{value}"


_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]")
_NUMBER = re.compile(r"\s*[+-]?([\d.,]+(e[+-]?\d+)?|inf|nan)( ?[a-zµ%/]{1,12})?\s*|-+", re.IGNORECASE)


def write_file(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write a file, its folder made, so that a reader sees the old content or the new, never a part.

    `data` may come in pieces, of which no more than one is in memory at a time.

    Raises:
        StorageError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.writelines((data,) if isinstance(data, bytes) else data)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise StorageError(f"{path} cannot be written: {error.strerror}") from error
