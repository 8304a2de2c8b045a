"""Compare the speed of two sides by ratios of numbers, with intervals if each side has repeats."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from aisb import PerformanceResult
from aisb_analysis._compare import ComparedSubtask, ComparisonVerdict, differences_in_requests
from aisb_analysis._paired import SIGNIFICANCE, holm, ratio
from aisb_engine import measure_performance, task_version

if TYPE_CHECKING:
    from aisb_engine import OpenedRun, Subtask

COMPARED_TIMES = ("TTFT", "TPOT", "E2EL")
COMPARED_RATES = {"RequestThroughput": "request_rate", "OutputTokenThroughput": "output_rate"}

LOAD = (
    "concurrency", "request_rate", "arrival", "burstiness", "ramp_up", "use_timestamp", "pressure_time",
    "duration", "num_prompts", "max_tokens", "ignore_eos", "cache_share",
)  # fmt: skip
"""The options of a load that affect the numbers."""
COMPARED_PERCENTILES = (75.0, 90.0, 99.0)
LENGTH_TOLERANCE = 0.05
"""The tolerance of average lengths, as a share."""


class ComparedNumber(NamedTuple):
    """A number of one performance run, and whether higher or lower is better."""

    name: str
    value: float | None
    better: Literal["higher", "lower"]


@dataclass(frozen=True, slots=True)
class SpeedComparison:
    """One number on two sides: B ÷ A with its interval and p-value. Without repeats the verdict is None.

    `a` and `b` have a value for each repeat. `setup_differences` lists differences in data, load and lengths,
    and `doubts` the certificates that are not VALID. `point` is the point of two sweeps that was measured.
    """

    task: str
    model_a: str
    model_b: str
    name: str
    better: Literal["higher", "lower"]
    a: tuple[float, ...]
    b: tuple[float, ...]
    ratio: float | None
    low: float | None
    high: float | None
    p: float | None
    setup_differences: tuple[str, ...] = ()
    p_corrected: float | None = None
    verdict: ComparisonVerdict | None = None
    doubts: tuple[str, ...] = ()
    point: str = ""

    @property
    def place(self) -> str:
        """The task, with the point of the sweep."""
        return f"{self.task}, {self.point}" if self.point else self.task


def compared_numbers(
    performance: PerformanceResult, percentiles: Sequence[tuple[str, float]] = ()
) -> list[ComparedNumber]:
    """Return the numbers of a performance run to compare: medians of times, and rates, over all requests.

    `percentiles` of times follow them, as ("TTFT", 95).
    """
    total = performance.stages[0]
    found = []
    for name in COMPARED_TIMES:
        times = total.parameters.get(name)
        found.append(ComparedNumber(f"{name} (median)", times.median if times else None, "lower"))
    found += [
        ComparedNumber(name, getattr(total.totals, key), "higher") for name, key in COMPARED_RATES.items()
    ]
    for name, percent in percentiles:
        times = total.parameters.get(name)
        value = times.percentiles.get(percent) if times else None
        found.append(ComparedNumber(f"{name} (P{percent:g})", value, "lower"))
    return found


def compare_speeds(
    a: Sequence[OpenedRun],
    b: Sequence[OpenedRun],
    pairs: Sequence[ComparedSubtask],
    percentiles: Sequence[tuple[str, float]] = (),
) -> list[SpeedComparison]:
    """Compare performance runs; several runs on a side are its repeats.

    Raises:
        RunError: a log cannot be read.
        UsageError: each side has repeats, and scipy is not installed.
    """
    found: list[SpeedComparison] = []
    for pair in pairs:
        ours_all = [_measured(run, pair.a, percentiles) for run in a]
        theirs_all = [_measured(run, pair.b, percentiles) for run in b]
        differences = tuple(_unequal(a, b, pair, ours_all, theirs_all))
        doubts = (*_doubts("A", ours_all), *_doubts("B", theirs_all))
        left, right = (
            [compared_numbers(one, percentiles) for one in side] for side in (ours_all, theirs_all)
        )
        for place, number in enumerate(left[0]):
            ours = _known([run[place].value for run in left])
            theirs = _known([run[place].value for run in right])
            estimate = ratio(ours, theirs)
            found.append(
                SpeedComparison(
                    task=pair.a.task,
                    model_a=pair.a.model,
                    model_b=pair.b.model,
                    name=number.name,
                    better=number.better,
                    a=ours,
                    b=theirs,
                    ratio=estimate.ratio if estimate else None,
                    low=estimate.low if estimate else None,
                    high=estimate.high if estimate else None,
                    p=estimate.p if estimate else None,
                    setup_differences=differences,
                    doubts=doubts,
                )
            )
    return with_verdicts(found)


def with_verdicts(found: Sequence[SpeedComparison]) -> list[SpeedComparison]:
    """Return comparisons with their p-values corrected over all of them, and verdicts."""
    tested = [one for one in found if one.p is not None]
    corrected = iter(holm([one.p or 0.0 for one in tested]))
    return [one if one.p is None else _with_verdict(one, next(corrected)) for one in found]


def _measured(
    run: OpenedRun, subtask: Subtask, percentiles: Sequence[tuple[str, float]]
) -> PerformanceResult:
    wanted = sorted({*COMPARED_PERCENTILES, *(percent for _, percent in percentiles)})
    return measure_performance(run.folder, subtask.model, subtask.task, percentiles=wanted)


def _unequal(
    a: Sequence[OpenedRun],
    b: Sequence[OpenedRun],
    pair: ComparedSubtask,
    ours: Sequence[PerformanceResult],
    theirs: Sequence[PerformanceResult],
) -> Iterator[str]:
    """Yield the differences in the requests of all runs; repeats of a side may differ, too."""
    versions = (task_version(a[0].spec.tasks[pair.a.task]), task_version(b[0].spec.tasks[pair.b.task]))
    yield from differences_in_requests(a[0].folder, b[0].folder, pair, versions)
    for name in LOAD:
        values = [sorted({str(_option(one, name)) for one in side}) for side in (ours, theirs)]
        if values[0] != values[1]:
            yield f"load.{name}: {', '.join(values[0])} and {', '.join(values[1])}"
    for name, side_name in (("InputTokens", "input"), ("OutputTokens", "output")):
        left, right = _average(ours, name), _average(theirs, name)
        if left is not None and right is not None and abs(left - right) > LENGTH_TOLERANCE * min(left, right):
            yield f"{side_name} tokens of a request: {left:.4g} and {right:.4g} on average"


def _doubts(side: str, measured: Sequence[PerformanceResult]) -> Iterator[str]:
    """Yield a line for each kind of certificate that is not VALID, with the first reason."""
    for verdict in ("INVALID", "SUSPECT"):
        doubted = [one.certificate for one in measured if one.certificate.verdict == verdict]
        if doubted:
            count = "the run" if len(measured) == 1 else f"{len(doubted)} of {len(measured)} runs"
            reason = next((reason for one in doubted for reason in one.reasons), "no reason is known")
            yield f"{count} of {side} {'is' if len(doubted) == 1 else 'are'} {verdict}: {reason}"


def _option(one: PerformanceResult, name: str) -> object:
    value = one.requested.options.get(name)
    return "none" if value is None else value


def _average(side: Sequence[PerformanceResult], name: str) -> float | None:
    averages = [spread.average for one in side if (spread := one.stages[0].parameters.get(name)) is not None]
    return sum(averages) / len(averages) if averages else None


def _with_verdict(one: SpeedComparison, p: float) -> SpeedComparison:
    verdict: ComparisonVerdict = "tie"
    if p < SIGNIFICANCE and one.ratio is not None and one.ratio != 1:
        verdict = "better" if (one.ratio > 1) == (one.better == "higher") else "worse"
    return replace(one, p_corrected=p, verdict=verdict)


def _known(values: Sequence[float | None]) -> tuple[float, ...]:
    return tuple(value for value in values if value is not None and not math.isnan(value))
