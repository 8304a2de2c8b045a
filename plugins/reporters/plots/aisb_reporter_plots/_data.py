"""The data of the pages: a header, and columns of integers with one entry per request, in order of sending.

Times are counted in ticks (a microsecond, or more in runs of over half an hour) from the first request; NONE
means "unknown". The page's script reads this form in shared.js: the header's length, the header as JSON, the
columns one after the other.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from aisb import PerformanceResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

NONE = -(2**31)
MAX_REQUESTS = 300_000
"""The maximum number of requests on a page; of more requests, only every second, third, … is shown."""
MAX_CHUNKS = 50_000_000
"""The maximum number of chunks with their own times; of more, only every second, third, … request counts."""
POINTS_PER_BATCH = 1_000_000
SPREAD = 1000
"""The maximum number of points for the tokens of a reply without chunk times."""
MAX_REASONS = 200
MAX_REASON_LENGTH = 300
TOKEN_PARTS = 6_000


class Axis(NamedTuple):
    """The page's clock: its origin, the duration of the run, and its tick, in nanoseconds."""

    origin: float
    span: float
    tick: int

    def ticks(self, stamps: Any) -> NDArray[Any]:
        """Return stamps in ticks from the origin."""
        return _rounded((stamps - self.origin) / self.tick)


def pack_requests(result: PerformanceResult, most: int = MAX_REQUESTS) -> bytes:
    """Return the data of the page with requests, concurrency, tokens and latencies."""
    axis, order, starts = place_requests(result)
    every = max(1, math.ceil(len(order) / most))
    order = order[::every]
    columns = result.requests()
    start = axis.ticks(starts[order])
    reasons, reason = _reasons(result, order)
    ends = axis.ticks(columns["end_ns"][order])
    ends[_unknown(columns["sent_ns"][order])] = NONE
    width, tokens, token_notes, unit = _tokens(result, axis)
    return _packed(
        {
            **_head(result, axis, every),
            "labels": _labels(result, order),
            "reasons": reasons,
            "token_part": width,
            "token_unit": unit,
            "token_note": token_notes,
        },
        {
            "start": _increments(start),
            "length": _difference(ends, start),
            "ttft": _rounded(columns["ttft"][order] * 1e6 / axis.tick),
            "e2el": _rounded(columns["e2el"][order] * 1e6 / axis.tick),
            "tpot_ns": _rounded(columns["tpot"][order] * 1e6),
            "late": _late(result, axis, order),
            "output": _rounded(columns["output_tokens"][order]),
            "reason": reason,
            "tokens": tokens,
        },
    )


def pack_rates(result: PerformanceResult, most: int = MAX_REQUESTS) -> bytes:
    """Return the data of the page with the request rate, lateness and intervals."""
    axis, order, starts = place_requests(result)
    every = max(1, math.ceil(len(order) / most))
    # A request that was never sent is not part of the rate, unless it was planned.
    columns = result.requests()
    known = ~_unknown(columns["sent_ns"][order]) | ~_unknown(columns["planned_ns"][order])
    order = order[known]
    sent = ~_unknown(columns["sent_ns"][order])
    return _packed(
        {**_head(result, axis, every), "requested": _planned_rate(result, axis)},
        {
            "start": _increments(axis.ticks(starts[order][::every])),
            "late": _late(result, axis, order[::every]),
            "sent": sent[::every],
        },
    )


def place_requests(result: PerformanceResult) -> tuple[Axis, Any, Any]:
    """Return the page's clock, the rows in the order of their start times, and these times.

    A request that was never sent starts when it was planned, or when it failed.
    """
    import numpy as np

    columns = result.requests()
    starts = columns["sent_ns"]
    for stamps in (columns["planned_ns"], columns["connected_ns"], columns["done_ns"]):
        starts = np.where(np.isnan(starts), stamps, starts)
    origin = float(np.nanmin(np.fmin(starts, columns["planned_ns"]))) if not np.isnan(starts).all() else 0.0
    starts = np.where(np.isnan(starts), origin, starts)
    last = float(np.nanmax(np.fmax(starts, columns["end_ns"]))) if len(starts) else origin
    span = max(last - origin, 1e6)
    tick = 1000 * math.ceil(span / (2**31 - 2) / 1000)
    return Axis(origin, span, tick), np.argsort(starts, kind="stable"), starts


