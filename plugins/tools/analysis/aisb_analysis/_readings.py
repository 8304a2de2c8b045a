"""Compare two sides by grades, by speeds, or by both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aisb_analysis._compare import ComparedSubtask, Comparison, compare
from aisb_analysis._speeds import SpeedComparison, compare_speeds

if TYPE_CHECKING:
    from aisb_engine import OpenedRun, Plugins


async def compare_runs(
    a: Sequence[OpenedRun],
    b: Sequence[OpenedRun],
    pairs: Sequence[ComparedSubtask],
    plugins: Plugins,
    *,
    seed: int = 0,
    percentiles: Sequence[tuple[str, float]] = (),
) -> tuple[list[Comparison], list[SpeedComparison]]:
    """Return the comparisons of grades and those of speeds.

    Performance runs are compared by speeds, accuracy runs by grades, and one kind with the other by both, if
    the task has an evaluator. `percentiles` of times, as ("TTFT", 95), are compared in addition to medians.

    Raises:
        UsageError: a side has no grades, the two share no sample, or scipy is not installed.
        RunError: a log cannot be read.
    """
    kinds = {run.spec.run.performance for run in (*a, *b)}
    speeds = compare_speeds(a, b, pairs, percentiles) if True in kinds else []
    graded = [pair for pair in pairs if a[0].spec.tasks[pair.a.task].evaluate] if len(kinds) > 1 else pairs
    if kinds == {True} or not graded:
        return [], speeds
    return await compare(a[0], b[0], graded, plugins, seed=seed), speeds
