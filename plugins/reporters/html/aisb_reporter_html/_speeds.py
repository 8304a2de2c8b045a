"""The slow and the failed requests of a load, with reasons, for the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aisb import PerformanceResult
from aisb_reporter_plots import place_requests

MAX_LISTED = 400
"""The maximum length of the list, half of it for slow requests and half for failed ones."""
FACTOR = 2.0
"""A time is named as slow from this many times the median on."""
MAX_PLOTTED = 300


def requests_of(found: PerformanceResult) -> list[dict[str, Any]]:
    """Return the slow and the failed requests in order of time, each with its reason."""
    import numpy as np

    columns = found.requests()
    axis, _, starts = place_requests(found)
    failed = [row for row, failure in enumerate(columns["failure"]) if failure][: MAX_LISTED // 2]
    e2el = np.where(columns["ok"], columns["e2el"], np.nan)
    known = int((~np.isnan(e2el)).sum())
    count = min(MAX_LISTED // 2, max(1, known // 100)) if known else 0
    slowest = np.argsort(np.where(np.isnan(e2el), -np.inf, e2el), kind="stable")[::-1][:count]
    usual = {name: _median(columns[name]) for name in ("ttft", "tpot")}
    rows = []
    for row in (*failed, *(int(row) for row in slowest)):
        at = (float(starts[row]) - axis.origin) / 1e9
        rows.append(
            {
                "id": _label(columns, row),
                "at": None if at != at else round(at, 6),  # noqa: PLR0124 - NaN
                "failed": bool(columns["failure"][row]),
                "e2el": _number(columns["e2el"][row]),
                "ttft": _number(columns["ttft"][row]),
                "tokens": _number(columns["output_tokens"][row]),
                "reason": columns["failure"][row][:MAX_PLOTTED] or "; ".join(_why(columns, row, usual)),
            }
        )
    return sorted(rows, key=lambda one: (one["at"] is None, one["at"] or 0.0))


def _why(columns: Mapping[str, Any], row: int, usual: dict[str, float | None]) -> Iterator[str]:
    """Yield the times and token counts of a request that exceed the median."""
    late = _number(columns["lateness"][row])
    if late is not None and late > 5:
        yield f"sent {late:,.4g} ms late"
    for name, label in (("ttft", "first token after"), ("tpot", "tokens every")):
        value, median = _number(columns[name][row]), usual[name]
        if value is not None and median and value > FACTOR * median:
            yield f"{label} {value:,.4g} ms, {value / median:.1f} times the median"
    tokens, median = _number(columns["output_tokens"][row]), _median(columns["output_tokens"])
    if tokens is not None and median and tokens > FACTOR * median:
        yield f"{tokens:,.0f} output tokens, the median has {median:,.0f}"
    attempts = columns["attempts"][row]
    if attempts > 1:
        yield f"attempt {attempts:.0f}"


def _label(columns: Mapping[str, Any], row: int) -> str:
    several = [f"{name} {columns[name][row]:.0f}" for name in ("repeat", "turn") if columns[name][row] > 0]
    return ", ".join([str(columns["id"][row]), *several])


def _median(values: Any) -> float | None:
    import numpy as np

    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else None


def _number(value: Any) -> float | None:
    return None if value != value else round(float(value), 4)  # noqa: PLR0124 - NaN
