"""What a performance run measured: plain values that reporters show.

Times are milliseconds, rates are per second, stamps are nanoseconds from the start of the run. None (NaN in
columns) means "not known", never zero.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

CertificateVerdict: TypeAlias = Literal["VALID", "SUSPECT", "INVALID"]


@dataclass(frozen=True, slots=True)
class Distribution:
    """What is known about `n` values of one number. `percentiles` has those that are shown, 95 and 99.

    `certified` has an upper bound for each percentile, at 99 % confidence, where there are enough values.
    """

    n: int
    average: float
    minimum: float
    maximum: float
    median: float
    percentiles: Mapping[float, float]
    certified: Mapping[float, float] = field(default_factory=dict)

    def too_few_for(self, percent: float) -> bool:
        """Whether less than one value lies beyond a percentile: it is then little more than the maximum."""
        return self.n * (100 - percent) < 100


@dataclass(frozen=True, slots=True)
class StageTotals:
    """The numbers over all requests of a stage.

    `concurrency` is the average number in flight, `max_concurrency` the limit. `request_rate` is requests a
    second; `input_rate`, `output_rate` and `total_rate` are tokens a second of the stage; `prefill_rate` is
    input tokens a second of time to first token.
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
    """One stage of a run, `total` or `stable`.

    `parameters` has a distribution for each number of a request, by name and in the order of display:
    E2EL, TTFT, TPOT, ITL and other times (ms), InputTokens, OutputTokens, OutputTokenThroughput and
    PrefillTokenThroughput (tokens a second). None where no request has the number.
    """

    name: str
    parameters: Mapping[str, Distribution | None]
    totals: StageTotals


@dataclass(frozen=True, slots=True)
class Window:
    """The stretch of a run in which concurrency was steady (stamps), and the number in flight in it."""

    start: float
    end: float
    level: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.end - self.start) / 1e9


@dataclass(frozen=True, slots=True)
class RequestedLoad:
    """The load that the user requested: `options` are those of the `[load]` table that were in force.

    `planned` is the number of requests, `concurrency` the most in flight, `rate` requests a second without a
    ramp. `rates` are points (second, requests a second) of the planned rate; the last second may be infinite.
    """

    options: Mapping[str, Any]
    planned: int | None = None
    concurrency: int | None = None
    rate: float | None = None
    rates: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class AchievedLoad:
    """What the run achieved: requests a second, and the number in flight on average and at the peak.

    `offered` is the number of requests that the load planned, `sent` how many of them were sent.
    """

    offered: int
    sent: int
    rate: float | None
    concurrency: float | None
    peak: int


@dataclass(frozen=True, slots=True)
class Goodput:
    """Requests that met every objective (ms): their number, per second, and their share of those offered."""

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
    """Whether a result can be trusted: the worst of its signals, VALID where there is none."""

    verdict: CertificateVerdict
    signals: tuple[Signal, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not VALID, the worst first."""
        return tuple(signal.reason for signal in self.signals)


@dataclass(frozen=True, slots=True)
class Gauge:
    """A number that the server reported at `looks` moments during the load."""

    looks: int
    average: float
    most: float


@dataclass(frozen=True, slots=True)
class Counters:
    """What the server counted during a run; None where it does not count it.

    `gained` has every counter's difference under the server's own name. `acceptance_rate` is accepted ÷
    drafted tokens; `acceptance_length` the tokens of a step, 1 + accepted ÷ drafts; `acceptance_by_position`
    accepted ÷ drafts for each place in a draft. `prefix_hit_rate` is hits ÷ queries in tokens. `running` and
    `waiting` are requests at the server.
    """

    gained: Mapping[str, float]
    drafts: float | None = None
    drafted: float | None = None
    accepted: float | None = None
    acceptance_rate: float | None = None
    acceptance_length: float | None = None
    acceptance_by_position: tuple[float, ...] = ()
    prefix_hit_rate: float | None = None
    running: Gauge | None = None
    waiting: Gauge | None = None


@dataclass(frozen=True, slots=True)
class DialectResult:
    """A run by the rules of another tool: `summary` says the rules, None is a number it does not have."""

    name: str
    summary: str
    parameters: Mapping[str, Distribution | None]


@dataclass(frozen=True, slots=True)
class PerformanceResult(ABC):
    """Everything measured of one model on one task; the engine's subclass reads single requests.

    The first stage is the whole run; a second one, `stable`, is there where the run has a steady `window`,
    and `unsteady` says why it has none. `client_health` says how well the load generator kept up: `seconds`
    observed, event-loop `lag` (P95 over the seconds, ms), `lag_max`, `late_max` (ms) and `cpu` (share of a
    core); the worst worker counts. `notes` are sentences for the reader.
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

    @abstractmethod
    def requests(self) -> Mapping[str, Any]:
        """Return the numbers of every request as columns by name, in the order of sending.

        Lists of text: `id`, `finish_reason`, `failure` ("status: HTTP 503"), `failure_kind`, and
        `output_tokens_source` ("usage", "chunks" or "tokenizer"); "" is unknown. numpy arrays: `ok`;
        `repeat`, `turn`, `attempts`, `streamed`, `chunks`; `input_tokens`, `output_tokens`,
        `cached_tokens`, `max_tokens`; stamps `planned_ns`, `connected_ns`, `sent_ns`, `headers_ns`,
        `first_token_ns`, `last_token_ns`, `done_ns`, `end_ns`; milliseconds `ttfb`, `ttft`, `ttfc`, `tpot`,
        `e2el`, `e2el_close`, `ttft_planned`, `e2el_planned`, `lateness`.
        """

    @abstractmethod
    def chunk_gaps(self, rows: Iterable[int]) -> Iterator[tuple[int, Any]]:
        """Yield (row, array of nanoseconds between its chunks with tokens) for each row that has two."""

    @abstractmethod
    def dialect(self, name: str) -> DialectResult:
        """Return the same run by the rules of another tool; raise `UnknownName` when there is no such."""
