"""What the pages hold: a header, and columns of whole numbers with an entry a request, in order of sending.

Times are counted in ticks (a microsecond, or more in runs of over half an hour) from the first request; NONE
is "not known". The page's script reads this form in shared.js: the header's length, the header as JSON, the
columns one after the other.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from aisb_engine._load.arrivals import Ramp
from aisb_engine._performance.performance import Performance
from aisb_engine._performance.throughput import per

if TYPE_CHECKING:
    from numpy.typing import NDArray

NONE = -(2**31)
MOST_REQUESTS = 300_000
"""How many requests a page holds; of more, every second, third, …"""
MOST_CHUNKS = 50_000_000
"""How many chunks are credited at their own time; of more, those of every second, third, … request."""
BATCH = 1_000_000
MOST_REASONS = 200
LONGEST_REASON = 300
TOKEN_PARTS = 6_000
VALUES = 400
"""Parts of a drawn ramp."""


class Axis(NamedTuple):
    """The page's clock: where 0 lies and how long the run took, in nanoseconds, and a tick of it."""

    origin: float
    span: float
    tick: int

    def ticks(self, stamps: Any) -> NDArray[Any]:
        """Return stamps in ticks from the origin."""
        return _whole((stamps - self.origin) / self.tick)


def requests(found: Performance, most: int = MOST_REQUESTS) -> bytes:
    """Return the data of the page with requests, concurrency, tokens and latencies."""
    axis, order, starts = placed(found)
    every = max(1, math.ceil(len(order) / most))
    order = order[::every]
    columns, each = found.columns, found.requests
    start = axis.ticks(starts[order])
    reasons, reason = _reasons(found, order)
    ends = axis.ticks(columns.end[order])
    ends[_unknown(columns["sent"][order])] = NONE
    width, tokens, token_notes, unit = _tokens(found, axis)
    return _packed(
        {
            **_head(found, axis, every),
            "labels": _labels(found, order),
            "reasons": reasons,
            "token_part": width,
            "token_unit": unit,
            "token_note": token_notes,
        },
        {
            "start": _steps(start),
            "length": _apart(ends, start),
            "ttft": _whole(each.ttft[order] * 1e6 / axis.tick),
            "e2el": _whole(each.e2el[order] * 1e6 / axis.tick),
            "tpot_ns": _whole(each.tpot[order] * 1e6),
            "late": _late(found, axis, order),
            "output": _whole(each.output_tokens[order]),
            "reason": reason,
            "tokens": tokens,
        },
    )


def rates(found: Performance, most: int = MOST_REQUESTS) -> bytes:
    """Return the data of the page with the request rate, lateness and intervals."""
    axis, order, starts = placed(found)
    every = max(1, math.ceil(len(order) / most))
    # A request that was never sent has no place in the rate, unless it was planned.
    known = ~_unknown(found.columns["sent"][order]) | ~_unknown(found.columns["planned"][order])
    order = order[known]
    sent = ~_unknown(found.columns["sent"][order])
    return _packed(
        {**_head(found, axis, every), "asked": _asked_rate(found, axis)},
        {
            "start": _steps(axis.ticks(starts[order][::every])),
            "late": _late(found, axis, order[::every]),
            "sent": sent[::every],
        },
    )


def placed(found: Performance) -> tuple[Axis, Any, Any]:
    """Return the page's clock, the rows in the order of their starts, and when each row starts.

    A request that was never sent starts when it was planned, or else when it failed.
    """
    import numpy as np

    columns = found.columns
    starts = columns["sent"]
    for stamps in (columns["planned"], columns["connected"], columns["done"]):
        starts = np.where(np.isnan(starts), stamps, starts)
    origin = float(np.nanmin(np.fmin(starts, columns["planned"]))) if not np.isnan(starts).all() else 0.0
    starts = np.where(np.isnan(starts), origin, starts)
    last = float(np.nanmax(np.fmax(starts, columns.end))) if len(starts) else origin
    span = max(last - origin, 1e6)
    tick = 1000 * math.ceil(span / (2**31 - 2) / 1000)
    return Axis(origin, span, tick), np.argsort(starts, kind="stable"), starts


def _head(found: Performance, axis: Axis, every: int) -> dict[str, Any]:
    window = found.window
    certificate = found.certificate
    return {
        "tick": axis.tick / 1e9,
        "span": axis.span / 1e9,
        "every": every,
        "requests": len(found.columns),
        "limit": found.load.concurrency,
        "window": window and [(window.start - axis.origin) / 1e9, (window.end - axis.origin) / 1e9],
        "facts": [[name, value] for name, value in _facts(found)],
        "verdict": certificate.verdict,
        "signals": [[signal.verdict, signal.reason] for signal in certificate.signals],
        "notes": list(found.notes),
    }


def _facts(found: Performance) -> Iterator[tuple[str, str]]:
    """Yield what is said at the top of a page."""
    common, load, achieved = found.stages[0].common, found.load, found.achieved
    yield "requests", f"{common.requests:,}, {common.failed:,} failed"
    if common.duration_ms is not None:
        yield "took", f"{common.duration_ms / 1000:,.4g} s"
    rate = f"{load.rate:g}/s" if load.rate else "no pacing"
    if load.asked.get("ramp_up"):
        rate = f"{load.asked['ramp_up']}/s"
    if load.asked.get("use_timestamp"):
        rate = "the trace's own times"
    sent = "" if achieved.rate is None else f", sent {achieved.rate:,.4g}/s"
    yield "rate", f"asked {rate}{sent}"
    limit = f"at most {load.concurrency:,}" if load.concurrency else "no limit"
    had = "" if achieved.concurrency is None else f", had {achieved.concurrency:,.4g}, peak {achieved.peak:,}"
    yield "concurrency", f"asked {limit}{had}"
    if found.window is None:
        yield "stable", f"not steady: {found.unsteady}"
    else:
        yield "stable", f"{found.window.seconds:,.4g} s with {found.window.level:,.4g} in flight"