def _head(result: PerformanceResult, axis: Axis, every: int) -> dict[str, Any]:
    window = result.window
    certificate = result.certificate
    return {
        "tick": axis.tick / 1e9,
        "span": axis.span / 1e9,
        "every": every,
        "requests": len(result.requests()["id"]),
        "limit": result.requested.concurrency,
        "window": window and [(window.start - axis.origin) / 1e9, (window.end - axis.origin) / 1e9],
        "facts": [[name, value] for name, value in _facts(result)],
        "verdict": certificate.verdict,
        "signals": [[signal.verdict, signal.reason] for signal in certificate.signals],
        "notes": list(result.notes),
    }


def _peak(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,}"


def _facts(result: PerformanceResult) -> Iterator[tuple[str, str]]:
    """Yield the facts at the top of a page, as (name, text)."""
    totals, requested, achieved = result.stages[0].totals, result.requested, result.achieved
    yield "requests", f"{totals.requests:,}, {totals.failed:,} failed"
    if totals.duration_ms is not None:
        yield "took", f"{totals.duration_ms / 1000:,.4g} s"
    rate = f"{requested.rate:g}/s" if requested.rate else "no pacing"
    if ramp := requested.options.get("ramp_up"):
        rate = f"{ramp}/s"
    if requested.options.get("use_timestamp"):
        rate = "the trace's own times"
    achieved_rate = "" if achieved.rate is None else f", achieved {achieved.rate:,.4g}/s"
    yield "rate", f"requested {rate}{achieved_rate}"
    limit = f"at most {requested.concurrency:,}" if requested.concurrency else "no limit"
    achieved_limit = (
        ""
        if achieved.concurrency is None
        else f", achieved {achieved.concurrency:,.4g}, peak {_peak(achieved.peak)}"
    )
    yield "concurrency", f"requested {limit}{achieved_limit}"
    if ramp:
        yield "stable", result.unsteady
    elif result.window is None:
        yield "stable", f"not steady: {result.unsteady}"
    else:
        yield "stable", f"{result.window.seconds:,.4g} s with {result.window.level:,.4g} in flight"


def _labels(result: PerformanceResult, order: Any) -> list[str]:
    """Return the label of each request, which the page shows under the pointer."""
    columns = result.requests()
    parts = [[columns["id"][row] for row in order]]
    several = [name for name in ("repeat", "turn") if columns[name].any()]
    parts += [[f"{name} {number:.0f}" for number in columns[name][order]] for name in several]
    return [", ".join(each) for each in zip(*parts, strict=True)]


def _reasons(result: PerformanceResult, order: Any) -> tuple[list[list[Any]], NDArray[Any]]:
    """Return [reason, count] of all failures by frequency, and for each row its number, from 1."""
    import numpy as np

    failures = result.requests()["failure"]
    texts = {row: text[:MAX_REASON_LENGTH] for row, text in enumerate(failures) if text}
    counts = Counter(texts.values()).most_common()
    listed: list[list[Any]] = [[text, count] for text, count in counts[:MAX_REASONS]]
    if len(counts) > MAX_REASONS:
        listed.append(["other reasons", sum(count for _, count in counts[MAX_REASONS:])])
    number = {text: n + 1 for n, (text, _) in enumerate(counts[:MAX_REASONS])}
    column = np.zeros(len(failures), np.int64)
    for row, text in texts.items():
        column[row] = number.get(text, len(listed))
    return listed, column[order]


