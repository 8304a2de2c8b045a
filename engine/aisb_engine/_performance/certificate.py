"""Decide whether a performance result can be trusted: VALID, SUSPECT or INVALID, with the reasons.

Each signal compares a measurement with a limit. SUSPECT means that the numbers are correct, but may not
answer the user's question. INVALID means that they describe the client, or nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from aisb import AchievedLoad, Certificate, Counters, Signal, Stage, Window
from aisb._performance import CertificateVerdict
from aisb._types import ChunkKind
from aisb_engine._performance.sessions import SessionTable

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

LAG_MS = (5.0, 50.0)
"""Event-loop lag that makes a result suspect, and invalid; in the stable stage, else in the whole run."""
LATE_MS = (5.0, 100.0)
"""The 99th percentile of lateness, unless the concurrency limit holds requests back."""
STALLED_SHARE = 0.01
"""The share of the time in which the event loop may stand still: that of the requests beyond P99."""
CPU_SHARE = 0.9
FAILED_SHARE = 0.1
LOST_SHARE = 0.1
"""The share of the planned requests that lost workers may have left unasked before a result is invalid."""
MAX_DIFFERING_SHARE = 0.01
"""The share of requests whose counts may disagree without a signal."""
LOAD_TOLERANCE = (0.05, 0.2)
"""The relative difference allowed between achieved and requested rate or concurrency."""
CACHE_POINTS = 0.05
MIN_STREAM_TOKENS = 4
"""Replies with fewer tokens can arrive in one piece on any network."""
END_TOKENS = 1
"""Servers count the end token, which is in no chunk, so a difference of one token is no disagreement."""
TEXT_KINDS: frozenset[ChunkKind] = frozenset(("content", "reasoning"))
INPUT_TOLERANCE = {True: 0.05, False: 0.6}
"""The relative difference allowed between the input tokens that the server counts and those requested: for
prompts that a tokenizer made to an exact length, and for others."""
INPUT_FEWER, INPUT_MORE = 2, 64
"""The absolute difference that is always allowed: fewer tokens, and more, since a chat template adds some."""
TRACE_REQUESTS = 20
TRACE_GAPS = (0.002, 600.0)
"""If the average seconds between the requests of a trace are outside of these limits, its times must be in
another unit. Published traces have up to some tens of requests per second; read 1000 times too fast, most
have more than 500."""


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
        *_rate(achieved, load),
        *_concurrency(columns, flight, load, window),
        *_trace_times(columns, load),
        *_token_counts(columns, requests),
        *_input_lengths(columns, requests, load),
        *_output_lengths(columns, requests, load),
        *_buffered_streams(columns, requests, load),
        *_cache(columns, requests, load, counters),
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


def _rate(achieved: AchievedLoad, load: LoadFiles) -> Iterator[Signal]:
    # In a pressure run the rate is that of new clients.
    if not load.rate or load.ramps or load.requested.get("pressure_time"):
        return
    if achieved.rate is not None and achieved.sent > 20:
        deviation = abs(achieved.rate - load.rate) / load.rate
        if deviation > LOAD_TOLERANCE[0]:
            reason = f"{load.rate:g} requests/s requested, {achieved.rate:.4g} achieved"
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
    possible = min(load.concurrency, conversations)
    shortfall = 1 - flight.peak / possible
    if shortfall > LOAD_TOLERANCE[0]:
        reason = f"{possible} {what} could be in flight, but the peak was {flight.peak}"
        yield Signal("concurrency", _grade(shortfall, LOAD_TOLERANCE), reason)
        return
    if pressure and len(columns.failures) > FAILED_SHARE * len(columns):
        return  # the brake slows clients down while requests fail
    average = _average_in_flight(columns, flight, window)
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


def _average_in_flight(columns: LogColumns, flight: InFlight, window: Window | None) -> float | None:
    """Return the average number in flight while requests remained to be sent; None if there was no such time.

    That is the average of the stable stage. Without one, it is the average from the first time that the peak
    was reached, if in the first half, until the last request began (of a conversation: its first turn).
    """
    import numpy as np

    if window is not None:
        return flight.mean(window.start, window.end)
    sent = columns["sent"]
    first, last = float(np.nanmin(sent)), float(np.nanmax(sent[columns["turn"] == columns["turn"].min()]))
    reached = float(flight.times[(flight.levels >= (1 - LOAD_TOLERANCE[0]) * flight.peak).argmax()])
    start = reached if reached < (first + last) / 2 else first
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


def _token_counts(columns: LogColumns, requests: Requests) -> Iterator[Signal]:
    import numpy as np

    ok = requests.ok
    for name, column in (("the chunks", "counted_tokens"), ("the tokenizer", "retold_tokens")):
        difference = np.abs(columns["usage_tokens"] - columns[column])[ok]
        known = ~np.isnan(difference)
        differ = int((difference[known] > END_TOKENS).sum())
        if differ > MAX_DIFFERING_SHARE * known.sum():
            reason = (
                f"the server's count and {name} disagree on the output tokens of {differ} of {known.sum()}"
            )
            yield Signal("token counts", "SUSPECT", f"{reason} replies")
    usage = columns["usage_tokens"]
    # Tool calls may be sent in more chunks than they have tokens.
    fewer = ok & (columns["streamed"] == 1) & (usage < columns.count(TEXT_KINDS) - END_TOKENS)
    if fewer.sum() > MAX_DIFFERING_SHARE * (ok & ~np.isnan(usage)).sum():
        row = int(fewer.argmax())
        reason = (
            f"the server counts fewer output tokens than chunks with text in {fewer.sum()} of {ok.sum()} "
            f"replies (the first: {usage[row]:.0f} tokens in {columns.count(TEXT_KINDS)[row]:.0f} chunks)"
        )
        yield Signal("token counts", "SUSPECT", reason)
    unknown = int((np.isnan(requests.output_tokens) & ok).sum())
    if 0 < unknown < ok.sum():
        reason = f"the output tokens of {unknown} of {ok.sum()} replies are unknown and not in any sum"
        yield Signal("token counts", "SUSPECT", reason)


def _input_lengths(columns: LogColumns, requests: Requests, load: LoadFiles) -> Iterator[Signal]:
    """Yield a signal if generated prompts have another length by the server's count.

    A chat template adds tokens, but removes none.
    """
    import numpy as np

    requested, counted = columns["requested_input"], requests.input_tokens
    # Later turns contain the conversation so far.
    known = requests.ok & ~np.isnan(requested) & ~np.isnan(counted) & (columns["turn"] == 0)
    if load.input_exact is None or not known.any():
        return
    tolerance = INPUT_TOLERANCE[load.input_exact] * requested
    wrong = known & (
        (counted < requested - tolerance - INPUT_FEWER) | (counted > requested + tolerance + INPUT_MORE)
    )
    if wrong.sum() > MAX_DIFFERING_SHARE * known.sum():
        row = int(wrong.argmax())
        reason = (
            f"the server counts another length than requested for {wrong.sum()} of {known.sum()} prompts "
            f"(the first: {counted[row]:.0f} of {requested[row]:.0f} tokens): "
            "is the tokenizer that of the model?"
        )
        yield Signal("input lengths", "SUSPECT", reason)


def _output_lengths(columns: LogColumns, requests: Requests, load: LoadFiles) -> Iterator[Signal]:
    import numpy as np

    requested, counted = columns["max_tokens"], requests.output_tokens
    known = requests.ok & ~np.isnan(requested) & ~np.isnan(counted)
    # A reply may end before its limit, unless ignore_eos is set; it may never be longer.
    forced = bool(load.requested.get("ignore_eos"))
    cut = np.array([reason == "length" for reason in columns.finish], bool)
    wrong = known & ((counted > requested) | ((counted < requested) & (cut | forced)))
    if wrong.sum() > MAX_DIFFERING_SHARE * known.sum():
        counts, limits = counted[wrong], requested[wrong]
        reason = (
            f"{wrong.sum()} of {known.sum()} replies have another length than requested "
            f"(the first: {counts[0]:.0f} of {limits[0]:.0f} tokens)"
        )
        yield Signal("output lengths", "SUSPECT", reason)


def _buffered_streams(columns: LogColumns, requests: Requests, load: LoadFiles) -> Iterator[Signal]:
    """Yield a signal for streams that arrived in one piece, held on the way or by a client that lagged."""
    import numpy as np

    long = requests.ok & (np.fmax(requests.output_tokens, columns.count()) >= MIN_STREAM_TOKENS)
    at_once = int((long & requests.at_once).sum())
    if at_once > MAX_DIFFERING_SHARE * long.sum():
        lag = load.client_health.lag if load.client_health else None
        remedy = "look for a proxy or gateway that buffers streams"
        if lag is not None and lag > LAG_MS[0]:
            remedy = "this client lagged, which may be the cause; otherwise " + remedy
        reason = (
            f"all chunks of {at_once} of {long.sum()} replies came at one moment, so TPOT, ITL and "
            f"ICL leave these out: {remedy}"
        )
        yield Signal("buffered streams", "SUSPECT", reason)


def _cache(
    columns: LogColumns, requests: Requests, load: LoadFiles, counters: Counters | None
) -> Iterator[Signal]:
    import numpy as np

    cached, inputs = columns["cached_tokens"], requests.input_tokens
    known = requests.ok & ~np.isnan(cached) & ~np.isnan(inputs)
    hits: float | None = None
    if known.any() and inputs[known].sum() > 0:
        hits = float(cached[known].sum() / inputs[known].sum())
    elif counters is not None:
        hits = counters.prefix_hit_rate
    declared = load.number("cache_share") or 0.0
    least = load.number("min_cache_share")
    low = declared if least is None else least
    if hits is not None and not low - CACHE_POINTS <= hits <= declared + CACHE_POINTS:
        reason = f"{100 * hits:.0f} % of the input tokens came from the server's prefix cache, "
        reason += f"{100 * declared:.0f} % were declared" if declared else "and none were declared"
        reason += " (load.cache_share)"
        yield Signal("cache hits", "SUSPECT", reason)


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
