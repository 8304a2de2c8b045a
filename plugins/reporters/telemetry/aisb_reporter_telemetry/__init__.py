"""Pass the results of a run on to monitoring systems: llm-d reports, OTLP, Prometheus, MLflow."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from aisb import FinishedRun, Reporter, UsageError, hookimpl

__all__ = ["LlmD", "Mlflow", "Otlp", "Prometheus"]


class LlmD(Reporter):
    """A Benchmark Report 0.2.1 of llm-d for each model and task."""

    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write `summary/llm_d/<model>/<task>.json`."""
        from aisb_reporter_telemetry._llm_d import write_reports

        return write_reports(run)


@dataclass(kw_only=True)
class Otlp(Reporter):
    """Metrics and evaluation events as OTLP/JSON, by the conventions of OpenTelemetry for generative AI."""

    endpoint: Annotated[str | None, "OTLP/HTTP endpoint to send them to, as http://127.0.0.1:4318"] = None
    headers_env: Annotated[str, "environment variable with request headers, as key=value,key=value"] = (
        "OTEL_EXPORTER_OTLP_HEADERS"
    )
    timeout: Annotated[float, "seconds that one request to the endpoint may take"] = 10.0

    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write `summary_<timestamp>_otlp_metrics.jsonl` and `…_otlp_logs.jsonl`; send them if asked to."""
        from aisb_reporter_telemetry._otlp import log_lines, metric_lines
        from aisb_reporter_telemetry._sending import send_lines, write_lines

        metrics, logs = [*metric_lines(run)], [*log_lines(run)]
        written = [
            write_lines(run.summary("_otlp_metrics.jsonl"), metrics),
            write_lines(run.summary("_otlp_logs.jsonl"), logs),
        ]
        if self.endpoint:
            for path, lines in (("v1/metrics", metrics), ("v1/logs", logs)):
                send_lines(self.endpoint, path, lines, self.headers_env, self.timeout)
        return written


@dataclass(kw_only=True)
class Prometheus(Reporter):
    """Latencies, rates and scores as text for Prometheus, in the OpenMetrics format."""

    pushgateway: Annotated[str | None, "Pushgateway to send them to, as 127.0.0.1:9091"] = None
    job: Annotated[str, "job label at the Pushgateway"] = "aisb"

    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write `summary_<timestamp>.prom`; send it if asked to."""
        from aisb_reporter_telemetry._prometheus import exposition, push

        file = run.summary(".prom")
        file.write_bytes(exposition(run))
        if self.pushgateway:
            push(run, self.pushgateway, self.job)
        return [file]


@dataclass(kw_only=True)
class Mlflow(Reporter):
    """A run in MLflow for each model and task, with metrics, parameters, tags and files."""

    tracking_uri: Annotated[
        str, "tracking server, as http://127.0.0.1:5000 [default: $MLFLOW_TRACKING_URI]"
    ] = ""
    experiment: Annotated[str, "experiment that has the runs"] = "aisb"
    artifacts: Annotated[bool, "upload the configuration and the tables of performance, too"] = True

    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Log each model and task; a run that was logged before is updated.

        Raises:
            UsageError: no tracking server is named, or MLflow is not installed.
        """
        tracking_uri = self.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
        if not tracking_uri:
            setting = "mlflow.tracking_uri=http://127.0.0.1:5000"
            again = run.command(f"aisb report --reporters mlflow --set {setting}")
            raise UsageError(f"the reporter mlflow needs a tracking server\n  name it, as in: {again}")
        from aisb_reporter_telemetry._mlflow import log_run

        log_run(run, tracking_uri, self.experiment, artifacts=self.artifacts)
        return ()


@hookimpl
def aisb_reporters() -> dict[str, type[Reporter]]:
    """Offer the reporters for monitoring systems."""
    return {"llm-d": LlmD, "otlp": Otlp, "prometheus": Prometheus, "mlflow": Mlflow}
