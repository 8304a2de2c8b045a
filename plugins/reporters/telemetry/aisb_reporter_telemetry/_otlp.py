"""Metrics and evaluation events in the JSON form of OTLP, by OpenTelemetry's conventions for generative AI.

Times are those that the client measured, also for the metrics that the conventions name after the server.
https://github.com/open-telemetry/semantic-conventions-genai
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from aisb import FinishedRun, Row
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

CUMULATIVE = 2
INFORMATION = 9
"""The severity INFO of log records."""
RECORDS = 1000
"""The number of log records in a line, which is one request to an endpoint."""
TOKENS = (
    1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864,
)  # fmt: skip
DURATIONS = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
)  # fmt: skip
FIRST_TOKEN = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip
PER_TOKEN = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
METRICS = {
    "gen_ai.client.token.usage": ("{token}", "Number of input and output tokens of a request", TOKENS),
    "gen_ai.client.operation.duration": ("s", "Duration of a request", DURATIONS),
    "gen_ai.server.time_to_first_token": (
        "s",
        "Time to the first token of a reply, measured at the client",
        FIRST_TOKEN,
    ),
    "gen_ai.server.time_per_output_token": (
        "s",
        "Time per token after the first, measured at the client",
        PER_TOKEN,
    ),
}
"""Unit, description and bucket boundaries of each metric; the boundaries are those of the conventions."""

Attributes = Mapping[str, str | float]


def metric_lines(run: FinishedRun) -> Iterator[dict[str, Any]]:
    """Yield the metrics of all subtasks as one export request; nothing if nothing was measured."""
    points: dict[str, list[dict[str, Any]]] = {name: [] for name in METRICS}
    span = {"startTimeUnixNano": str(run_times(run).start_ns), "timeUnixNano": str(run_times(run).end_ns)}
    for subtask in subtasks(run):
        if subtask.performance is not None:
            for name, attributes, values in _measured(run, subtask):
                if len(values):
                    bounds = METRICS[name][2]
                    points[name].append(
                        {**span, "attributes": _attributes(attributes), **_histogram(values, bounds)}
                    )
    metrics = [
        {
            "name": name,
            "unit": unit,
            "description": text,
            "histogram": {"aggregationTemporality": CUMULATIVE, "dataPoints": points[name]},
        }
        for name, (unit, text, _) in METRICS.items()
        if points[name]
    ]
    if metrics:
        scope = {"scope": _scope(run), "metrics": metrics}
        yield {"resourceMetrics": [{"resource": _resource(run), "scopeMetrics": [scope]}]}


def log_lines(run: FinishedRun) -> Iterator[dict[str, Any]]:
    """Yield an event for each graded answer, in export requests of `RECORDS` events."""
    events = _events(run)
    while records := list(islice(events, RECORDS)):
        scope = {"scope": _scope(run), "logRecords": records}
        yield {"resourceLogs": [{"resource": _resource(run), "scopeLogs": [scope]}]}


def _measured(run: FinishedRun, subtask: Subtask) -> Iterator[tuple[str, Attributes, Any]]:
    """Yield the values of each metric with their attributes, in its unit."""
    import numpy as np

    columns = subtask.performance.requests() if subtask.performance else {}
    if not len(columns.get("id", ())):
        return
    base, ok = operation(run, subtask), columns["ok"]

    def known(name: str, chosen: Any, scale: float = 1.0) -> Any:
        values = columns[name][chosen]
        return values[~np.isnan(values)] * scale

    for kind in ("input", "output"):
        yield (
            "gen_ai.client.token.usage",
            {**base, "gen_ai.token.type": kind},
            known(f"{kind}_tokens", ok),
        )
    yield "gen_ai.client.operation.duration", base, known("e2el", ok, 1e-3)
    kinds = np.array(columns["failure_kind"], str)
    spent = (columns["end_ns"] - columns["sent_ns"]) / 1e9
    for kind in sorted({*kinds[~ok].tolist()}):
        values = spent[~ok & (kinds == kind)]
        attributes = {**base, "error.type": kind or "_OTHER"}
        yield "gen_ai.client.operation.duration", attributes, values[~np.isnan(values)]
    yield "gen_ai.server.time_to_first_token", base, known("ttft", ok, 1e-3)
    yield "gen_ai.server.time_per_output_token", base, known("tpot", ok, 1e-3)


def operation(run: FinishedRun, subtask: Subtask) -> dict[str, str | float]:
    """Return the attributes of the requests of a subtask."""
    style = run.manifest.get("tasks", {}).get(subtask.task, {}).get("prompt_style")
    attributes: dict[str, str | float] = {
        "gen_ai.operation.name": "text_completion" if style == "completion" else "chat",
        "gen_ai.provider.name": backend_of(run, subtask.model),
        "gen_ai.request.model": served_name(run, subtask.model),
        "aisb.model": subtask.model,
        "aisb.task": subtask.task,
    }
    sent = parameters(run, subtask)
    for name in ("max_tokens", "temperature", "top_p"):
        if isinstance(sent.get(name), int | float):
            attributes[f"gen_ai.request.{name}"] = sent[name]
    if found := server_address(run, subtask.model):
        attributes["server.address"] = found[0]
        if found[1]:
            attributes["server.port"] = found[1]
    return attributes


def _events(run: FinishedRun) -> Iterator[dict[str, Any]]:
    ended = str(run_times(run).end_ns)
    for subtask in subtasks(run):
        if subtask.result is None:
            continue
        base = operation(run, subtask)
        for score in run.scores(subtask.model, subtask.task):
            yield {
                "timeUnixNano": ended,
                "observedTimeUnixNano": ended,
                "severityNumber": INFORMATION,
                "eventName": "gen_ai.evaluation.result",
                "attributes": _attributes({**base, **_evaluation(score)}),
            }


def _evaluation(score: Row) -> dict[str, str | float]:
    return {
        "gen_ai.evaluation.name": score["evaluator"],
        "gen_ai.evaluation.score.value": float(score["value"]),
        "gen_ai.evaluation.score.label": score["outcome"] or "unknown",
        "aisb.sample.id": score["id"],
        "aisb.sample.repeat": score["repeat"],
    }


def _histogram(values: Any, bounds: Sequence[float]) -> dict[str, Any]:
    """Return a histogram; a bucket includes its upper boundary, as OTLP defines."""
    counts = [0] * (len(bounds) + 1)
    for value in values.tolist():
        counts[bisect_left(bounds, value)] += 1
    return {
        "count": str(len(values)),
        "sum": float(values.sum()),
        "bucketCounts": [str(count) for count in counts],
        "explicitBounds": list(bounds),
        "min": float(values.min()),
        "max": float(values.max()),
    }


def _resource(run: FinishedRun) -> dict[str, Any]:
    facts = {"service.name": "aisb", "service.version": aisb_version(run), "aisb.run": run.timestamp}
    return {"attributes": _attributes(facts)}


def _scope(run: FinishedRun) -> dict[str, Any]:
    return {"name": "aisb", "version": aisb_version(run)}


def _attributes(values: Attributes) -> list[dict[str, Any]]:
    """Return attributes in OTLP's form; 64-bit integers are texts in JSON."""
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: str | float) -> dict[str, Any]:
    if isinstance(value, str):
        return {"stringValue": value}
    return {"intValue": str(value)} if isinstance(value, int) else {"doubleValue": value}
