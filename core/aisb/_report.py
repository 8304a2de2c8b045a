"""The base class of reporters, and the finished run that they report on, as plain values.

Reporters format results; scores and measurements are computed before, by the engine.
"""

from __future__ import annotations

import os
import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

from aisb._deprecated import Renamed
from aisb._errors import AisbError, RunError, StorageError
from aisb._performance import PerformanceResult
from aisb._types import Metric, Outcome, Row

RunKind: TypeAlias = Literal["accuracy", "performance", "several"]
"""What a reporter shows: one run of either kind, or several performance runs together."""

AVERAGES = frozenset(("naive_average", "weighted_average"))
"""The metrics of a task with groups that cover all groups."""


@dataclass(frozen=True, slots=True)
class Result:
    """The scores of one model on one task.

    - `version`: the version of the task, six hexadecimal digits; `variant`: the variant of it, if any;
      `mode`: `gen` or `logprob`.
    - `outcomes`: the number of samples with each outcome; they add up to `predictions`.
      `not_sent`: the number of requests that an interrupted run has not sent.
    - `first_error`: the first request that failed, or whose answer could not be graded, and the path of its
      log relative to the run folder.
    - `bounds`: the headline in percent if all unclear outcomes are wrong, and if they are left out.
    - `merge`: whether to show one row for all groups.
    - `faults`: exceptions of plugins during scoring; `doubts`: reasons why the headline may be inaccurate.
    - `trial`: keys of the rules that differ from the task's own, if this is a trial by other rules.
    - `file`: the results file, which may also contain `details`.
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
    predictions: int = 0
    not_sent: int = 0
    failed: int = 0
    first_error: tuple[str, str] | None = None
    merge: bool = False
    faults: tuple[str, ...] = ()
    trial: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    asked, not_asked_yet = Renamed("predictions"), Renamed("not_sent")

    @property
    def unclear(self) -> int:
        """The number of samples that are neither correct nor wrong."""
        return sum(count for outcome, count in self.outcomes.items() if outcome not in ("correct", "wrong"))

    @property
    def headline(self) -> Metric | None:
        """The main metric: accuracy or its weighted average, else the first over all samples."""
        overall = [metric for _, metric in self.rows() if metric.group is None]
        plain = [metric for metric in overall if metric.name in ("accuracy", "weighted_average")]
        return next(iter([*plain, *overall]), None)

    def rows(self) -> list[tuple[str, Metric]]:
        """Return the rows of this result in a table, each with its name: groups, then metrics over all.

        With `merge`, groups and their averages are omitted.
        """
        groups = [(f"{self.task}-{one.group}", one) for one in self.metrics if one.group is not None]
        overall = {metric.name: (self.task, metric) for metric in self.metrics if metric.group is None}
        if groups and self.merge and "accuracy" in overall:
            return [row for name, row in overall.items() if name not in AVERAGES]
        if groups and AVERAGES & overall.keys():
            overall.pop("accuracy", None)  # equal to the weighted average
        return groups + list(overall.values())


class Rows(list[Row]):
    """Plain rows: a list of mappings with the same keys."""

    def to_pandas(self) -> Any:
        """Return the rows as a `pandas.DataFrame`. Raise `AisbError` if pandas is not installed."""
        try:
            return import_module("pandas").DataFrame(list(self))
        except ImportError:
            raise AisbError("to_pandas() needs pandas: pip install pandas") from None


class RunSource(Protocol):
    """Reads the files of a run. The engine creates one for each `FinishedRun`."""

    def rows(
        self, kind: Literal["scores", "requests", "samples"], model: str | None, task: str | None
    ) -> Iterable[Row]:
        """Yield the rows of one kind; None selects all models, or all tasks."""

    def open(self, folder: Path) -> FinishedRun:
        """Open another run."""


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A finished run. Models, tasks and results are in the order of the run.

    `unscored` are the (model, task) pairs without a result. `configuration` is the resolved configuration,
    and `manifest` describes the run's environment and times; both are empty if their file is missing.
    `performance` has the measurements of each (model, task), computed at first use and shared by all
    reporters. When a reporter is called, the folder `summary` exists in `folder`.
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
        """Return a row for each answer and evaluator, sorted by the evaluators of the task.

        Keys: model, task, id, repeat, evaluator, outcome, value (0 to 1), answer, rule, span (start and end
        in the output, or None), details. Raise `RunError` if a file is damaged.
        """
        return Rows(self.source.rows("scores", model, task) if self.source else ())

    def requests(self, model: str | None = None, task: str | None = None) -> Rows:
        """Return a row for each request, by sample, repeat and turn; of a performance run in logged order.

        Keys: model, task, id, repeat, turn, group, origin_prompt, prediction (the output), reasoning,
        tool_calls, gold (the reference answer), finish_reason, usage, failure, attempts, logprobs, sent_ms
        (since the start of the run), ttft_ms, e2el_ms, file and line (the position in the run folder),
        reasoning_spans (start and end of each piece of reasoning in the output), and messages (in an
        environment, the whole conversation, in the row of its last turn; otherwise None).
        """
        return Rows(self.source.rows("requests", model, task) if self.source else ())

    def samples(self, model: str | None = None, task: str | None = None) -> Rows:
        """Return a row for each sample: model, task, id, group, target, choices, prompt, fields."""
        return Rows(self.source.rows("samples", model, task) if self.source else ())

    def metrics(self) -> Rows:
        """Return a row for each metric: model, task, version, mode, and the fields of `Metric`."""
        return Rows(
            {"model": one.model, "task": one.task, "version": one.version, "mode": one.mode, **asdict(metric)}
            for one in self.results
            for metric in one.metrics
        )

    def open(self, folder: Path) -> FinishedRun:
        """Open another run, to compare it with this one. Raise `RunError` if `folder` is not a run."""
        if self.source is None:
            raise RunError(f"{folder} cannot be opened from a run that was not read from a folder")
        return self.source.open(folder)

    def command(self, words: str) -> str:
        """Return a command on this run for a shell: `words`, such as `aisb score`, followed by the run.

        The run is its name, with `-w` and its work folder if that is not the default one.
        """
        return command_on(self.folder, words)

    def summary(self, suffix: str) -> Path:
        """Return the path of a summary file, `summary/summary_<timestamp><suffix>`, and create its folder."""
        file = self.folder / "summary" / f"summary_{self.timestamp}{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        return file


class Reporter(ABC):
    """Reports on a finished run. An exception ends only this reporter; the exit code is then 1."""

    default_for: ClassVar[frozenset[RunKind]] = frozenset()
    """The kinds of run that it reports on by default, if the user names no reporters."""

    @abstractmethod
    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write files or print; return the files written."""

    def report_several(self, runs: Sequence[FinishedRun], folder: Path) -> Iterable[Path]:
        """Report on several performance runs together; write into `folder`, and return the files written.

        Raises:
            NotImplementedError: this reporter supports one run at a time.
        """
        raise NotImplementedError


def command_on(folder: Path, words: str) -> str:
    """Return a command on the run in `folder` for a shell, as `FinishedRun.command` does."""
    is_default = folder.parent.absolute() == Path("outputs/default").absolute()
    work_dir = () if is_default else ("-w", str(folder.parent))
    return shlex.join((*words.split(), folder.name or ".", *work_dir))


def csv_cell(value: object) -> object:
    """Return a CSV cell that no spreadsheet evaluates as a formula: texts that look like one get a `'`.

    Numbers are not changed, with or without a unit.
    """
    if not isinstance(value, str) or not _FORMULA.match(value) or _NUMBER.fullmatch(value):
        return value
    return f"'{value}"


_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]")
_NUMBER = re.compile(r"\s*[+-]?([\d.,]+(e[+-]?\d+)?|inf|nan)( ?[a-zµ%/]{1,12})?\s*|-+", re.IGNORECASE)


def write_file(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write a file atomically: readers see the old content or the new. Create its folder if needed.

    `data` may be an iterable of pieces, which are written one by one.

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
