"""The measurements of a performance run, as plain values for reporters.

Times are milliseconds, rates are per second, stamps are nanoseconds since the start of the run. None (NaN in
columns) means "unknown", never zero.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from aisb._deprecated import Renamed

CertificateVerdict: TypeAlias = Literal["VALID", "SUSPECT", "INVALID"]


@dataclass(frozen=True, slots=True)
class Distribution:
    """The distribution of `n` values. `percentiles` has the percentiles of the report, and 95 and 99.

    In a result that was imported from another tool, numbers that the tool does not tell are NaN, and `n` is 0
    if it is unknown.

    `certified` has an upper bound for each percentile at 99 % confidence, if there are enough values.
    """

    n: int
    average: float
    minimum: float
    maximum: float
    median: float
    percentiles: Mapping[float, float]
    certified: Mapping[float, float] = field(default_factory=dict)

    def too_few_for(self, percent: float) -> bool:
        """Return whether fewer than one value is expected above a percentile, which then is the maximum."""
        return self.n * (100 - percent) < 100


@dataclass(frozen=True, slots=True)
class StageTotals:
    """Counts and rates over all requests of a stage.

    `concurrency` is the average number in flight, `max_concurrency` the limit. `request_rate` is in requests
    per second; `input_rate`, `output_rate` and `total_rate` are tokens per second of the stage;
    `prefill_rate` is input tokens per second of time to first token.
    """

    duration_ms: float | None
    requests: int
    failed: int
    succeeded: int
    concurrency: float | None
    max_concurrency: int | None
    request_rate: float | None
    input_tokens: float | None
    prefill_rate: float | None
    output_tokens: float | None
    input_rate: float | None
    output_rate: float | None
    total_rate: float | None


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a run: `total` or `stable`.

    `parameters` has the distribution of each quantity of a request, by name and in display order: E2EL, TTFT,
    TPOT, ITL and other times (ms), InputTokens, OutputTokens, OutputTokenThroughput and
    PrefillTokenThroughput (tokens per second). It is None if no request has the quantity.
    """

    name: str
    parameters: Mapping[str, Distribution | None]
    totals: StageTotals


@dataclass(frozen=True, slots=True)
class Window:
    """The interval of a run with steady concurrency: its start and end (stamps), and the number in flight."""

    start: float
    end: float
    level: float

    @property
    def seconds(self) -> float:
        """The length of the interval."""
        return (self.end - self.start) / 1e9


@dataclass(frozen=True, slots=True)
class RequestedLoad:
    """The requested load. `options` are the values of the table `[load]` in the run.

    `planned` is the number of requests, `concurrency` the maximum in flight, `rate` a constant rate in
    requests per second. `rates` are points (second, requests per second) of the planned rate; the last second
    may be infinite.
    """

    options: Mapping[str, Any]
    planned: int | None = None
    concurrency: int | None = None
    rate: float | None = None
    rates: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class AchievedLoad:
    """The achieved load: requests per second, and the number in flight on average and at the peak.

    `offered` is the number of requests that the load planned, and `sent` the number of those sent. `peak` is
    None for a result of another tool that does not tell it.
    """

    offered: int
    sent: int
    rate: float | None
    concurrency: float | None
    peak: int | None


@dataclass(frozen=True, slots=True)
class Goodput:
    """Requests that met all objectives (ms): their number, their rate, and their share of those offered."""

    objectives: Mapping[str, float]
    good: int
    per_second: float | None
    share: float | None


@dataclass(frozen=True, slots=True)
class Signal:
    """One reason to doubt a result."""

    name: str
    verdict: CertificateVerdict
    reason: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """Whether a result can be trusted: the worst verdict of its signals, or VALID without signals."""

    verdict: CertificateVerdict
    signals: tuple[Signal, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons why it is not VALID, the worst first."""
        return tuple(signal.reason for signal in self.signals)


@dataclass(frozen=True, slots=True)
class Gauge:
    """A value of the server, such as its queue length, that was sampled `samples` times during the load."""

    samples: int
    average: float
    maximum: float
    looks, most = Renamed("samples"), Renamed("maximum")


@dataclass(frozen=True, slots=True)
class Counters:
    """The counters of the server during a run; None if the server does not count a quantity.

    `increases` has the increase of every counter under the server's own name. `acceptance_rate` is accepted ÷
    drafted tokens; `acceptance_length` is tokens per step, 1 + accepted ÷ drafts; `acceptance_by_position` is
    accepted ÷ drafts for each position in a draft. `prefix_hit_rate` is hits ÷ queries, in tokens. `running`
    and `waiting` are requests at the server.
    """

    increases: Mapping[str, float]
    drafts: float | None = None
    drafted: float | None = None
    accepted: float | None = None
    acceptance_rate: float | None = None
    acceptance_length: float | None = None
    acceptance_by_position: tuple[float, ...] = ()
    prefix_hit_rate: float | None = None
    running: Gauge | None = None
    waiting: Gauge | None = None
    gained = Renamed("increases")


@dataclass(frozen=True, slots=True)
class DialectResult:
    """A run measured by the rules of another tool, which `summary` describes; None: it has no such number."""

    name: str
    summary: str
    parameters: Mapping[str, Distribution | None]


@dataclass(frozen=True, slots=True)
class PerformanceResult(ABC):
    """All measurements of one model on one task. The engine's subclass reads single requests.

    The first stage is the whole run. If the run has a steady `window`, there is a second stage, `stable`;
    otherwise `unsteady` is the reason. `client_health` tells whether the load generator kept up: `seconds`
    observed, event-loop `lag` (P95 over the seconds, ms), `lag_stable` (the same in the window), `lag_max`,
    `late_max` (ms) and `cpu` (share of a core), each of the worst worker. `notes` are sentences for the
    report. `sessions` has the numbers of sessions and tiers (docs/sessions.md), if the load has any.
    """

    model: str
    task: str
    percentiles: tuple[float, ...]
    stages: tuple[Stage, ...]
    window: Window | None
    unsteady: str
    requested: RequestedLoad
    achieved: AchievedLoad
    goodput: Goodput | None
    certificate: Certificate
    counters: Counters | None
    client_health: Mapping[str, float | None] | None
    notes: tuple[str, ...]
    sessions: Mapping[str, Any] | None = field(default=None, kw_only=True)

    @abstractmethod
    def requests(self) -> Mapping[str, Any]:
        """Return the values of every request as columns by name, in the order of sending.

        Lists of text: `id`, `finish_reason`, `failure` ("status: HTTP 503"), `failure_kind`, and
        `output_tokens_source` ("usage", "chunks" or "tokenizer"); "" means unknown. numpy arrays: `ok`;
        `repeat`, `turn`, `attempts`, `streamed`, `chunks`; `input_tokens`, `output_tokens`,
        `cached_tokens`, `max_tokens`; stamps `planned_ns`, `connected_ns`, `sent_ns`, `headers_ns`,
        `first_token_ns`, `last_token_ns`, `done_ns`, `end_ns`; milliseconds `ttfb`, `ttft`, `ttfc`, `tpot`,
        `e2el`, `e2el_close`, `ttft_planned`, `e2el_planned`, `lateness`.
        """

    @abstractmethod
    def chunk_gaps(self, rows: Iterable[int]) -> Iterator[tuple[int, Any]]:
        """Yield (row, array of nanoseconds between its chunks with tokens) for each row with two or more."""

    @abstractmethod
    def dialect(self, name: str) -> DialectResult:
        """Return the run measured by the rules of another tool; raise `UnknownName` for an unknown one."""
