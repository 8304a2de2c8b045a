"""Compute the results of one subtask: the values of its results file, from its logged answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any, NamedTuple

from aisb import __version__
from aisb._discovery import ComponentKind
from aisb._plugins import Plugins
from aisb._types import Metric, Prediction, Sample, Score, request_id
from aisb_engine._data.loading import group_areas
from aisb_engine._data.samples import SampleMaker, sample_table
from aisb_engine._faults import ComponentError, PluginFaults
from aisb_engine._progress import Display, Silent
from aisb_engine._record.manifest import now, task_version
from aisb_engine._record.predictions import (
    LoggedAnswers,
    LoggedSamples,
)
from aisb_engine._record.runfolder import RunFolder
from aisb_engine._record.stored import summaries
from aisb_engine._scoring.graders import Graders
from aisb_engine._scoring.judges import is_judged
from aisb_engine._scoring.judging import Judging
from aisb_engine._scoring.metrics import bounds, outcomes, over_areas, over_some_groups
from aisb_engine._scoring.scoring import evaluator_details, measure, question_count, score
from aisb_engine._scoring.second_readings import Dispute, disputed
from aisb_engine._scoring.sent_prompts import with_sent_prompts
from aisb_engine._spec import MarksTable, RunTable, Subtask, Task


class Graded(NamedTuple):
    """The results of a subtask, the scores behind the headline, and the scores of all evaluators."""

    results: dict[str, Any]
    scored: Mapping[str, Sequence[Score]]
    first: Sequence[Score]


async def grade_subtask(
    folder: RunFolder,
    subtask: Subtask,
    task: Task,
    plugins: Plugins,
    *,
    run: RunTable,
    graders: Graders,
    faults: PluginFaults,
    answers: LoggedAnswers,
    judging: Judging | None = None,
    display: Display | None = None,
    marks: MarksTable | None = None,
    trial: Sequence[str] = (),
    settled: Mapping[tuple[str, int], Sequence[Score]] | None = None,
) -> Graded:
    """Grade the answers of a subtask and aggregate the scores; nothing is written.

    `settled` has existing scores by sample and repeat; these answers are not graded.

    Raises:
        UsageError: a postprocessor or evaluator does not exist, or does not take its options.
        ServiceError: the judge cannot be reached.
        RunError: the judge was not asked about an answer, and this command sends nothing.
    """
    settled = settled or {}
    faults = PluginFaults(parent=faults)
    judging = judging if judging and is_judged(task, plugins) else None
    model, name = subtask.model, subtask.task
    rendered, predictions = answers.task.samples, answers.predictions
    scored: dict[str, list[Score]] = {}
    by_evaluator: dict[str, list[Metric]] = {}
    samples = {one.sample.id: one.sample for one in rendered}
    judges, steps = graders.evaluators, graders.steps
    for error in graders.errors:
        faults.add(error, f"task {task.name}")
    try:
        samples, unmade = remade(answers.task, task, plugins)
        if judging:
            samples = with_sent_prompts(samples, rendered, task)
        left = [one for one in predictions if (one.sample_id, one.repeat) not in settled]
        grade = partial(
            score,
            task,
            samples,
            left,
            plugins,
            steps=steps,
            judges=judges,
            faults=faults,
            unmade=unmade,
            marks=marks,
            episodes=answers.episodes,
        )
        if steps is None:  # without postprocessors no answer can be found, so there is nothing to grade
            judges = {}
        elif judging:
            judging.begin(f"{name} · {model}", question_count(judges.values(), samples, left))
            with judging.show_progress(display or Silent()):
                scored = await grade(concurrency=judging.concurrency)
        else:
            scored = await grade(concurrency=graders.concurrency)
        scored = _with_settled(scored, settled, samples)
        by_evaluator = measure(task, scored, plugins, judges=judges, faults=faults)
    except ComponentError as error:  # a step cannot be created, so no answer can be graded
        faults.add(error, f"task {task.name}")
    contested: Dispute | None = None
    if scored and steps is not None and not judging and not settled:
        judge_name, judge_scores = next(iter(scored.items()))
        contested = await disputed(
            task,
            plugins,
            samples=samples,
            predictions=predictions,
            scores=judge_scores,
            judge=judges[judge_name],
            steps=steps,
            marks=marks,
        )
    areas = group_areas(task, [samples[one.sample.id] for one in rendered if not one.broken])
    metrics = _with_distinct_names(
        {key: [*own, *over_areas(own, areas)] for key, own in by_evaluator.items()}
    )
    # The first evaluator with metrics gives the headline, its outcomes and its bounds.
    with_metrics = (key for key, own in by_evaluator.items() if own)
    first = scored.get(next(with_metrics, next(iter(scored), "")), [])
    metrics = over_some_groups(metrics, {one.group for one in first}, answers.task.groups)
    results: dict[str, Any] = {
        "model": model,
        "task": name,
        "variant": task.variant,
        "version": task_version(task),
        "mode": task.mode,
        "trial": list(trial),
        "graded_by": distributions(task, plugins),
        **{metric.name: _rounded(metric.value) for metric in metrics if metric.group is None},
        "metrics": [asdict(metric) for metric in metrics],
        "outcomes": outcomes(first),
        "bounds": bounds(first) if metrics and metrics[0].unit == "%" else None,
        "predictions": len(predictions),
        "not_sent": len(rendered) * subtask.repeats
        - len({(one.sample_id, one.repeat) for one in summaries(predictions)}),
        "failed": sum(one.failure is not None for one in summaries(predictions)),
        "broken_samples": sum(bool(one.broken) for one in rendered) * subtask.repeats,
        "faults": [fault.line for fault in faults.faults],
        "disputed": contested.summary() if contested else None,
        "tokens": token_counts(summaries(predictions)),
        "first_error": _first_error(folder, subtask, first, predictions),
        **({"judge": judging.summary()} if judging else {}),
        **({"environment_requests": other_requests(answers.questions)} if answers.questions else {}),
        "merge": run.merge_ds,
        "scored": now(),
    }
    if run.dump_eval_details:
        prompts = {one.sample.id: one.prompt for one in rendered}
        results["details"] = evaluator_details(first, samples, predictions, prompts)
    return Graded(results, scored, first)


def other_requests(questions: Sequence[Prediction]) -> dict[str, Any]:
    """Return how many questions an environment asked another model, and the tokens of the answers."""
    failed = sum(one.failure is not None for one in questions)
    return {"questions": len(questions), "failed": failed, "tokens": token_counts(questions)}


def token_counts(predictions: Iterable[Prediction]) -> dict[str, Any]:
    """Return the tokens of all answers as the service reports them, and of how many it reports each number.

    What is not reported is not counted as zero: a sum of which nothing is reported is None.
    """
    usages = [one.usage for one in predictions if one.failure is None]
    counted: dict[str, Any] = {"requests": len(usages)}
    for name in ("input", "output", "reasoning", "cached"):
        found = [count for one in usages if one and (count := getattr(one, f"{name}_tokens")) is not None]
        counted[name] = {"sum": sum(found) if found else None, "reported": len(found)}
    return counted


def _with_settled(
    scored: Mapping[str, Sequence[Score]],
    settled: Mapping[tuple[str, int], Sequence[Score]],
    samples: Mapping[str, Sample],
) -> dict[str, list[Score]]:
    """Return scores by evaluator, with the settled scores added, in sample and repeat order."""
    if not settled:
        return {name: [*scores] for name, scores in scored.items()}
    order = {sample_id: position for position, sample_id in enumerate(samples)}
    every: dict[str, list[Score]] = {name: [*scores] for name, scores in scored.items()}
    for scores in settled.values():
        for one in scores:
            if one.sample_id in samples:
                sample = samples[one.sample_id]
                known = replace(one, group=sample.group, cluster=sample.cluster)
                every.setdefault(one.evaluator, []).append(known)
    for found in every.values():
        found.sort(key=lambda one: (order[one.sample_id], one.repeat))
    return every


def distributions(task: Task, plugins: Plugins) -> dict[str, str]:
    """Return the distributions whose code grades a task, with their versions.

    Engine and core are included, since they select the text to read, determine outcomes and aggregate.
    """
    steps = (*task.postprocess, *task.sample.clean)
    uses: list[tuple[ComponentKind, str]] = [("postprocessor", use.use) for use in steps]
    uses += [("evaluator", use.use) for use in task.evaluate]
    named = {plugins.find(kind, name).distribution for kind, name in uses if name in plugins.names(kind)}
    versions = {info.distribution: info.version for info in plugins.infos}
    return {name: versions.get(name, __version__) for name in sorted({"aisb-core", "aisb-engine", *named})}


def _with_distinct_names(by_evaluator: Mapping[str, Iterable[Metric]]) -> list[Metric]:
    """Return all metrics; if two evaluators have one name for a metric, add the later evaluator's name."""
    names: set[str] = set()
    all_metrics: list[Metric] = []
    for evaluator, metrics in by_evaluator.items():
        own = [
            replace(metric, name=f"{metric.name} ({evaluator})") if metric.name in names else metric
            for metric in metrics
        ]
        names |= {metric.name for metric in own}
        all_metrics += own
    return all_metrics


