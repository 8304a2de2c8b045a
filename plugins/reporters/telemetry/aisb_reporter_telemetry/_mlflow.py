"""Log a run in MLflow: one MLflow run for each model and task, found again by its tag and updated."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aisb import AisbError, Distribution, FinishedRun, Result, ServiceError
from aisb_reporter_telemetry._facts import (
    Subtask,
    aisb_version,
    backend_of,
    parameters,
    run_times,
    served_name,
    subtasks,
)

KEY = "aisb.subtask"
"""The tag by which the MLflow run of a subtask is found again."""
LIMIT = 100
"""The number of parameters that MLflow takes in one request."""
LONGEST = 500
"""The number of characters of a parameter that every version of MLflow takes."""
TOTALS = ("requests", "failed", "request_rate", "input_rate", "output_rate", "concurrency", "duration_ms")


def log_run(run: FinishedRun, tracking_uri: str, experiment: str, *, artifacts: bool) -> None:
    """Log each model and task of a run in an experiment, which is created if needed.

    Raises:
        AisbError: no client of MLflow is installed.
        ServiceError: the tracking server cannot be reached, or refuses the data.
    """
    os.environ.setdefault(
        "MLFLOW_DISABLE_TELEMETRY", "true"
    )  # the client would report its own use to its makers
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # seven by default, which takes minutes
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError:
        raise AisbError(
            "the reporter mlflow needs a client of MLflow, which is not installed: pip install mlflow-skinny"
        ) from None
    try:
        client = MlflowClient(tracking_uri)
        known = client.get_experiment_by_name(experiment)
        number = known.experiment_id if known else client.create_experiment(experiment)
        for subtask in subtasks(run):
            _log(client, number, run, subtask, artifacts=artifacts)
    except (MlflowException, OSError) as error:
        raise ServiceError(
            f"MLflow at {tracking_uri} did not accept the run: {str(error)[:300]}\n"
            "  check the address and its credentials; what was logged is kept, and updated next time"
        ) from error


def _log(client: Any, experiment: str, run: FinishedRun, subtask: Subtask, *, artifacts: bool) -> None:
    from mlflow.entities import Metric, Param, RunTag

    times = run_times(run)
    start, end = times.start_ns // 1_000_000, times.end_ns // 1_000_000
    key = f"{run.timestamp}/{subtask.model}/{subtask.task}"
    found = client.search_runs([experiment], f"tags.`{KEY}` = '{key}'", max_results=1)
    tags = dict(_tags(run, subtask), **{KEY: key})
    if found:
        number = found[0].info.run_id
    else:
        name = f"{subtask.task} · {subtask.model} · {run.timestamp}"
        number = client.create_run(experiment, start_time=start or None, run_name=name).info.run_id
    metrics = [Metric(name, value, end, 0) for name, value in dict(_metrics(subtask)).items()]
    for begin in range(0, len(metrics), LIMIT):
        client.log_batch(number, metrics=metrics[begin : begin + LIMIT])
    params = [Param(name, str(value)[:LONGEST]) for name, value in _params(run, subtask)]
    client.log_batch(number, params=params[:LIMIT], tags=[RunTag(*tag) for tag in tags.items()])
    for file, place in _files(run, subtask) if artifacts else ():
        client.log_artifact(number, str(file), place)
    client.set_terminated(number, "FINISHED", end or None)


def _metrics(subtask: Subtask) -> Iterator[tuple[str, float]]:
    """Yield scores with their intervals, outcomes, and measurements; times are milliseconds."""
    if subtask.result is not None:
        yield from _scores(subtask.result)
    for stage in subtask.performance.stages if subtask.performance else ():
        for quantity, spread in stage.parameters.items():
            for statistic, value in _statistics(spread):
                yield metric_name(f"{stage.name}/{quantity}/{statistic}"), value
        for name in TOTALS:
            if (value := getattr(stage.totals, name)) is not None:
                yield f"{stage.name}/{name}", float(value)


def _scores(result: Result) -> Iterator[tuple[str, float]]:
    for metric in result.metrics:
        name = metric_name(f"{metric.group}/{metric.name}" if metric.group else metric.name)
        for ending, value in (("", metric.value), ("/low", metric.low), ("/high", metric.high)):
            if value is not None:
                yield name + ending, float(value)
    for outcome, count in result.outcomes.items():
        yield f"outcomes/{outcome}", float(count)


def _statistics(spread: Distribution | None) -> Iterator[tuple[str, float]]:
    if spread is not None:
        found = {"average": spread.average, "median": spread.median}
        found |= {f"p{percent:g}": value for percent, value in spread.percentiles.items()}
        yield from ((name, value) for name, value in found.items() if value == value)  # noqa: PLR0124 - NaN


def metric_name(text: str) -> str:
    """Return a name that MLflow accepts: letters, digits, spaces, and the characters `_-./`."""
    return re.sub(
        r"[^\w\-./ ]", "", text.replace("@", "_at_").replace("%", "percent"), flags=re.ASCII
    ).strip()


def _params(run: FinishedRun, subtask: Subtask) -> Iterator[tuple[str, Any]]:
    yield "model", subtask.model
    yield "task", subtask.task
    yield "backend", backend_of(run, subtask.model)
    yield "served_model", served_name(run, subtask.model)
    if subtask.result is not None:
        yield "task_version", subtask.result.version
    for name, value in parameters(run, subtask).items():
        yield f"params.{metric_name(name)}", value
    if run.is_performance and subtask.performance:
        for name, value in subtask.performance.requested.options.items():
            if value is not None:
                yield f"load.{metric_name(name)}", value


def _tags(run: FinishedRun, subtask: Subtask) -> Iterator[tuple[str, str]]:
    yield "aisb.run", run.timestamp
    yield "aisb.version", aisb_version(run)
    if run.is_performance and subtask.performance:
        yield "aisb.certificate", subtask.performance.certificate.verdict


def _files(run: FinishedRun, subtask: Subtask) -> Iterator[tuple[Path, str]]:
    """Yield the files to upload with their folder: no prompts, and no answers."""
    for file in sorted((run.folder / "configs").glob("*.toml")):
        yield file, "configs"
    if (manifest := run.folder / "configs" / "manifest.json").is_file():
        yield manifest, "configs"
    for ending in (".csv", ".json", "_requests.csv", "_details.json"):
        file = run.folder / "performances" / subtask.model / f"{subtask.task}{ending}"
        if file.is_file():
            yield file, "performances"
