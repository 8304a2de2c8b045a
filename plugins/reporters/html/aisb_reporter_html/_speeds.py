"""What the page says of load: a point in throughput against latency, and the slow and the failed requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from aisb_reporter_plots._data import placed

if TYPE_CHECKING:
    from aisb_engine._performance.performance import Performance

MOST = 400
"""Requests in the list of slow and failed ones, half of it for either."""
FACTOR = 2.0
"""How many times the usual it must be for a time to be named as what was slow."""
LONGEST = 300


def point(found: Performance, run: str) -> dict[str, Any]:
    """Return one subtask as a point: throughput, latencies, and the load under which they were had."""
    total = found.stages[0]
    # The stable stage is what a load of this size gives; the whole run has its edges in it, too.
    stage = found.stages[-1]
    latencies = {}
    for name in ("E2EL", "TTFT", "TPOT"):
        spread = stage.parameters[name]
        latencies[name] = spread and {
            "median": spread.median,
            **{f"P{percent:g}": value for percent, value in spread.percentiles.items()},
        }
    return {
        "run": run,
        "model": found.model,
        "task": found.task,
        "stage": stage.name,
        "concurrency": found.load.concurrency,
        "rate": found.load.rate,
        "failed": total.common.failed,
        "verdict": found.certificate.verdict,
        "requests_rate": stage.common.request_rate,
        "output_rate": stage.common.output_rate,
        "latencies": latencies,
    }


def requests_of(found: Performance) -> list[dict[str, Any]]:
    """Return the slow and the failed requests in the order of time, each with the reason."""
    import numpy as np

    columns, each = found.columns, found.requests
    axis, _, starts = placed(found)
    failed = list(columns.failures)[: MOST // 2]
    e2el = np.where(each.ok, each.e2el, np.nan)
    known = int((~np.isnan(e2el)).sum())
    count = min(MOST // 2, max(1, known // 100)) if known else 0
    slowest = np.argsort(np.where(np.isnan(e2el), -np.inf, e2el), kind="stable")[::-1][:count]
    usual = {name: _median(values) for name, values in (("ttft", each.ttft), ("tpot", each.tpot))}
    rows = []
    for row in (*failed, *(int(row) for row in slowest)):
        at = (float(starts[row]) - axis.origin) / 1e9
        rows.append(
            {
                "id": _label(found, row),
                "at": None if at != at else round(at, 6),  # noqa: PLR0124 - NaN
                "failed": row in columns.failures,
                "e2el": _number(each.e2el[row]),
                "ttft": _number(each.ttft[row]),
                "tokens": _number(each.output_tokens[row]),
                "reason": ": ".join(columns.failures[row])[:LONGEST]
                if row in columns.failures
                else "; ".join(_why(found, row, usual)),
            }
        )
    return sorted(rows, key=lambda one: (one["at"] is None, one["at"] or 0.0))


def _why(found: Performance, row: int, usual: dict[str, float | None]) -> Iterator[str]:
    """Yield what took longer in a request than in the median one, or was more."""
    each = found.requests
    late = _number(each.lateness[row])
    if late is not None and late > 5:
        yield f"sent {late:,.4g} ms late"
    for name, label in (("ttft", "first token after"), ("tpot", "tokens every")):
        value, median = _number(getattr(each, name)[row]), usual[name]
        if value is not None and median and value > FACTOR * median:
            yield f"{label} {value:,.4g} ms, {value / median:.1f} times the median"
    tokens, median = _number(each.output_tokens[row]), _median(each.output_tokens)
    if tokens is not None and median and tokens > FACTOR * median:
        yield f"{tokens:,.0f} output tokens, the median has {median:,.0f}"
    attempts = found.columns["attempts"][row]
    if attempts > 1:
        yield f"attempt {attempts:.0f}"


def _label(found: Performance, row: int) -> str:
    columns = found.columns
    told = [f"{name} {columns[name][row]:.0f}" for name in ("repeat", "turn") if columns[name][row] > 0]
    return ", ".join([str(columns.ids[row]), *told])


def _median(values: Any) -> float | None:
    import numpy as np

    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else None


def _number(value: Any) -> float | None:
    return None if value != value else round(float(value), 4)  # noqa: PLR0124 - NaN
