"""Made-up runs, for the checks of reporters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aisb import (
    OUTCOMES,
    AchievedLoad,
    Certificate,
    DialectResult,
    Distribution,
    FinishedRun,
    Metric,
    Outcome,
    PerformanceResult,
    RequestedLoad,
    Result,
    Signal,
    Stage,
    StageTotals,
    UnknownName,
)

PERCENTS = (75.0, 90.0, 95.0, 99.0)
REQUESTS = 8
"""Requests in each performance run."""
UNKNOWN = (
    "cached_tokens", "connected_ns", "headers_ns", "planned_ns", "ttft_planned", "e2el_planned", "lateness",
)  # fmt: skip
"""Columns of requests that have no values in a closed loop whose backend does not tell them."""


def accuracy_runs(folder: Path) -> list[tuple[str, str, FinishedRun]]:
    """Return accuracy runs, each with the name of its check and the reason for it."""
    metrics = (
        Metric("accuracy", 75.0, 30.1, 95.4, "%", 4),
        Metric("accuracy", 50.0, 9.5, 90.5, "%", 2, "anatomy"),
        Metric("accuracy", 100.0, 34.2, 100.0, "%", 2, "virology"),
        Metric("naive_average", 75.0, None, None, "%", 4),
    )
    outcomes: dict[Outcome, int] = dict.fromkeys(OUTCOMES, 0) | {"correct": 3, "wrong": 1}
    shown = Result(
        "model-a",
        "exam",
        "c2e13a",
        "gen",
        folder / "results.json",
        metrics=metrics,
        outcomes=outcomes,
        bounds=(75.0, 75.0),
        predictions=4,
    )
    full = FinishedRun(
        folder / "20261121_220301",
        "20261121_220301",
        models=("model-a",),
        tasks=("exam", "essay"),
        results=(shown,),
        unscored=(("model-a", "essay"),),
    )
    empty = FinishedRun(folder / "20261121_220302", "20261121_220302")
    return [
        ("a run with results", "it has a task with groups and a task without a result", full),
        ("a run without results", "a run that failed at once is reported, too", empty),
    ]


def performance_runs(folder: Path) -> list[tuple[str, str, Sequence[FinishedRun]]]:
    """Return performance runs to be shown together, with the name of each check and the reason for it."""
    one, four = (performance_run(folder, users) for users in (1, 4))
    failed = performance_run(folder, 16, fails=True)
    return [
        ("several runs", "they are points of one curve, with 1 and 4 requests in flight", (one, four)),
        ("one of several runs", "a sweep that was interrupted shows the points that it has", (one,)),
        (
            "several runs, one without replies",
            "overload is a result: where all requests failed, no latency is known",
            (one, failed),
        ),
    ]


def performance_run(folder: Path, users: int, *, fails: bool = False) -> FinishedRun:
    """Return a performance run in a closed loop; with `fails` no request gets a reply."""
    name = f"20261121_2204{users:02}"
    result = measured(users, fails=fails)
    return FinishedRun(
        folder / name,
        name,
        models=(result.model,),
        tasks=(result.task,),
        is_performance=True,
        configuration={"load": {"concurrency": users}, "tasks": {result.task: {"dataset": {"input": 16}}}},
        performance={(result.model, result.task): result},
    )


def measured(users: int, *, fails: bool = False) -> PerformanceResult:
    """Return the measurements of `REQUESTS` requests, `users` at a time, of 100 ms each."""
    spread = np.linspace(0.9, 1.1, REQUESTS)
    values = {
        "E2EL": 100 * spread, "TTFT": 20 * spread, "TPOT": 10 * spread, "ITL": 10 * spread,
        "InputTokens": 16 + 0 * spread, "OutputTokens": 9 + 0 * spread,
        "OutputTokenThroughput": 90 / spread, "PrefillTokenThroughput": 800 / spread,
    }  # fmt: skip
    succeeded = 0 if fails else REQUESTS
    rate = 10.0 * users
    totals = StageTotals(
        duration_ms=1000 * REQUESTS / rate,
        requests=REQUESTS,
        failed=REQUESTS - succeeded,
        succeeded=succeeded,
        concurrency=float(users),
        max_concurrency=users,
        request_rate=None if fails else rate,
        input_tokens=None if fails else 16.0 * REQUESTS,
        prefill_rate=None if fails else 800.0,
        output_tokens=None if fails else 9.0 * REQUESTS,
        input_rate=None if fails else 16 * rate,
        output_rate=None if fails else 9 * rate,
        total_rate=None if fails else 25 * rate,
    )
    parameters = {name: None if fails else distribution(column) for name, column in values.items()}
    signal = Signal("failures", "INVALID", f"all {REQUESTS} requests failed")
    return MadeResult(
        model="model-a",
        task="exam",
        percentiles=PERCENTS,
        stages=(Stage("total", parameters, totals),),
        window=None,
        unsteady="the run is too short",
        requested=RequestedLoad({"concurrency": users}, planned=REQUESTS, concurrency=users),
        achieved=AchievedLoad(REQUESTS, REQUESTS, rate, float(users), users),
        goodput=None,
        certificate=Certificate("INVALID", (signal,)) if fails else Certificate("VALID"),
        counters=None,
        client_health=None,
        notes=(),
        values=values,
        users=users,
        fails=fails,
    )


def distribution(values: Any) -> Distribution:
    """Return the distribution of an array of values."""
    percentiles = dict(zip(PERCENTS, np.percentile(values, PERCENTS).tolist(), strict=True))
    lowest, highest = float(values.min()), float(values.max())
    return Distribution(
        len(values), float(values.mean()), lowest, highest, float(np.median(values)), percentiles
    )


@dataclass(frozen=True, slots=True)
class MadeResult(PerformanceResult):
    """Measurements that are made up: `values` of each request by the names in `Stage.parameters`."""

    values: Mapping[str, Any]
    users: int
    fails: bool

    def requests(self) -> Mapping[str, Any]:
        """Return the columns of requests; `users` at a time are sent together."""
        nothing = np.full(REQUESTS, np.nan)
        zeros, ones = np.zeros(REQUESTS, int), np.ones(REQUESTS, int)
        sent = (np.arange(REQUESTS) // self.users) * 110e6
        numbers = {name.lower(): nothing if self.fails else self.values[name] for name in ("TTFT", "TPOT")}
        e2el = nothing if self.fails else self.values["E2EL"]
        done = sent + self.values["E2EL"] * 1e6
        return {
            **dict.fromkeys(UNKNOWN, nothing),
            **numbers,
            "id": [str(number) for number in range(REQUESTS)],
            "finish_reason": ["" if self.fails else "stop"] * REQUESTS,
            "failure": ["status: HTTP 503" if self.fails else ""] * REQUESTS,
            "failure_kind": ["status" if self.fails else ""] * REQUESTS,
            "output_tokens_source": ["" if self.fails else "usage"] * REQUESTS,
            "ok": np.full(REQUESTS, not self.fails),
            "repeat": zeros,
            "turn": zeros,
            "attempts": ones,
            "streamed": np.full(REQUESTS, fill_value=True),
            "chunks": zeros if self.fails else 9 * ones,
            "input_tokens": nothing if self.fails else self.values["InputTokens"],
            "output_tokens": nothing if self.fails else self.values["OutputTokens"],
            "max_tokens": nothing,
            "sent_ns": sent,
            "first_token_ns": sent + numbers["ttft"] * 1e6,
            "last_token_ns": sent + e2el * 1e6,
            "done_ns": done,
            "end_ns": done,
            "ttfb": numbers["ttft"],
            "ttfc": numbers["ttft"],
            "e2el": e2el,
            "e2el_close": e2el,
        }

    def chunk_gaps(self, rows: Iterable[int]) -> Iterator[tuple[int, Any]]:
        """Yield 8 equal gaps for each row that has a reply."""
        for row in () if self.fails else rows:
            yield row, np.full(8, self.values["ITL"][row] * 1e6)

    def dialect(self, name: str) -> DialectResult:
        """Raise `UnknownName`: made-up measurements have no rules of another tool."""
        raise UnknownName("dialect", name, [])
