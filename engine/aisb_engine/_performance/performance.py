"""Compute every number of docs/performance.md from the log of a subtask.

`measure` returns a `MeasuredPerformance`, the value that reporters use. Times are milliseconds, rates are per
second, and None (NaN in columns) means "unknown", never zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from aisb import (
    AchievedLoad,
    Certificate,
    DialectResult,
    Distribution,
    Goodput,
    PerformanceResult,
    RequestedLoad,
    Signal,
    Stage,
    Window,
)
from aisb._errors import CheckFailed, UsageError
from aisb_engine._load.arrivals import Ramp
from aisb_engine._performance.certificate import certify, client_health_in
from aisb_engine._performance.columns import LogColumns
from aisb_engine._performance.counters import counter_increases
from aisb_engine._performance.dialects import dialect, measure_by
from aisb_engine._performance.gaps import POOLS, gap_distributions
from aisb_engine._performance.imported import imported_measurements
from aisb_engine._performance.latency import SOURCES, Requests, each_request
from aisb_engine._performance.objectives import checked_limits, kept
from aisb_engine._performance.reading import CountTokens, read_columns
from aisb_engine._performance.sessions import checked_tier, session_numbers
from aisb_engine._performance.split import Split, split_for
from aisb_engine._performance.spreads import distribution_of
from aisb_engine._performance.stages import InFlight, in_flight, steady
from aisb_engine._performance.throughput import per, whole_totals, window_totals
from aisb_engine._record.loadfiles import LoadFiles, read_load_files
from aisb_engine._record.runfolder import RunFolder

if TYPE_CHECKING:
    from aisb_engine._performance.columns import Floats

DEFAULT_PERCENTILES = (75.0, 90.0, 99.0)
FURTHER_PERCENTILES = {95.0: 1, 99.0: 1, 99.9: 1000}
"""Percentiles that are always measured, and the number of values that each needs."""
NOTHING_SENT = Certificate("INVALID", (Signal("failures", "INVALID", "nothing was sent"),))
RAMPS = "the rate changes as requested, so there is only the stage total"
GAPS = frozenset(("ICL", "ITL"))
"""The quantities that need the times of all chunks."""
RAMP_POINTS = 400
"""The number of parts into which the planned rate of a ramp is divided."""


@dataclass(frozen=True)
class MeasuredPerformance(PerformanceResult):
    """The measurements, with the columns that they were computed from."""

    columns: LogColumns = field(repr=False)
    numbers: Requests = field(repr=False)
    chunk_times: bool = True

    def requests(self) -> Mapping[str, Any]:
        """Return the values of every request as columns by name."""
        return self._requests

    def chunk_gaps(self, rows: Iterable[int]) -> Iterator[tuple[int, Any]]:
        """Yield (row, nanoseconds between its chunks with tokens) for rows with two stamps or more."""
        if not self.chunk_times:
            return iter(())
        return self.columns.gaps(row for row in rows if not self.numbers.at_once[row])

    def dialect(self, name: str) -> DialectResult:
        """Return the same run measured by the rules of another tool."""
        rules = dialect(name)
        parameters = measure_by(self.columns, rules, _with_further(self.percentiles)).parameters
        found = {key: _enough(one, self.percentiles) for key, one in parameters.items()}
        if not self.chunk_times:
            found |= dict.fromkeys(GAPS & found.keys())
        return DialectResult(name, rules.summary, found)

    @cached_property
    def _requests(self) -> Mapping[str, Any]:
        columns, numbers = self.columns, self.numbers
        failures = [columns.failures.get(row) for row in range(len(columns))]
        return {
            "id": columns.ids,
            "ok": numbers.ok,
            "finish_reason": [reason or "" for reason in columns.finish],
            "failure": [": ".join(failure or ()) for failure in failures],
            "failure_kind": [failure[0] if failure else "" for failure in failures],
            "output_tokens_source": [SOURCES[source] if source >= 0 else "" for source in numbers.source],
            **{name: columns[name] for name in ("repeat", "turn", "attempts", "streamed", "cached_tokens")},
            "max_tokens": columns["max_tokens"],
            "chunks": columns.count(),
            "input_tokens": numbers.input_tokens,
            "output_tokens": numbers.output_tokens,
            **{f"{name}_ns": columns[name] for name in ("planned", "connected", "sent", "headers", "done")},
            "first_token_ns": columns.first(),
            "last_token_ns": columns.last(),
            "end_ns": columns.end,
            **{name: getattr(numbers, name) for name in _TIMES},
        }


_TIMES = (
    "ttfb", "ttft", "ttfc", "tpot", "e2el", "e2el_close", "ttft_planned", "e2el_planned", "lateness",
)  # fmt: skip


def measure(
    folder: RunFolder,
    model: str,
    task: str,
    *,
    percentiles: Sequence[float] = DEFAULT_PERCENTILES,
    objectives: Mapping[str, float] | None = None,
    tiers: Mapping[str, Mapping[str, Any]] | None = None,
    count_tokens: CountTokens | None = None,
) -> PerformanceResult:
    """Compute the performance of a subtask from its log; return the imported numbers if there is no log.

    `objectives` are upper limits for each request, in milliseconds by name. `tiers` are limits for the
    requests of a session, by the name of the tier. `count_tokens` returns the number of tokens in a text, for
    services that do not report it.

    Raises:
        UsageError: an objective or percentile is invalid.
        RunError: the log cannot be read.
    """
    percentiles, objectives = checked(percentiles, objectives)
    tiers = {name: checked_tier(name, limits) for name, limits in (tiers or {}).items()}
    load = read_load_files(folder, model, task)
    log = folder.log(model, task)
    if imported := imported_measurements(log, model, task, load, percentiles):
        return imported
    with split_for(log) as split:
        columns = read_columns(log, count_tokens=count_tokens, split=split)
        requests = each_request(columns)
        sent, end = columns["sent"], columns.end
        window, unsteady = steady(sent, end, requests.e2el, requests.output_tokens)
        if load.ramps:
            window, unsteady = None, RAMPS
        flight = in_flight(sent, end)
        stages = tuple(
            _stages(columns, requests, flight, window, load=load, percentiles=percentiles, split=split)
        )
    achieved = _achieved(columns, flight, load)
    counters = counter_increases(load.counters)
    sessions = session_numbers(columns, requests, load, tiers)
    return MeasuredPerformance(
        model=model,
        task=task,
        percentiles=percentiles,
        stages=stages,
        window=window,
        unsteady=unsteady,
        requested=_requested(load, len(columns)),
        achieved=achieved,
        goodput=_goodput(requests, objectives, achieved, stages[0].totals.duration_ms),
        certificate=certify(
            columns,
            requests,
            stages=stages,
            flight=flight,
            achieved=achieved,
            load=load,
            counters=counters,
            window=window,
            unsteady="" if load.ramps else unsteady,
            percentiles=percentiles,
        ),
        counters=counters,
        client_health=_client_health(load, window),
        notes=(*(sessions["lines"] if sessions else ()), *_notes(columns, requests, load)),
        sessions=sessions,
        columns=columns,
        numbers=requests,
        chunk_times=load.chunk_times,
    )


def _client_health(load: LoadFiles, window: Window | None) -> dict[str, float | None] | None:
    """Return the health of the client over the load, and its event-loop lag in the stable stage."""
    health = load.client_health
    if health is None:
        return None
    inside = client_health_in(load, window) or health
    return {**asdict(health), "lag_stable": inside.lag}


def checked(
    percentiles: Sequence[float], objectives: Mapping[str, Any] | None
) -> tuple[tuple[float, ...], Mapping[str, float]]:
    """Return percentiles, and objectives in milliseconds. Raise `UsageError` if they are invalid."""
    try:
        percentiles = tuple(dict.fromkeys(map(float, percentiles)))
    except (TypeError, ValueError):
        raise UsageError(
            f"percentiles {percentiles!r}: expected numbers, as in percentiles = [50, 99]"
        ) from None
    if objectives is not None and not isinstance(objectives, Mapping):
        raise UsageError(f"objectives {objectives!r}: expected a table, as in objectives = {{ttft = 300}}")
    for percent in percentiles:
        if not 0 < percent < 100:
            raise UsageError(f"a percentile of {percent:g}: it must be between 0 and 100, as in 99 or 99.9")
    return percentiles, checked_limits(objectives)


def require_valid(
    results: Mapping[tuple[str, str], PerformanceResult], pairs: Iterable[tuple[str, str]]
) -> None:
    """Raise unless the result of every (model, task) pair is VALID.

    Raises:
        CheckFailed: one is not, or was never sent; the message names each with its reasons.
    """
    lines = []
    for model, task in pairs:
        certificate = NOTHING_SENT
        if result := results.get((model, task)):
            certificate = result.certificate
        if certificate.verdict != "VALID":
            reasons = "\n".join(f"  {reason}" for reason in certificate.reasons)
            lines.append(f"{task} · {model} is {certificate.verdict}:\n{reasons}")
    if lines:
        raise CheckFailed("\n".join(lines) + "\n  without --require-valid this is reported, but not an error")


def _stages(
    columns: LogColumns,
    requests: Requests,
    flight: InFlight,
    window: Window | None,
    *,
    load: LoadFiles,
    percentiles: tuple[float, ...],
    split: Split | None,
) -> Iterator[Stage]:
    import numpy as np

    sent = columns["sent"]
    ok = requests.ok
    inside = np.zeros(len(columns), bool)
    if window is not None:
        inside = (sent >= window.start) & (sent < window.end)
    gaps: Mapping[str, Distribution | None] = dict.fromkeys(POOLS)
    if load.chunk_times:
        gaps = gap_distributions(columns, requests, inside, _with_further(percentiles), split)
    yield Stage(
        "total",
        _parameters(requests, ok, percentiles, gaps["ICL total"], gaps["ITL total"]),
        whole_totals(columns, requests, load.concurrency),
    )
    if window is not None:
        yield Stage(
            "stable",
            _parameters(requests, ok & inside, percentiles, gaps["ICL stable"], gaps["ITL stable"]),
            window_totals(columns, requests, flight, window, load.concurrency, chunk_times=load.chunk_times),
        )


def _parameters(
    requests: Requests,
    chosen: Any,
    percentiles: tuple[float, ...],
    icl: Distribution | None,
    itl: Distribution | None,
) -> dict[str, Distribution | None]:
    def of(values: Floats) -> Distribution | None:
        return distribution_of(values[chosen], _with_further(percentiles))

    parameters = {
        "E2EL": of(requests.e2el),
        "TTFT": of(requests.ttft),
        "TPOT": of(requests.tpot),
        "ITL": itl,
        "InputTokens": of(requests.input_tokens),
        "OutputTokens": of(requests.output_tokens),
        "OutputTokenThroughput": of(requests.output_rate),
        "PrefillTokenThroughput": of(requests.prefill_rate),
        "TTFB": of(requests.ttfb),
        "TTFC": of(requests.ttfc),
        "ICL": icl,
        "E2EL(close)": of(requests.e2el_close),
        "TTFT(planned)": of(requests.ttft_planned),
        "E2EL(planned)": of(requests.e2el_planned),
        "Lateness": of(requests.lateness),
    }
    return {name: _enough(one, percentiles) for name, one in parameters.items()}


def _with_further(percentiles: Sequence[float]) -> tuple[float, ...]:
    return tuple(sorted({*percentiles, *FURTHER_PERCENTILES}))


def _enough(distribution: Distribution | None, percentiles: Sequence[float]) -> Distribution | None:
    """Return a distribution without unrequested percentiles that need more values."""
    if distribution is None:
        return None
    enough = {
        percent: value
        for percent, value in distribution.percentiles.items()
        if percent in percentiles or distribution.n >= FURTHER_PERCENTILES[percent]
    }
    return replace(distribution, percentiles=enough)


def _achieved(columns: LogColumns, flight: InFlight, load: LoadFiles) -> AchievedLoad:
    import numpy as np

    sent = np.sort(columns["sent"][~np.isnan(columns["sent"])])
    span = float(sent[-1] - sent[0]) / 1e9 if len(sent) > 1 else 0.0
    return AchievedLoad(
        offered=max(load.planned or 0, len(columns)),
        sent=len(sent),
        rate=(len(sent) - 1) / span if span > 0 else None,
        concurrency=flight.mean(flight.times[0], flight.times[-1]) if len(flight.times) else None,
        peak=flight.peak,
    )


def _requested(load: LoadFiles, sent: int) -> RequestedLoad:
    return RequestedLoad(
        load.requested,
        load.planned,
        load.concurrency,
        None if load.requested.get("pressure_time") else load.rate,
        tuple(_planned_rates(load, sent)),
    )


def _planned_rates(load: LoadFiles, sent: int) -> Iterator[tuple[float, float]]:
    """Yield points (second, requests per second) of the planned rate; none without pacing."""
    if text := load.requested.get("ramp_up"):
        ramp, at = Ramp.parse(str(text)), 0.0
        yield at, ramp.rate(0)
        for before, after in pairwise(point / RAMP_POINTS for point in range(RAMP_POINTS + 1)):
            at += (load.planned or sent) / RAMP_POINTS / ramp.rate((before + after) / 2)
            yield at, ramp.rate(after)
    elif load.rate and not load.requested.get("pressure_time"):
        yield 0.0, load.rate
        yield per(load.planned, load.rate) or math.inf, load.rate


def _goodput(
    requests: Requests, objectives: Mapping[str, float], achieved: AchievedLoad, duration_ms: float | None
) -> Goodput | None:
    if not objectives:
        return None
    count = int(kept(requests, objectives).sum())
    seconds = None if duration_ms is None else duration_ms / 1000
    return Goodput(objectives, count, per(count, seconds), per(count, achieved.offered))


def _notes(columns: LogColumns, requests: Requests, load: LoadFiles) -> Iterator[str]:
    import numpy as np

    ok = requests.ok
    if ok.any():
        counts = [
            f"{name} {n}" for i, name in enumerate(SOURCES) if (n := int((requests.source[ok] == i).sum()))
        ]
        if unknown := int((requests.source[ok] < 0).sum()):
            chunks = int(columns.count()[ok & (requests.source < 0)].sum())
            counts.append(f"unknown {unknown} ({chunks} chunks)")
        yield f"output-token source: {', '.join(counts)}"
        if unstreamed := int((columns["streamed"][ok] == 0).sum()):
            yield f"replies that were not streamed: {unstreamed}; without TTFT, TPOT, ICL and ITL"
        silent = np.isnan(requests.one_each) & ~requests.at_once & (columns.count() > 1)
        if unknown := int((silent & ok).sum()):
            yield f"replies that do not say how many tokens a chunk holds: {unknown}; not in ITL"
    if retried := int((columns["attempts"] > 1).sum()):
        yield (
            f"requests that were sent more than once: {retried} (their attempts are in the table of requests)"
        )
    if load.input_exact is False:
        yield "the prompts' lengths in tokens are not exactly those requested"
    if columns.earlier:
        yield f"requests of earlier commands in this log, left out: {columns.earlier}"
    if load.warmups:
        yield f"warm-up, not counted: {load.warmups}"
    yield from load.notes
