"""A whole run as one table for other programs: what was run, where, on which data, and every number.

`summary.schema.json` beside this module describes it; a change that a reader of the table could notice raises
its version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aisb._report import FinishedRun, Result
from aisb_reporter_summary._speeds import asked, config, is_performance, performances
from aisb_reporter_summary._table import warnings

if TYPE_CHECKING:
    from aisb_engine._performance.performance import Performance
    from aisb_engine._record.scores import Verdict

SCHEMA = "aisb-summary/1"


def told(run: FinishedRun) -> dict[str, Any]:
    """Return a run as plain tables and lists; unknown is null, and nothing is rounded."""
    manifest = _manifest(run)
    table = config(run.folder)
    return {
        "schema": SCHEMA,
        "run": run.timestamp,
        "performance_run": is_performance(run),
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
        "performance": [speed(found) for found in performances(run)],
        "unscored": [] if is_performance(run) else [list(pair) for pair in run.unscored],
        "warnings": list(warnings(run)),
    }


def speed(found: Performance) -> dict[str, Any]:
    """Return what was measured of one subtask, as `performances/<model>/<task>_details.json` has it."""
    from aisb_reporter_performance._files import details

    table = details(found, ())
    table.pop("dialects", None)
    return {**table, "limit": found.load.concurrency}


def verdicts(run: FinishedRun) -> list[dict[str, Any]]:
    """Return the verdict on each answer, by the first evaluator of its task."""
    from aisb_engine._record.runfolder import RunFolder
    from aisb_engine._record.scores import read_scores

    return [
        {"model": result.model, "task": result.task, **verdict._asdict()}
        for result in run.results
        for verdict in first(read_scores(RunFolder(run.folder), result.model, result.task) or ())
    ]


def first(scored: Sequence[Verdict]) -> Iterator[Verdict]:
    """Yield the verdicts of the first evaluator: those that outcomes are counted by."""
    return (verdict for verdict in scored if verdict.evaluator == scored[0].evaluator)


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
        "asked": result.asked,
        "not_asked_yet": result.not_asked_yet,
        "failed": result.failed,
        "merge": result.merge,
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
    found = [pair[kind] for pair in resolved.get("subtasks", [])]
    found += [getattr(result, kind) for result in run.results]
    found += [pair[kind == "task"] for pair in asked(run)]
    return list(dict.fromkeys(found))


def _manifest(run: FinishedRun) -> dict[str, Any]:
    from aisb import RunError
    from aisb_engine._record.runfolder import RunFolder, read_json

    with suppress(RunError):  # a run without one can be shown all the same
        manifest: dict[str, Any] = read_json(RunFolder(run.folder).manifest)
        return manifest
    return {}
