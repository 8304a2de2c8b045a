"""Latencies, rates, scores and outcomes of a run as OpenMetrics text, which Prometheus reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, push_to_gateway
from prometheus_client.core import GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest

from aisb import FinishedRun, ServiceError, Stage
from aisb_reporter_telemetry._facts import Subtask, aisb_version, run_times, subtasks

LABELS = ("run", "model", "task")
QUANTITIES = {
    "TTFT": ("aisb_time_to_first_token_seconds", "Time to first token", 1e-3),
    "TPOT": ("aisb_time_per_output_token_seconds", "Time per output token after the first", 1e-3),
    "ITL": ("aisb_inter_token_latency_seconds", "Time between tokens", 1e-3),
    "E2EL": ("aisb_request_duration_seconds", "Time of a request until its last token", 1e-3),
    "InputTokens": ("aisb_input_tokens", "Input tokens of a request", 1.0),
    "OutputTokens": ("aisb_output_tokens", "Output tokens of a request", 1.0),
}
"""The metric of each quantity of requests, its help, and what a value is multiplied by."""
TOTALS = {
    "duration_ms": ("aisb_stage_duration_seconds", "Duration of a stage", 1e-3),
    "requests": ("aisb_requests", "Requests that were sent", 1.0),
    "failed": ("aisb_requests_failed", "Requests that failed", 1.0),
    "request_rate": ("aisb_requests_per_second", "Completed requests per second", 1.0),
    "input_rate": ("aisb_input_tokens_per_second", "Input tokens per second", 1.0),
    "output_rate": ("aisb_output_tokens_per_second", "Output tokens per second", 1.0),
    "concurrency": ("aisb_requests_in_flight", "Average number of requests in flight", 1.0),
}
VERDICTS = ("VALID", "SUSPECT", "INVALID")


class RunCollector:
    """The metrics of a run, as prometheus_client collects them."""

    def __init__(self, run: FinishedRun) -> None:
        self._run = run
        self._families: dict[str, Metric] = {}

    def collect(self) -> Iterable[Metric]:
        """Return the metrics. What is unknown is not among them."""
        self._families = {}
        self._gauge(
            "aisb_run",
            "1 for the run, with the version of aisb",
            ("run", "version"),
            (self._run.timestamp, aisb_version(self._run)),
            1,
        )
        if end := run_times(self._run).end_ns:
            self._gauge(
                "aisb_run_end_timestamp_seconds",
                "End of the run",
                ("run",),
                (self._run.timestamp,),
                end / 1e9,
            )
        for subtask in subtasks(self._run):
            self._scores(subtask)
            self._speeds(subtask)
        return list(self._families.values())

    def _gauge(
        self, name: str, text: str, labels: tuple[str, ...], values: tuple[str, ...], value: float | None
    ) -> None:
        if value is not None and value == value:  # noqa: PLR0124 - NaN is unknown
            family = self._families.setdefault(name, GaugeMetricFamily(name, text, labels=labels))
            family.add_sample(name, dict(zip(labels, values, strict=True)), value)

    def _scores(self, subtask: Subtask) -> None:
        result, base = subtask.result, (self._run.timestamp, subtask.model, subtask.task)
        if result is None:
            return
        labels = (*LABELS, "metric", "group", "unit")
        for metric in result.metrics:
            values = (*base, metric.name, metric.group or "", metric.unit or "")
            for ending, text, value in (
                ("", "Score", metric.value),
                ("_low", "Lower bound of the 95 % interval of a score", metric.low),
                ("_high", "Upper bound of the 95 % interval of a score", metric.high),
            ):
                self._gauge(f"aisb_score{ending}", text, labels, values, value)
        for outcome, count in result.outcomes.items():
            self._gauge("aisb_answers", "Answers by outcome", (*LABELS, "outcome"), (*base, outcome), count)

    def _speeds(self, subtask: Subtask) -> None:
        measured, base = subtask.performance, (self._run.timestamp, subtask.model, subtask.task)
        if measured is None:
            return
        for verdict in VERDICTS:
            self._gauge(
                "aisb_certificate", "1 for the verdict of the certificate, 0 for the others",
                (*LABELS, "verdict"), (*base, verdict), float(measured.certificate.verdict == verdict),
            )  # fmt: skip
        for stage in measured.stages:
            labels, values = (*LABELS, "stage"), (*base, stage.name)
            for key, (name, text, scale) in TOTALS.items():
                value = getattr(stage.totals, key)
                self._gauge(name, text, labels, values, None if value is None else value * scale)
            for name, text, samples in _summaries(stage):
                family = self._families.setdefault(name, SummaryMetricFamily(name, text, labels=labels))
                for ending, quantile, value in samples:
                    more = {"quantile": quantile} if quantile else {}
                    family.add_sample(
                        name + ending, {**dict(zip(labels, values, strict=True)), **more}, value
                    )


def _summaries(stage: Stage) -> Iterator[tuple[str, str, list[tuple[str, str, float]]]]:
    """Yield (name, help, samples) of each quantity; a sample is (ending of the name, quantile, value)."""
    for quantity, (name, text, scale) in QUANTITIES.items():
        spread = stage.parameters.get(quantity)
        if spread is None:
            continue
        quantiles = {50.0: spread.median, **spread.percentiles}
        samples = [
            ("", f"{percent / 100:g}", value * scale)
            for percent, value in sorted(quantiles.items())
            if value == value  # noqa: PLR0124
        ]
        samples += [("_count", "", float(spread.n)), ("_sum", "", spread.average * spread.n * scale)]
        yield name, text, samples


def _registry(run: FinishedRun) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(RunCollector(run))
    return registry


def exposition(run: FinishedRun) -> bytes:
    """Return the metrics of a run as text."""
    text: bytes = generate_latest(_registry(run))  # type: ignore[no-untyped-call]
    return text


def push(run: FinishedRun, gateway: str, job: str) -> None:
    """Replace the metrics of this run at a Pushgateway.

    Raises:
        ServiceError: it cannot be reached, or refuses them.
    """
    grouping: dict[str, Any] = {"run": run.timestamp}
    try:
        push_to_gateway(gateway, job=job, registry=_registry(run), grouping_key=grouping, timeout=10)
    except (OSError, ValueError) as error:
        raise ServiceError(
            f"the Pushgateway {gateway} did not accept the metrics: {error}\n"
            "  check the address, as in --set prometheus.pushgateway=127.0.0.1:9091; the file is written"
        ) from error
