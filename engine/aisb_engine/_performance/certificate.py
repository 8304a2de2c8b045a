"""Whether a performance result can be believed: VALID, SUSPECT or INVALID, with the reasons.

Each signal compares something measured with a limit. SUSPECT means that the numbers are what was measured,
but perhaps not what was meant; INVALID that they say something about the client, or about nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from aisb import AchievedLoad, Certificate, Counters, Signal, Stage, Window
from aisb._performance import CertificateVerdict

if TYPE_CHECKING:
    from aisb_engine._performance.columns import Columns
    from aisb_engine._performance.latency import Requests
    from aisb_engine._record.loadfiles import LoadFiles

SignalName = Literal[
    "failures", "no tokens", "interrupted", "log", "loop lag", "client CPU", "lateness", "proxy",
    "subtasks", "rate", "concurrency", "token counts", "output lengths", "cache hits", "not steady",
    "too few samples",
]  # fmt: skip
_WORSE: tuple[CertificateVerdict, ...] = ("VALID", "SUSPECT", "INVALID")

LAG_MS = (5.0, 50.0)
"""Event-loop lag from which a result is suspect, and invalid: in the stable stage, else in all of the run."""
LATE_MS = (5.0, 100.0)
"""p99 of lateness, as long as the concurrency limit does not hold requests back."""
CPU_SHARE = 0.9
FAILED_SHARE = 0.1
DIFFERS = 0.01
"""The share of requests that may differ in a count before it is a signal."""
MISSED = (0.05, 0.2)
"""How far the achieved rate or concurrency may stay away from the one asked."""
CACHE_POINTS = 0.05
END_TOKEN = 1
"""Servers count the end token, which no chunk shows: one token apart is no disagreement."""


def certify(
    columns: Columns,
    requests: Requests,
    *,
    stages: Sequence[Stage],
    achieved: AchievedLoad,
    load: LoadFiles,
    counters: Counters | None,
    window: Window | None,
    unsteady: str,
    percentiles: Sequence[float],
) -> Certificate:
    """Weigh everything that speaks against a result."""
    signals = [
        *_answers(columns, requests, achieved, load),
        *_kept_up(load, window),
        *_client(requests, achieved, load),
        *_asked(requests, achieved, load),
        *_tokens(columns, requests, load),
        *_cache(columns, requests, load, counters),
        *_size(stages, percentiles, unsteady),
    ]
    signals.sort(key=lambda signal: -_WORSE.index(signal.verdict))
    return Certificate(signals[0].verdict if signals else "VALID", tuple(signals))


def _answers(
    columns: Columns, requests: Requests, achieved: AchievedLoad, load: LoadFiles
) -> Iterator[Signal]:
    total, failed = len(columns), len(columns.failures)
    if not requests.ok.any():
        yield Signal("failures", "INVALID", "no request was answered" if total else "nothing was sent")
    elif failed:
        verdict: CertificateVerdict = "INVALID" if failed > FAILED_SHARE * total else "SUSPECT"
        row, (kind, message) = next(iter(columns.failures.items()))
        words = (
            f"{failed} of {total} requests failed, the first is request {columns.ids[row]}: {kind}: {message}"
        )
        yield Signal("failures", verdict, f"{words}; log: {load.log_file}")
    empty = int((requests.ok & (columns.count() == 0)).sum())
    if empty > DIFFERS * requests.ok.sum():
        reason = f"{empty} of {requests.ok.sum()} replies that count as answered hold no token"
        yield Signal("no tokens", "SUSPECT", reason)
    if load.interrupted or achieved.offered > total:
        planned = f" of {achieved.offered}" if achieved.offered > total else ""
        yield Signal("interrupted", "SUSPECT", f"the run was interrupted: {total}{planned} requests ended")
    if columns.damaged:
        yield Signal("log", "SUSPECT", f"{columns.damaged} stretches of the log could not be read")


def _kept_up(load: LoadFiles, window: Window | None) -> Iterator[Signal]:
    """Weigh how well the client kept up: in the stable stage, and apart from that while it was reached."""
    inside = load.client_health_in(window.start, window.end) if window else load.client_health
    if inside is None:  # a stage of less than a second
        inside, window = load.client_health, None
    if inside is not None and inside.lag is not None and inside.lag > LAG_MS[0]:
        yield Signal(
            "loop lag",
            _grade(inside.lag, LAG_MS),
            f"the client's event loop lagged by {inside.lag:.1f} ms (limit {LAG_MS[0]:g} ms): give it more "
            "--workers or a quieter machine",
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
        if load.concurrency and achieved.peak >= load.concurrency:
            reason = (
                f"requests waited for the concurrency limit of {load.concurrency}: lateness p99 {p99:.1f} ms"
            )
            yield Signal("lateness", "SUSPECT", reason)
        else:
            reason = (
                f"the client sent late: p99 {p99:.1f} ms after the planned time (limit {LATE_MS[0]:g} ms)"
            )
            yield Signal("lateness", _grade(p99, LATE_MS), reason)
    if load.proxy:
        yield Signal("proxy", "SUSPECT", f"a proxy stood in between: {load.proxy}")
    if load.subtasks_at_once > 1:
        reason = (
            f"{load.subtasks_at_once} subtasks ran at once and shared the client: use --max-num-workers 1"
        )
        yield Signal("subtasks", "SUSPECT", reason)


def _asked(requests: Requests, achieved: AchievedLoad, load: LoadFiles) -> Iterator[Signal]:
    if load.rate and achieved.rate is not None and achieved.sent > 20:
        off = abs(achieved.rate - load.rate) / load.rate
        if off > MISSED[0] and not load.asked.get("ramp_up"):
            reason = f"{load.rate:g} requests/s were asked and {achieved.rate:.4g} sent"
            yield Signal("rate", _grade(off, MISSED), reason)
    paced = load.rate or load.asked.get("ramp_up") or load.asked.get("use_timestamp")
    if load.concurrency and not paced:
        possible = min(load.concurrency, len(requests.ok))
        off = 1 - achieved.peak / possible if possible else 0.0
        if off > MISSED[0]:
            reason = f"{possible} requests could be in flight and {achieved.peak} were at most"
            yield Signal("concurrency", _grade(off, MISSED), reason)


def _tokens(columns: Columns, requests: Requests, load: LoadFiles) -> Iterator[Signal]:
    import numpy as np

    ok = requests.ok
    for name, column in (("the chunks", "counted_tokens"), ("the tokenizer", "retold_tokens")):
        apart = np.abs(columns["usage_tokens"] - columns[column])[ok]
        known = ~np.isnan(apart)
        differ = int((apart[known] > END_TOKEN).sum())
        if differ > DIFFERS * known.sum():
            reason = (
                f"the server's count and {name} disagree on the output tokens of {differ} of {known.sum()}"
            )
            yield Signal("token counts", "SUSPECT", f"{reason} replies")
    unknown = int((np.isnan(requests.output_tokens) & ok).sum())
    if 0 < unknown < ok.sum():
        reason = f"the output tokens of {unknown} of {ok.sum()} replies are not known and not in any sum"
        yield Signal("token counts", "SUSPECT", reason)
    asked, told = columns["asked_tokens"], requests.output_tokens
    known = ok & ~np.isnan(asked) & ~np.isnan(told)
    # A reply may end before its limit, unless it was told to go on; it may never be longer.
    forced = bool(load.asked.get("ignore_eos"))
    cut = np.array([reason == "length" for reason in columns.finish], bool)
    wrong = known & ((told > asked) | ((told < asked) & (cut | forced)))
    if wrong.sum() > DIFFERS * known.sum():
        short, most = told[wrong], asked[wrong]
        reason = (
            f"{wrong.sum()} of {known.sum()} replies have another length than was asked "
            f"(the first: {short[0]:.0f} of {most[0]:.0f} tokens)"
        )
        yield Signal("output lengths", "SUSPECT", reason)


def _cache(
    columns: Columns, requests: Requests, load: LoadFiles, counters: Counters | None
) -> Iterator[Signal]:
    import numpy as np

    cached, taken = columns["cached_tokens"], requests.input_tokens
    known = requests.ok & ~np.isnan(cached) & ~np.isnan(taken)
    hits: float | None = None
    if known.any() and taken[known].sum() > 0:
        hits = float(cached[known].sum() / taken[known].sum())
    elif counters is not None:
        hits = counters.prefix_hit_rate
    declared = load.number("cache_share") or 0.0
    least = load.number("cache_share_least")
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