def _first_error(
    folder: RunFolder, subtask: Subtask, scores: Sequence[Score], predictions: Sequence[Prediction]
) -> dict[str, str] | None:
    """Return the first failed request, or else the first answer that could not be graded, with its log."""
    asking = folder.infer_log(subtask.model, subtask.task)
    scoring = folder.eval_log(subtask.model, subtask.task)
    keys = [(one.key, asking) for one in summaries(predictions) if one.failure]
    keys += [((score.sample_id, score.repeat, 0), scoring) for score in scores if score.outcome == "error"]
    for key, log in keys:
        return {"request": request_id(*key), "log": str(log.relative_to(folder.path))}
    return None


def remade(
    before: LoggedSamples, task: Task, plugins: Plugins
) -> tuple[dict[str, Sample], dict[str, ComponentError]]:
    """Return the samples of a log by id, made again from their fields if the task's rules have changed.

    The second value has the exceptions of plugins by sample id. A row that was never sent stays unchanged.

    Raises:
        ComponentError: a postprocessor cannot be created.
    """
    samples = {one.sample.id: one.sample for one in before.samples}
    unmade: dict[str, ComponentError] = {}
    if before.sample_table == sample_table(task):
        return samples, unmade
    maker = SampleMaker(task, plugins)
    for one in before.samples:
        if one.broken:
            continue
        try:
            samples[one.sample.id] = maker.again(one.sample)
        except ComponentError as error:
            unmade[one.sample.id] = error
    return samples, unmade


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
