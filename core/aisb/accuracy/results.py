"""The scoring half of a run: from the log to `results/`, as often as wanted, without sending anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import orjson

from aisb.accuracy.metrics import bounds, outcomes
from aisb.accuracy.scoring import details, measure, score
from aisb.data.samples import SampleMaker
from aisb.plugins import Plugins
from aisb.record.manifest import now, task_version
from aisb.record.predictions import AskedTask, read_samples, write_predictions
from aisb.record.runfolder import RunFolder, write_atomically
from aisb.spec import RunTable, Subtask, Task
from aisb.types import Sample


async def score_subtask(
    folder: RunFolder, subtask: Subtask, task: Task, plugins: Plugins, *, run: RunTable, scoring: str
) -> dict[str, Any]:
    """Score what a subtask's log holds and write its results; return them.

    Targets are made again from the rows that the log keeps, so that a task may say otherwise what is right.

    Raises:
        RunError: the subtask was never asked.
        UsageError: a postprocessor or evaluator cannot be made.
    """
    model, name = subtask.model, subtask.task
    before = read_samples(folder, model, name)
    asked = before.asked
    predictions = write_predictions(
        folder, model, name, repeats=subtask.repeats, also_json=run.predictions_json
    )
    samples = remade(before, task, plugins)
    scored = await score(task, samples, predictions, plugins)
    metrics = [metric for found in measure(task, scored, plugins).values() for metric in found]
    first = next(iter(scored.values()), [])
    results: dict[str, Any] = {
        "model": model,
        "task": name,
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
    if run.dump_eval_details:
        prompts = {one.sample.id: one.prompt for one in asked}
        results["details"] = details(first, samples, predictions, prompts)
    data = orjson.dumps(results, option=orjson.OPT_INDENT_2, default=str)
    write_atomically(folder.results(model, name, scoring), data)
    write_atomically(folder.results(model, name), data)
    _write_log(folder, subtask, results)
    return results


def remade(before: AskedTask, task: Task, plugins: Plugins) -> dict[str, Sample]:
    """Return a log's samples by id; made again from their fields where the task now reads them otherwise."""
    samples = {one.sample.id: one.sample for one in before.asked}
    if before.made_by == sample_table(task):
        return samples
    maker = SampleMaker(task, plugins)
    return {key: maker.again(sample) for key, sample in samples.items()}


def sample_table(task: Task) -> dict[str, Any]:
    """Return a task's `[sample]` table as the log keeps it."""
    return task.sample.model_dump(mode="json", exclude_unset=True, exclude_none=True)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _write_log(folder: RunFolder, subtask: Subtask, results: Mapping[str, Any]) -> None:
    path = folder.eval_log(subtask.model, subtask.task)
    path.parent.mkdir(parents=True, exist_ok=True)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in results["outcomes"].items() if count)
    with path.open("a", encoding="utf-8") as lines:
        lines.write(
            f"{now()} scored {results['asked']} predictions, version {results['version']}: {counts}\n"
        )
