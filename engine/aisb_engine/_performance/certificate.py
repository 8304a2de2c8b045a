"""Decide whether a performance result can be trusted: VALID, SUSPECT or INVALID, with the reasons.

Each signal compares a measurement with a limit. SUSPECT means that the numbers are correct, but may not
answer the user's question. INVALID means that they describe the client, or nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from aisb import AchievedLoad, Certificate, Counters, Signal, Stage, Window
from aisb._performance import CertificateVerdict
from aisb_engine._performance.limits import (
    CPU_SHARE,
    FAILED_SHARE,
    LAG_MS,
    LATE_MS,
    LOAD_TOLERANCE,
    LOST_SHARE,
    MAX_DIFFERING_SHARE,
    RATE_REQUESTS,
    STALLED_SHARE,
    TRACE_GAPS,
    TRACE_REQUESTS,
)
from aisb_engine._performance.sessions import SessionTable
from aisb_engine._performance.token_signals import token_signals

if TYPE_CHECKING:
    from aisb_engine._performance.columns import LogColumns
    from aisb_engine._performance.latency import Requests
    from aisb_engine._performance.stages import InFlight
    from aisb_engine._record.loadfiles import ClientHealthSummary, LoadFiles

SignalName = Literal[
    "failures", "no tokens", "lost workers", "interrupted", "log", "loop lag", "client CPU", "lateness",
    "proxy", "subtasks", "rate", "concurrency", "trace times", "token counts", "input lengths",
    "output lengths", "buffered streams", "cache hits", "not steady", "too few samples", "imported",
]  # fmt: skip
_BY_SEVERITY: tuple[CertificateVerdict, ...] = ("VALID", "SUSPECT", "INVALID")


def certify(
    columns: LogColumns,
    requests: Requests,
    *,
    stages: Sequence[Stage],
    flight: InFlight,
    achieved: AchievedLoad,
    load: LoadFiles,
    counters: Counters | None,
    window: Window | None,
    unsteady: str,
    percentiles: Sequence[float],
) -> Certificate:
    """Return the certificate of a result, with all signals that make it doubtful."""
    signals = [
        *_answers(columns, requests, achieved, load),
        *_loop_lag(load, window),
        *_client(requests, achieved, load),
        *_rate(columns, load),
        *_concurrency(columns, flight, load, window),
        *_trace_times(columns, load),
        *token_signals(columns, requests, load, counters),
        *_size(stages, percentiles, unsteady),
    ]
    signals.sort(key=lambda signal: -_BY_SEVERITY.index(signal.verdict))
    return Certificate(signals[0].verdict if signals else "VALID", tuple(signals))


def _answers(
    columns: LogColumns, requests: Requests, achieved: AchievedLoad, load: LoadFiles
) -> Iterator[Signal]:
    total, failed = len(columns), len(columns.failures)
    if not requests.ok.any():
        reason = "no request was answered" if total else "nothing was sent"
        yield Signal("failures", "INVALID", reason + _refused(columns))
    elif failed:
        verdict: CertificateVerdict = "INVALID" if failed > FAILED_SHARE * total else "SUSPECT"
        row, (kind, message) = next(iter(columns.failures.items()))
        words = (
            f"{failed} of {total} requests failed, the first is request {columns.ids[row]}: {kind}: {message}"
        )
        yield Signal("failures", verdict, f"{words}{_refused(columns)}; log: {load.log_file}")
    empty = int((requests.ok & (columns.count() == 0)).sum())
    if empty > MAX_DIFFERING_SHARE * requests.ok.sum():
        reason = f"{empty} of {requests.ok.sum()} replies that count as answered hold no token"
        yield Signal("no tokens", "SUSPECT", reason)
    yield from _lost_workers(load)
    if load.interrupted or (achieved.offered > total and not load.lost_workers):
        planned = f" of {achieved.offered}" if achieved.offered > total else ""
        yield Signal("interrupted", "SUSPECT", f"the run was interrupted: {total}{planned} requests ended")
    if load.imported:
        reason = f"the times are those of {load.imported}; whether its client kept up is unknown"
        yield Signal("imported", "SUSPECT", reason)
    if columns.damaged:
        yield Signal("log", "SUSPECT", f"{columns.damaged} stretches of the log could not be read")


def _lost_workers(load: LoadFiles) -> Iterator[Signal]:
    if not load.lost_workers:
        return
    share = sum(float(one.get("share") or 0) for one in load.lost_workers)
    first, others = load.lost_workers[0].get("how", "a worker was lost"), len(load.lost_workers) - 1
    more = f" (and {others} more)" if others else ""
    reason = f"{100 * share:.1f} % of the planned requests were lost: {first}{more}"
    yield Signal("lost workers", "INVALID" if share > LOST_SHARE else "SUSPECT", reason)


def _refused(columns: LogColumns) -> str:
    """Return the remedy if the service refuses `ignore_eos`, which performance tasks set."""
    if not any("ignore_eos" in message for _, message in columns.failures.values()):
        return ""
    return "; the service refuses ignore_eos: unset it with --set params.ignore_eos="


def client_health_in(load: LoadFiles, window: Window | None) -> ClientHealthSummary | None:
    """Return the health of the client in the stable stage; without one, over the whole load."""
    return load.client_health_in(window.start, window.end) if window else load.client_health


def _loop_lag(load: LoadFiles, window: Window | None) -> Iterator[Signal]:
    """Yield signals if the client could not keep up: in the stable stage, and before and after it."""
    inside = client_health_in(load, window)
    if inside is None:  # the stage is shorter than a second
        inside, window = load.client_health, None
    if inside is not None and inside.lag is not None and inside.lag > LAG_MS[0]:
        verdict = _grade(inside.lag, LAG_MS)
        limit = LAG_MS[verdict == "INVALID"]
        yield Signal(
            "loop lag",
            verdict,
            f"the client's event loop lagged by {inside.lag:.1f} ms (limit {limit:g} ms): give it more "
            "--workers or a quieter machine",
        )
    elif inside is not None and inside.stalled > STALLED_SHARE:
        yield Signal(
            "loop lag",
            "SUSPECT",
            f"the client's event loop stood still for {100 * inside.stalled:.1f} % of the time, for up to "
            f"{inside.lag_max:.0f} ms: give it more --workers or a quieter machine",
        )
    elif (
        window
        and load.client_health
        and load.client_health.lag is not None
        and load.client_health.lag > LAG_MS[0]
    ):
        yield Signal(
            "loop lag",
            "SUSPECT",
            f"outside the stable stage the client's event loop lagged by {load.client_health.lag:.1f} ms "
            f"(limit {LAG_MS[0]:g} ms), as when many requests begin at once: take the numbers of the "
            "stable stage",
        )
    if inside is not None and inside.cpu is not None and inside.cpu > CPU_SHARE:
        yield Signal(
            "client CPU", "SUSPECT", f"a worker used {100 * inside.cpu:.0f} % of a core: add --workers"
        )


def _client(requests: Requests, achieved: AchievedLoad, load: LoadFiles) -> Iterator[Signal]:
    import numpy as np

    late = requests.lateness[~np.isnan(requests.lateness)]
    p99 = float(np.percentile(late, 99)) if len(late) else 0.0
    if p99 > LATE_MS[0]:
        if load.concurrency and (achieved.peak or 0) >= load.concurrency and load.sessions is None:
            reason = (
                f"requests waited for the concurrency limit of {load.concurrency}: lateness p99 {p99:.1f} ms"
            )
            yield Signal("lateness", "SUSPECT", reason)
        else:
            verdict = _grade(p99, LATE_MS)
            limit = LATE_MS[verdict == "INVALID"]
            reason = f"the client sent late: p99 {p99:.1f} ms after the planned time (limit {limit:g} ms)"
            yield Signal("lateness", verdict, reason)
    if load.proxy:
        yield Signal("proxy", "SUSPECT", f"a proxy stood in between: {load.proxy}")
    if load.subtasks_at_once > 1:
        reason = (
            f"{load.subtasks_at_once} subtasks ran at once and shared the client: use --max-num-workers 1"
        )
        yield Signal("subtasks", "SUSPECT", reason)


def _rate(columns: LogColumns, load: LoadFiles) -> Iterator[Signal]:
    """Compare the rate of the requests that were scheduled with the requested one.

    Of a conversation or a session, only the first request is scheduled.
    """
    import numpy as np

    # In a pressure run the rate is that of new clients.
    if not load.rate or load.ramps or load.requested.get("pressure_time"):
        return
    begun = SessionTable.of(columns).starts
    begun = np.sort(begun[~np.isnan(begun)])
    if len(begun) > RATE_REQUESTS and begun[-1] > begun[0]:
        rate = (len(begun) - 1) / float(begun[-1] - begun[0]) * 1e9
        deviation = abs(rate - load.rate) / load.rate
        if deviation > LOAD_TOLERANCE[0]:
            what = "sessions" if load.sessions else "requests"
            if not load.sessions and len(begun) < np.count_nonzero(~np.isnan(columns["sent"])):
                what = "conversations"
            reason = f"{load.rate:g} {what}/s requested, {rate:.4g} achieved"
            yield Signal("rate", _grade(deviation, LOAD_TOLERANCE), reason)


def _concurrency(
    columns: LogColumns, flight: InFlight, load: LoadFiles, window: Window | None
) -> Iterator[Signal]:
    """Compare the number in flight of a closed loop with the possible one: its peak, then its average.

    The turns of a conversation wait for each other, so the number of conversations limits the number in
    flight.
    """
    pressure = load.requested.get("pressure_time")
    paced = load.rate or load.ramps or load.requested.get("use_timestamp")
    if not load.concurrency or (paced and not pressure) or not len(columns):
        return
    if load.sessions is not None:
        yield from _sessions_in_flight(columns, load.concurrency)
        return
    conversations = len(set(zip(columns.ids, columns["repeat"].tolist(), strict=True)))
    what = "requests" if conversations == len(columns) else "conversations"
    possible, delay = min(load.concurrency, conversations), 0.0
    if pressure and load.rate:  # this many clients begin each second
        possible = max(1, min(possible, math.ceil(load.rate * float(pressure))))
        delay = (possible - 1) / load.rate * 1e9
    shortfall = 1 - flight.peak / possible
    if shortfall > LOAD_TOLERANCE[0]:
        reason = f"{possible} {what} could be in flight, but the peak was {flight.peak}"
        yield Signal("concurrency", _grade(shortfall, LOAD_TOLERANCE), reason)
        return
    if pressure and len(columns.failures) > FAILED_SHARE * len(columns):
        return  # the brake slows clients down while requests fail
    average = _average_in_flight(columns, flight, window, delay)
    shortfall = 0.0 if average is None else 1 - average / possible
    if shortfall > LOAD_TOLERANCE[0]:
        reason = f"{possible} {what} could be in flight, but the average was {average:.4g}"
        yield Signal("concurrency", _grade(shortfall, LOAD_TOLERANCE), reason)


def _sessions_in_flight(columns: LogColumns, concurrency: int) -> Iterator[Signal]:
    """Compare the peak number of sessions with the possible one; a session whose tools work is in flight."""
    sessions = SessionTable.of(columns)
    possible = min(concurrency, len(sessions.starts))
    shortfall = 1 - sessions.flight.peak / possible if possible else 0.0
    if shortfall > LOAD_TOLERANCE[0]:
        reason = f"{possible} sessions could be in flight, but the peak was {sessions.flight.peak}"
        yield Signal("concurrency", _grade(shortfall, LOAD_TOLERANCE), reason)


def _average_in_flight(
    columns: LogColumns, flight: InFlight, window: Window | None, delay: float
) -> float | None:
    """Return the average number in flight while requests remained to be sent; None if there was no such time.

    That is the average of the stable stage. Without one, it is the average from the first time that the peak
    was reached, if in the first half, until the last request began (of a conversation: its first turn). If
    the clients begin one after another, it starts with the last one, `delay` ns after the first.
    """
    import numpy as np

    if window is not None:
        return flight.mean(window.start, window.end)
    sent = columns["sent"]
    first, last = float(np.nanmin(sent)), float(np.nanmax(sent[columns["turn"] == columns["turn"].min()]))
    reached = float(flight.times[(flight.levels >= (1 - LOAD_TOLERANCE[0]) * flight.peak).argmax()])
    start = reached if reached < (first + last) / 2 else first
    start = first + delay if delay else start
    ends = int(((columns.end > start) & (columns.end <= last)).sum())
    # Wait for at least one wave: the first requests to end are not typical.
    return flight.mean(start, last) if ends >= flight.peak else None


def _trace_times(columns: LogColumns, load: LoadFiles) -> Iterator[Signal]:
    """Yield a signal if the times of a trace are evidently in another unit than was assumed."""
    import numpy as np

    planned = columns["planned"][~np.isnan(columns["planned"])]
    if not load.requested.get("use_timestamp") or len(planned) < TRACE_REQUESTS:
        return
    seconds = float(planned.max() - planned.min()) / 1e9
    gap = seconds / (len(planned) - 1)
    if gap < TRACE_GAPS[0]:
        reason = f"{len(planned)} requests in {seconds:.4g} s: are they in seconds, not milliseconds?"
    elif gap > TRACE_GAPS[1]:
        reason = f"one request every {gap:.4g} s: are they in microseconds or smaller, not milliseconds?"
    else:
        return
    yield Signal("trace times", "SUSPECT", f"the times of the trace imply {reason}")


def _size(stages: Sequence[Stage], percentiles: Sequence[float], unsteady: str) -> Iterator[Signal]:
    if unsteady:
        yield Signal("not steady", "SUSPECT", f"not steady: {unsteady}")
    e2el = stages[0].parameters["E2EL"]
    thin = [p for p in percentiles if e2el is not None and e2el.too_few_for(p)]
    if e2el is not None and thin:
        reason = f"{e2el.n} requests are too few for P{thin[0]:g}: it needs {100 / (100 - thin[0]):.0f}"
        yield Signal("too few samples", "SUSPECT", reason)


def _grade(value: float, limits: tuple[float, float]) -> CertificateVerdict:
    return "INVALID" if value > limits[1] else "SUSPECT"
