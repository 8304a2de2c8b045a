"""Compute the totals of a stage: requests, tokens and concurrency, and their rates per second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aisb import StageTotals, Window
from aisb_engine._performance.held import held_tokens

if TYPE_CHECKING:
    from aisb_engine._performance.columns import Floats, LogColumns
    from aisb_engine._performance.latency import Requests
    from aisb_engine._performance.stages import InFlight


def whole_totals(columns: LogColumns, requests: Requests, limit: int | None) -> StageTotals:
    """Sum up all requests; `limit` is the requested concurrency."""
    import numpy as np

    ok = requests.ok
    known = ~np.isnan(columns["sent"])
    seconds = None
    if known.any():
        seconds = float(columns.end[known].max() - columns["sent"][known].min()) / 1e9
    e2el = _total(requests.e2el[ok])
    return _totals(
        requests,
        ok,
        seconds,
        failed=int((~ok).sum()),
        finished=int(ok.sum()),
        concurrency=per(None if e2el is None else e2el / 1000, seconds),
        limit=limit,
        tokens=(_total(requests.input_tokens[ok]), _total(requests.output_tokens[ok])),
    )


def window_totals(
    columns: LogColumns,
    requests: Requests,
    flight: InFlight,
    window: Window,
    limit: int | None,
    *,
    chunk_times: bool = True,
) -> StageTotals:
    """Sum up a window: the requests sent in it, and the share of each request's work that lies in it.

    Replies, input tokens and the tokens of replies that arrived in one piece are credited by the share of the
    time from sent to end that lies in the window. Counting ends would lose a wave: a window begins when all
    requests are new, and ends just when one of them does.
    """
    import numpy as np

    ok = requests.ok
    sent = (columns["sent"] >= window.start) & (columns["sent"] < window.end)
    share = np.where(ok, shares(columns["sent"], columns.end, window), 0.0)
    inputs = requests.input_tokens * share
    return _totals(
        requests,
        ok & sent,
        window.seconds,
        failed=int((~ok & sent).sum()),
        finished=float(share.sum()),
        concurrency=flight.mean(window.start, window.end),
        limit=limit,
        tokens=(
            _total(inputs[share > 0]),
            credited(columns, requests, window, share, chunk_times=chunk_times),
        ),
    )


def shares(sent: Floats, end: Floats, window: Window) -> Floats:
    """Return the share of each request's time, from sent to end, that lies in a window."""
    import numpy as np

    inside = np.minimum(end, window.end) - np.maximum(sent, window.start)
    took = end - sent
    # A request that took no time lies in the window or not.
    at_once = (sent >= window.start) & (sent < window.end)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.where(took > 0, np.clip(inside, 0, None) / took, at_once)
    return np.nan_to_num(found)


def _totals(
    requests: Requests,
    chosen: Any,
    seconds: float | None,
    *,
    failed: int,
    finished: float,
    concurrency: float | None,
    limit: int | None,
    tokens: tuple[float | None, float | None],
) -> StageTotals:
    import numpy as np

    both = chosen & ~np.isnan(requests.input_tokens) & ~np.isnan(requests.ttft)
    read = _total(requests.input_tokens[both])
    input_tokens, output_tokens = tokens
    return StageTotals(
        duration_ms=None if seconds is None else seconds * 1000,
        requests=int(chosen.sum()) + failed,
        failed=failed,
        succeeded=int(chosen.sum()),
        concurrency=concurrency,
        max_concurrency=limit,
        request_rate=per(finished, seconds),
        input_tokens=input_tokens,
        prefill_rate=per(read, float(requests.ttft[both].sum()) / 1000),
        output_tokens=output_tokens,
        input_rate=per(input_tokens, seconds),
        output_rate=per(output_tokens, seconds),
        total_rate=per(
            None if input_tokens is None or output_tokens is None else input_tokens + output_tokens, seconds
        ),
    )


def credited(
    columns: LogColumns, requests: Requests, window: Window, share: Floats, *, chunk_times: bool = True
) -> float | None:
    """Return the output tokens generated inside a window.

    The tokens of a streamed reply are distributed over its chunks: by the tokens of each chunk if known,
    evenly otherwise. Only requests that cross an edge need their chunks read. A reply that arrived in one
    piece does not tell when its tokens were generated: they are credited by `share`, that of its time in the
    window. Without `chunk_times`, the times between the first and the last chunk are unknown, and tokens are
    distributed evenly over them.
    """
    import numpy as np

    first, last = columns.first(), columns.last()
    known = requests.ok & ~np.isnan(requests.output_tokens)
    if not known.any():
        return None
    streamed = (columns["streamed"] == 1) & (first < last)
    pieces = known & ~streamed & (share > 0)
    total = float((requests.output_tokens * share)[pieces].sum())
    touched = known & streamed & (last >= window.start) & (first < window.end)
    whole = touched & (first >= window.start) & (last < window.end)
    total += float(requests.output_tokens[whole].sum())
    if not chunk_times:
        spread = shares(first, last, window)
        return total + float((requests.output_tokens * spread)[touched & ~whole].sum())
    for row in (touched & ~whole).nonzero()[0]:
        stamps, bearing, tokens = columns.chunks(row)
        weights = held_tokens(tokens, bearing) if len(tokens) else np.zeros(0)
        if not weights.sum():
            weights = np.ones(int(bearing.sum()))
        inside = (stamps[bearing] >= window.start) & (stamps[bearing] < window.end)
        total += float(requests.output_tokens[row] * weights[inside].sum() / weights.sum())
    return total


def _total(values: Floats) -> float | None:
    import numpy as np

    known = values[~np.isnan(values)]
    return float(known.sum()) if len(known) else None


def per(value: float | None, total: float | None) -> float | None:
    """Divide; None if either value is unknown, or the second is 0."""
    return None if value is None or not total else value / total
