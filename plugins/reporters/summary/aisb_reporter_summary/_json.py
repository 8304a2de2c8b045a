"""A whole run as one table for other programs: what was run, where, on which data, and every number.

`summary.schema.json` beside this module describes it; a change that a reader of the table could notice raises
its version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from aisb import FinishedRun, PerformanceResult, Result, Row
from aisb_reporter_summary._speeds import performances
from aisb_reporter_summary._table import warnings

SCHEMA = "aisb-summary/2"


def as_tables(run: FinishedRun) -> dict[str, Any]:
    """Return a run as plain tables and lists; unknown is null, and nothing is rounded."""
    manifest, table = run.manifest, run.configuration
    return {
        "schema": SCHEMA,
        "run": run.timestamp,
        "performance_run": run.is_performance,
        "environment": {
            key: manifest.get(key) for key in ("aisb", "python", "platform", "processors", "plugins")
        },
        "sessions": manifest.get("sessions", []),
        "models": {name: _model(name, table, manifest) for name in _names(run, table, "model")},
        "tasks": {name: _task(name, run, table, manifest) for name in _names(run, table, "task")},
        "subtasks": [
            {key: pair.get(key) for key in ("model", "task", "params", "forced", "load")}
            for pair in table.get("subtasks", [])
        ],
        "results": [_result(result) for result in run.results],
        "performance": [_performance(result) for result in performances(run)],
        "unscored": [] if run.is_performance else [list(pair) for pair in run.unscored],
        "warnings": list(warnings(run)),
    }


def first_scores(run: FinishedRun, result: Result) -> Sequence[Row]:
    """Return the scores of each answer by the first evaluator of its task: those that outcomes count."""
    scores = run.scores(result.model, result.task)
    return [score for score in scores if score["evaluator"] == scores[0]["evaluator"]]


def _performance(result: PerformanceResult) -> dict[str, Any]:
    """Return what was measured of one subtask, as `performances/<model>/<task>_details.json` has it."""
    from aisb_reporter_performance import details

    table = details(result)
    table.pop("dialects", None)
    return {**table, "limit": result.requested.concurrency}


def _result(result: Result) -> dict[str, Any]:
    headline = result.headline
    return {
        "model": result.model,
        "task": result.task,
        "variant": result.variant,
        "version": result.version,
        "mode": result.mode,
        "headline": headline and headline.name,
        "metrics": [asdict(metric) for metric in result.metrics],
        "outcomes": dict(result.outcomes),
        "bounds": list(result.bounds) if result.bounds else None,
        "predictions": result.predictions,
        "not_sent": result.not_sent,
        "failed": result.failed,
        "merge": result.merge,
        "trial": list(result.trial),
    }


def _model(name: str, resolved: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, Any]:
    table = resolved.get("models", {}).get(name, {})
    known = manifest.get("models", {}).get(name, {})
    return {
        "backend": table.get("backend"),
        "served": known.get("served"),
        "url": known.get("url"),
        "detail": known.get("detail"),
        "options": table.get("options", {}),
    }


def _task(
    name: str, run: FinishedRun, resolved: Mapping[str, Any], manifest: Mapping[str, Any]
) -> dict[str, Any]:
    table = resolved.get("tasks", {}).get(name, {})
    known = manifest.get("tasks", {}).get(name, {})
    scored = next((result for result in run.results if result.task == name), None)
    return {
        "summary": table.get("summary"),
        "version": known.get("version") or (scored and scored.version),
        "variant": table.get("variant"),
        "mode": table.get("mode", "gen"),
        "shots": table.get("prompt", {}).get("shots", 0),
        "licence": table.get("licence"),
        "source": table.get("source"),
        "data_sha256": known.get("data", {}).get("sha256"),
        "prompt_style": known.get("prompt_style"),
    }


def _names(run: FinishedRun, resolved: Mapping[str, Any], kind: str) -> list[str]:
    """Return the models or tasks of a run, in its order."""
    names = [pair[kind] for pair in resolved.get("subtasks", [])]
    names += [getattr(result, kind) for result in run.results]
    names += [pair[kind == "task"] for pair in run.performance]
    return list(dict.fromkeys(names))
