"""A Benchmark Report 0.2.1 of llm-d for each model and task: what was sent, and how fast it was answered.

The format has strict fields: whatever is unknown is left out.
https://github.com/llm-d/llm-d-benchmark
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import orjson

from aisb import Distribution, FinishedRun, PerformanceResult
from aisb.helpers import write_file
from aisb_reporter_telemetry._facts import (
    Subtask,
    aisb_version,
    backend_of,
    parameters,
    run_times,
    served_name,
    server_address,
    subtasks,
)

VERSION = "0.2.1"
PERCENTILES = {
    "p0p1": 0.1, "p1": 1, "p5": 5, "p10": 10, "p25": 25, "p50": 50, "p75": 75, "p90": 90, "p95": 95,
    "p99": 99, "p99p9": 99.9,
}  # fmt: skip
MANY = 1000
"""The number of values from which on the 0.1st and the 99.9th percentile are reported."""
LATENCIES = {
    "time_to_first_token": ("TTFT", "ttft", "ms"),
    "time_per_output_token": ("TPOT", "tpot", "ms/token"),
    "inter_token_latency": ("ITL", None, "ms/token"),
    "request_latency": ("E2EL", "e2el", "ms"),
}
"""The latencies of the format: the name of our quantity, its column in `requests()`, and the unit."""
RATES = {
    "input_token_rate": ("input_rate", "tokens/s"),
    "output_token_rate": ("output_rate", "tokens/s"),
    "total_token_rate": ("total_rate", "tokens/s"),
    "request_rate": ("request_rate", "queries/s"),
}


def write_reports(run: FinishedRun) -> list[Path]:
    """Write the report of each measured model and task; return the files."""
    files = []
    for subtask in subtasks(run):
        if subtask.performance is not None:
            file = run.folder / "summary" / "llm_d" / subtask.model / f"{subtask.task}.json"
            data = benchmark_report(run, subtask, subtask.performance)
            write_file(file, orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
            files.append(file)
    return files


def benchmark_report(run: FinishedRun, subtask: Subtask, measured: PerformanceResult) -> dict[str, Any]:
    """Return the report of one model and task."""
    times = run_times(run)
    started = times.start.isoformat() if times.start else None
    duration = measured.stages[0].totals.duration_ms
    scenario: dict[str, Any] = {"stack": [_service(run, subtask)]}
    if load := _load(run, subtask, measured):
        scenario["load"] = load
    return {
        "version": VERSION,
        "run": {
            "uid": str(
                uuid5(NAMESPACE_URL, f"aisb:{started}:{run.timestamp}:{subtask.model}:{subtask.task}")
            ),
            "eid": run.timestamp,
            "time": _known(
                start=started,
                end=times.end.isoformat() if times.end else None,
                duration=None if duration is None else f"PT{duration / 1000:.3f}S",
            ),
            "description": f"{subtask.task} on {subtask.model}; certificate: "
            + ": ".join([measured.certificate.verdict, *measured.certificate.reasons[:1]]),
            "keywords": [subtask.model, subtask.task],
        },
        "scenario": scenario,
        "results": {"request_performance": {"aggregate": _aggregate(measured)}},
    }


def _service(run: FinishedRun, subtask: Subtask) -> dict[str, Any]:
    table = run.configuration.get("models", {}).get(subtask.model, {})
    found = server_address(run, subtask.model)
    return {
        "metadata": {"label": subtask.model, "cfg_id": _hash(table)},
        "standardized": {
            "kind": "generic",
            "tool": backend_of(run, subtask.model),
            "tool_version": "unknown",
            "model": {"name": served_name(run, subtask.model)},
        },
        "native": {"config": _known(address=":".join(str(one) for one in found if one) if found else None)},
    }


def _load(run: FinishedRun, subtask: Subtask, measured: PerformanceResult) -> dict[str, Any] | None:
    """Return the load; None if the lengths of prompts are unknown, which the format demands."""
    total = measured.stages[0]
    prompts = total.parameters.get("InputTokens")
    if prompts is None:
        return None
    requested = measured.requested
    sent = {"load": dict(requested.options), "parameters": dict(parameters(run, subtask))}
    dataset = run.configuration.get("tasks", {}).get(subtask.task, {}).get("dataset", {}).get("use", "")
    length = sent["parameters"].get("max_tokens")
    fixed = bool(requested.options.get("ignore_eos")) and isinstance(length, int)
    return {
        "metadata": {"cfg_id": _hash(sent)},
        "standardized": _known(
            tool="aisb",
            tool_version=aisb_version(run),
            parallelism=int(requested.options.get("workers") or 1),
            source="random" if str(dataset).startswith(("synthetic", "random")) else "sampled",
            input_seq_len=_lengths(prompts),
            output_seq_len={"distribution": "fixed", "value": length} if fixed else None,
            rate_qps=requested.rate or None,
            concurrency=requested.concurrency or None,
        ),
        "native": {"config": sent},
    }


def _lengths(lengths: Distribution) -> dict[str, Any]:
    if lengths.minimum == lengths.maximum:
        return {"distribution": "fixed", "value": lengths.average}
    return _known(
        distribution="other",
        value=lengths.average,
        min=_whole(lengths.minimum),
        max=_whole(lengths.maximum),
    )


def _whole(value: float) -> int | None:
    return round(value) if value == value else None  # noqa: PLR0124 - NaN is unknown


def _aggregate(measured: PerformanceResult) -> dict[str, Any]:
    total = measured.stages[0]
    columns = measured.requests()

    def statistics(name: str, column: str | None, unit: str) -> dict[str, Any] | None:
        spread = total.parameters.get(name)
        return None if spread is None else _statistics(spread, _values(columns, column), unit)

    rates = {name: (getattr(total.totals, key), unit) for name, (key, unit) in RATES.items()}
    return {
        "requests": _known(
            total=total.totals.requests,
            failures=total.totals.failed,
            input_length=statistics("InputTokens", "input_tokens", "count"),
            output_length=statistics("OutputTokens", "output_tokens", "count"),
        ),
        "latency": _known(
            **{name: statistics(*places) for name, places in LATENCIES.items()},
            normalized_time_per_output_token=_normalized(columns),
        ),
        "throughput": {
            name: {"units": unit, "mean": value} for name, (value, unit) in rates.items() if value is not None
        },
    }


def _values(columns: Mapping[str, Any], name: str | None) -> Any:
    """Return the known values of a column over the requests that succeeded."""
    import numpy as np

    if name is None or name not in columns:
        return np.zeros(0)
    values = columns[name][columns["ok"]]
    return values[~np.isnan(values)]


def _normalized(columns: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the time of a request ÷ its output tokens."""
    import numpy as np

    if not len(columns.get("e2el", ())):
        return None
    tokens = columns["output_tokens"]
    values = np.where(tokens > 0, columns["e2el"] / np.where(tokens > 0, tokens, 1), np.nan)[columns["ok"]]
    values = values[~np.isnan(values)]
    return dict(_computed(values, "ms/token")) if len(values) else None


def _statistics(spread: Distribution, values: Any, unit: str) -> dict[str, Any]:
    """Return statistics from single values; from a distribution if these are not kept."""
    if len(values):
        return dict(_computed(values, unit))
    found = {name: spread.percentiles.get(percent) for name, percent in PERCENTILES.items()}
    found["p50"] = spread.median
    found |= {"mean": spread.average, "min": spread.minimum, "max": spread.maximum}
    return _known(units=unit, **{name: value for name, value in found.items() if value == value})  # noqa: PLR0124


def _computed(values: Any, unit: str) -> Iterator[tuple[str, Any]]:
    import numpy as np

    yield "units", unit
    yield "mean", float(values.mean())
    if len(values) > 1:
        yield "stddev", float(values.std(ddof=1))
    yield "min", float(values.min())
    yield "max", float(values.max())
    for name, percent in PERCENTILES.items():
        if len(values) >= MANY or 1 <= percent <= 99:
            yield name, float(np.percentile(values, percent))


def _known(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _hash(table: Mapping[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(table, option=orjson.OPT_SORT_KEYS, default=str)).hexdigest()[:16]
