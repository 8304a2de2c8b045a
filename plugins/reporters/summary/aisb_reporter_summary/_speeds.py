"""The numbers of a performance run that stand in a summary."""

from __future__ import annotations

from collections.abc import Iterator

from aisb import FinishedRun, PerformanceResult

COMPARED_TIMES = ("TTFT", "TPOT", "E2EL")


def performances(run: FinishedRun) -> list[PerformanceResult]:
    """Return what was measured of each subtask of a performance run; nothing for other runs."""
    return list(run.performance.values()) if run.is_performance else []


def summary_numbers(result: PerformanceResult) -> Iterator[tuple[str, float | None]]:
    """Yield the numbers of a subtask that stand in a summary, each with its unit in the name."""
    total = result.stages[0]
    for name in COMPARED_TIMES:
        times = total.parameters[name]
        yield f"{name} median (ms)", _known(times.median) if times else None
        percent = max(result.percentiles, default=None)
        if percent is not None:
            yield f"{name} P{percent:g} (ms)", _known(times.percentiles[percent]) if times else None
    yield "requests/s", total.totals.request_rate
    yield "output tokens/s", total.totals.output_rate


def _known(value: float) -> float | None:
    """Return a number; None if it is NaN, as in a result that was imported from a tool without it."""
    return None if value != value else value  # noqa: PLR0124