def _labels(found: Performance, order: Any) -> list[str]:
    """Return what each request is called where it is pointed at."""
    columns = found.columns
    parts = [[columns.ids[row] for row in order]]
    told = [name for name in ("repeat", "turn") if columns[name].any()]
    parts += [[f"{name} {number:.0f}" for number in columns[name][order]] for name in told]
    return [", ".join(each) for each in zip(*parts, strict=True)]


def _reasons(found: Performance, order: Any) -> tuple[list[list[Any]], NDArray[Any]]:
    """Return [reason, count] of all failures, the most frequent first, and each row's place there, from 1."""
    import numpy as np

    texts = {
        row: f"{kind}: {message}"[:LONGEST_REASON] for row, (kind, message) in found.columns.failures.items()
    }
    counts = Counter(texts.values()).most_common()
    listed: list[list[Any]] = [[text, count] for text, count in counts[:MOST_REASONS]]
    if len(counts) > MOST_REASONS:
        listed.append(["other reasons", sum(count for _, count in counts[MOST_REASONS:])])
    number = {text: n + 1 for n, (text, _) in enumerate(counts[:MOST_REASONS])}
    column = np.zeros(len(found.columns), np.int64)
    for row, text in texts.items():
        column[row] = number.get(text, len(listed))
    return listed, column[order]


def _tokens(found: Performance, axis: Axis) -> tuple[float, NDArray[Any], str, str]:
    """Return output tokens over equal parts of the run: (seconds a part, counts, what to know, unit).

    A reply's tokens are shared evenly over its chunks, each at its own time. Where no reply's tokens are
    known, chunks are counted.
    """
    import numpy as np

    columns = found.columns
    first, chunks = columns.first(), columns.count()
    weight = np.where(chunks > 0, found.requests.output_tokens / np.maximum(chunks, 1), np.nan)
    unit, note = "tokens", "the tokens of a reply are shared evenly over its chunks"
    if np.isnan(weight).all():
        unit, note = "chunks", "tokens are not known: these are chunks"
        weight = np.where(chunks > 0, 1.0, np.nan)
    rows = (~np.isnan(weight) & ~np.isnan(first)).nonzero()[0]
    every = max(1, math.ceil(float(chunks[rows].sum()) / MOST_CHUNKS))
    if every > 1:
        note += f"; estimated from one request in {every}"
    rows = rows[::every]
    parts = int(min(TOKEN_PARTS, max(100, axis.span / 1e6)))
    totals = np.zeros(parts)
    scale = parts / axis.span

    def credit(stamps: Any, weights: Any) -> None:
        places = np.clip((stamps - axis.origin) * scale, 0, parts - 1).astype(np.intp)
        totals[:] += np.bincount(places, weights=weights, minlength=parts) * every

    credit(first[rows], weight[rows])
    for some, gaps in _batches(columns.gaps(rows)):
        lengths = np.array([len(each) for each in gaps])
        passed = np.cumsum(np.concatenate(gaps), dtype=np.int64)
        # One sum over all of them: what had passed before each reply began is taken off again.
        before = np.concatenate([[0], passed[np.cumsum(lengths)[:-1] - 1]])
        credit(passed + np.repeat(first[some] - before, lengths), np.repeat(weight[some], lengths))
    return axis.span / parts / 1e9, np.rint(totals * 1000), note, unit


def _batches(gaps: Iterable[tuple[int, Any]]) -> Iterator[tuple[list[int], list[Any]]]:
    """Yield rows and their gaps, about a million gaps at a time."""
    rows: list[int] = []
    found: list[Any] = []
    held = 0
    for row, each in gaps:
        rows.append(row)
        found.append(each)
        held += len(each)
        if held >= BATCH:
            yield rows, found
            rows, found, held = [], [], 0
    if rows:
        yield rows, found


def _asked_rate(found: Performance, axis: Axis) -> list[list[float]]:
    """Return the rate asked as points [second, rate], or nothing where none was."""
    load = found.load
    if ramp := load.asked.get("ramp_up"):
        return list(_ramp(Ramp.parse(str(ramp)), load.planned or len(found.columns)))
    if load.rate and not load.asked.get("pressure_time"):
        ended = min(axis.span / 1e9, per(load.planned, load.rate) or math.inf)
        return [[0.0, load.rate], [ended, load.rate]]
    return []


def _ramp(ramp: Ramp, count: int) -> Iterator[list[float]]:
    at = 0.0
    edges = [number / VALUES for number in range(VALUES + 1)]
    yield [at, ramp.rate(0)]
    for before, after in pairwise(edges):
        at += count / VALUES / ramp.rate((before + after) / 2)
        yield [at, ramp.rate(after)]


def _late(found: Performance, axis: Axis, order: Any) -> NDArray[Any]:
    planned = axis.ticks(found.columns["planned"][order])
    return _apart(axis.ticks(found.columns["sent"][order]), planned)


def _whole(values: Any) -> NDArray[Any]:
    """Return values to the nearest whole number, NONE where they are not known."""
    import numpy as np

    return np.where(np.isnan(values), NONE, np.rint(values)).astype(np.int64)


def _apart(later: Any, earlier: Any) -> NDArray[Any]:
    import numpy as np

    return np.where((later == NONE) | (earlier == NONE), NONE, later - earlier)


def _steps(values: Any) -> NDArray[Any]:
    """Return values in order as the steps between them, which deflate better."""
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
