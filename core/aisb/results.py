"""The scoring half of a run: from the log to `results/`, as often as wanted, without sending anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson

from aisb.evaluator import Evaluator
from aisb.manifest import now, task_version
from aisb.metrics import bounds, outcomes
from aisb.plugins import Plugins
from aisb.predictions import Asked, read_samples, write_predictions
from aisb.runfolder import RunFolder, write_atomically
from aisb.samples import Sampler
from aisb.scoring import details, score
from aisb.spec import RunTable, Subtask, Task
from aisb.types import Metric, Prediction, Sample, Score


async def score_subtask(
    folder: RunFolder, subtask: Subtask, task: Task, plugins: Plugins, run: RunTable, scoring: str
) -> dict[str, Any]:
    """Score what a subtask's log holds and write its results; return them.

    Targets are made again from the rows that the log keeps, so that a task may say otherwise what is right.

    Raises:
        RunError: the subtask was never asked.
        UsageError: a postprocessor or evaluator cannot be made.
    """
    model, name = subtask.model, subtask.task
    asked = read_samples(folder, model, name)
    predictions = write_predictions(
        folder, model, name, repeats=subtask.repeats, also_json=run.predictions_json
    )
    samples = resample(asked, task, plugins)
    scored = await score(task, samples, predictions, plugins)
    results = summary(subtask, task, scored, asked, predictions, run)
    if run.dump_eval_details:
        first = next(iter(scored.values()), [])
        prompts = {one.sample.id: one.prompt for one in asked}
        results["details"] = details(first, samples, predictions, prompts)
    data = orjson.dumps(results, option=orjson.OPT_INDENT_2, default=str)
    write_atomically(folder.results(model, name, scoring), data)
    write_atomically(folder.results(model, name), data)
    _write_log(folder, subtask, results)
    return results


def resample(asked: Sequence[Asked], task: Task, plugins: Plugins) -> dict[str, Sample]:
    """Make the samples of a log again as the task now reads their rows."""
    sampler = Sampler(task, plugins)
    return {one.sample.id: sampler.again(one.sample) for one in asked}


def summary(
    subtask: Subtask,
    task: Task,
    scored: Mapping[str, Sequence[Score]],
    asked: Sequence[Asked],
    predictions: Sequence[Prediction],
    run: RunTable,
) -> dict[str, Any]:
    """Return the results of a subtask as they stand in its file: metrics, outcomes, bounds, and counts."""
    metrics: list[Metric] = []
    for evaluator, scores in scored.items():
        metrics += summarize(evaluator, task, scores)
    first = next(iter(scored.values()), [])
    return {
        "model": subtask.model,
        "task": subtask.task,
        "variant": task.variant,
        "version": task_version(task),
        "mode": task.mode,
        **{metric.name: _rounded(metric.value) for metric in metrics if metric.group is None},
        "metrics": [asdict(metric) for metric in metrics],
        "outcomes": outcomes(first),
        "bounds": bounds(first),
        "asked": len(predictions),
        "not_asked_yet": len(asked) * subtask.repeats - len(predictions),
        "failed": sum(prediction.failure is not None for prediction in predictions),
        "merge": run.merge_ds,
        "scored": now(),
    }


def summarize(evaluator: Evaluator, task: Task, scores: Sequence[Score]) -> list[Metric]:
    """Return an evaluator's metrics over the scores of a task."""
    return evaluator.summarize(scores, k=task.repeats.k)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _write_log(folder: RunFolder, subtask: Subtask, results: Mapping[str, Any]) -> None:
    path = folder.eval_log(subtask.model, subtask.task)
    path.parent.mkdir(parents=True, exist_ok=True)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in results["outcomes"].items() if count)
    with path.open("a", encoding="utf-8") as lines:
        lines.write(f"{now()} scored {results['asked']} predictions, version {results['version']}: {counts}\n")