def _tokens(result: PerformanceResult, axis: Axis) -> tuple[float, NDArray[Any], str, str]:
    """Return output tokens over equal parts of the run: (seconds per part, counts, note, unit).

    The tokens of a reply are distributed evenly over its chunks, each at its own time, or over the time
    between the first and the last chunk if only these are known. If no token counts are known, chunks are
    counted.
    """
    import numpy as np

    columns = result.requests()
    first, chunks = columns["first_token_ns"], columns["chunks"]
    weight = np.where(chunks > 0, columns["output_tokens"] / np.maximum(chunks, 1), np.nan)
    unit, note = "tokens", "the tokens of a reply are distributed evenly over its chunks"
    if np.isnan(weight).all():
        unit, note = "chunks", "token counts are unknown: these are chunks"
        weight = np.where(chunks > 0, 1.0, np.nan)
    rows = (~np.isnan(weight) & ~np.isnan(first)).nonzero()[0]
    every = max(1, math.ceil(float(chunks[rows].sum()) / MAX_CHUNKS))
    if every > 1:
        note += f"; estimated from one request in {every}"
    rows = rows[::every]
    parts = int(min(TOKEN_PARTS, max(100, axis.span / 1e6)))
    totals = np.zeros(parts)
    scale = parts / axis.span

    def credit(stamps: Any, weights: Any) -> None:
        places = np.clip((stamps - axis.origin) * scale, 0, parts - 1).astype(np.intp)
        totals[:] += np.bincount(places, weights=weights, minlength=parts) * every

    single = rows[chunks[rows] == 1]
    credit(first[single], weight[single])
    unseen = np.isin(np.arange(len(first)), rows) & (chunks > 1)
    for batch_rows, gaps in _batches(result.chunk_gaps(rows)):
        unseen[batch_rows] = False
        credit(first[batch_rows], weight[batch_rows])
        lengths = np.array([len(each) for each in gaps])
        passed = np.cumsum(np.concatenate(gaps), dtype=np.int64)
        # One cumulative sum over all gaps; the sum before each reply is subtracted.
        before = np.concatenate([[0], passed[np.cumsum(lengths)[:-1] - 1]])
        credit(
            passed + np.repeat(first[batch_rows] - before, lengths), np.repeat(weight[batch_rows], lengths)
        )
    for row in unseen.nonzero()[0]:
        tokens = weight[row] * chunks[row]
        pieces = max(1, min(SPREAD, round(tokens)))
        stamps = np.linspace(first[row], columns["last_token_ns"][row], pieces)
        credit(stamps, np.full(pieces, tokens / pieces))
    if (columns["last_token_ns"] > first)[unseen].any():
        note += "; evenly over time where only its first and last chunk are known"
    return axis.span / parts / 1e9, np.rint(totals * 1000), note, unit


def _batches(gaps: Iterable[tuple[int, Any]]) -> Iterator[tuple[list[int], list[Any]]]:
    """Yield rows and their gaps in batches of about a million gaps."""
    rows: list[int] = []
    batch: list[Any] = []
    size = 0
    for row, each in gaps:
        rows.append(row)
        batch.append(each)
        size += len(each)
        if size >= POINTS_PER_BATCH:
            yield rows, batch
            rows, batch, size = [], [], 0
    if rows:
        yield rows, batch


def _planned_rate(result: PerformanceResult, axis: Axis) -> list[list[float]]:
    """Return the planned rate as points [second, rate]; a constant rate ends with the run."""
    points = [list(point) for point in result.requested.rates]
    if len(points) == 2:  # a constant rate
        points[-1][0] = min(points[-1][0], axis.span / 1e9)
    return points


def _late(result: PerformanceResult, axis: Axis, order: Any) -> NDArray[Any]:
    columns = result.requests()
    planned = axis.ticks(columns["planned_ns"][order])
    return _difference(axis.ticks(columns["sent_ns"][order]), planned)


def _rounded(values: Any) -> NDArray[Any]:
    """Return values rounded to integers, NONE for unknown values."""
    import numpy as np

    return np.where(np.isnan(values), NONE, np.rint(values)).astype(np.int64)


def _difference(later: Any, earlier: Any) -> NDArray[Any]:
    import numpy as np

    return np.where((later == NONE) | (earlier == NONE), NONE, later - earlier)


def _increments(values: Any) -> NDArray[Any]:
    """Return the differences of ordered values, which compress better."""
    import numpy as np

    return np.diff(values, prepend=0)


def _unknown(values: Any) -> NDArray[Any]:
    import numpy as np

    unknown: NDArray[Any] = np.isnan(values)
    return unknown


def _packed(head: Mapping[str, Any], columns: Mapping[str, Any]) -> bytes:
    import numpy as np

    arrays = {name: np.clip(column, NONE, 2**31 - 1).astype("<i4") for name, column in columns.items()}
    json = orjson.dumps({**head, "columns": [[name, len(array)] for name, array in arrays.items()]})
    return b"".join((len(json).to_bytes(4, "little"), json, *(array.tobytes() for array in arrays.values())))
