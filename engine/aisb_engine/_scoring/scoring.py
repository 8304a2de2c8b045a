"""Score the predictions of a task: grade each one, and compute the metrics of each evaluator.

These functions take and return values, so a run can be scored from its log any number of times.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

from aisb._evaluator import Ask, Evaluator
from aisb._types import Metric, Prediction, Sample, Score
from aisb_engine._faults import (
    RAISED,
    ComponentError,
    PluginFaults,
)
from aisb_engine._record.stored import summaries
from aisb_engine._scoring.evaluators import evaluator_uses, make_evaluators
from aisb_engine._scoring.grading import Grader
from aisb_engine._scoring.metrics import summarize
from aisb_engine._scoring.rows import GraderOfRows
from aisb_engine._scoring.steps import Steps, reads_tool_calls, reply_turns_of

if TYPE_CHECKING:
    from aisb._plugins import Plugins
    from aisb_engine._record.episodes import EndedEpisode, EpisodeKey
    from aisb_engine._spec import MarksTable, Task

MAX_CONCURRENT_GRADES = 32
"""The number of answers that an evaluator grades concurrently if it waits for a judge or another process."""

PAUSE_EVERY_SECONDS = 0.1
"""How often grading lets the event loop do other work, such as stopping the run."""


async def score(
    task: Task,
    samples: Mapping[str, Sample],
    predictions: Sequence[Prediction],
    plugins: Plugins,
    *,
    ask: Ask | None = None,
    concurrency: int = MAX_CONCURRENT_GRADES,
    steps: Steps | None = None,
    judges: Mapping[str, Evaluator] | None = None,
    faults: PluginFaults | None = None,
    unmade: Mapping[str, ComponentError] | None = None,
    marks: MarksTable | None = None,
    episodes: Mapping[EpisodeKey, EndedEpisode] | None = None,
) -> dict[str, list[Score]]:
    """Grade predictions, and return the scores by the name of the evaluator, in sample and repeat order.

    Only the last turn of a conversation is graded. Predictions whose sample is not in `samples` are skipped.
    If a postprocessor or an evaluator raises, only that sample gets the outcome `error`, with the exception
    in the details, and `faults` records it. The second evaluator with the same name is called `name-2`.
    `ask` is the judge; `steps` and `judges` are existing postprocessors and evaluators. `unmade` has the
    errors of samples that could not be prepared again; they get the outcome `error` too. `marks` are marks in
    the model's replies, in addition to the known ones. `episodes` are the results of a task with an
    environment; evaluators find that of a sample in its field `episode`.

    Raises:
        ComponentError: the factory of a postprocessor or an evaluator raised.
        ServiceError: the judge cannot be reached.
        RunError: the judge's log cannot be written, or it lacks an answer and nothing may be sent.
    """
    reading = reply_turns_of(task, plugins, marks)
    if steps is None:
        steps = Steps.make(task.postprocess, plugins, reading=reading)
    else:
        steps = Steps(steps.steps, reading)
    judges = make_evaluators(task, plugins, ask) if judges is None else judges
    order = _last_turns(samples, predictions)
    reads_calls = reads_tool_calls(task, plugins)
    grader = Grader(
        task,
        plugins,
        steps,
        judges,
        faults,
        unmade or {},
        reads_calls=reads_calls,
        episodes=(episodes or {}) if task.environment else None,
    )
    results: list[list[Score]] = [[] for _ in order]

    async def grade(position: int) -> None:
        # Read here, because all predictions may not fit into memory.
        prediction = predictions[order[position]]
        results[position] = await grader.grade(samples[prediction.sample_id], prediction)

    await _for_each(range(len(order)), grade, concurrency=concurrency)
    return {name: [scores[column] for scores in results] for column, name in enumerate(judges)}


async def _for_each(
    items: Iterable[int], work: Callable[[int], Awaitable[None]], *, concurrency: int
) -> None:
    """Call `work` for each item, concurrently if it awaits, and let the event loop run in between.

    Work that only computes is done by one task. It pauses now and then, so that a cancellation does not wait
    for all of it; further tasks would each take an item before the event loop has its turn.
    """
    waiting = iter(items)
    pause_at, is_paused, is_done = time.monotonic() + PAUSE_EVERY_SECONDS, False, False

    async def work_on() -> None:
        nonlocal pause_at, is_paused, is_done
        for item in waiting:
            if time.monotonic() >= pause_at:
                is_paused = True
                await asyncio.sleep(0)
                is_paused, pause_at = False, time.monotonic() + PAUSE_EVERY_SECONDS
            await work(item)
        is_done = True

    try:
        async with asyncio.TaskGroup() as group:
            workers = 0
            while workers < max(1, concurrency) and not is_done:
                if not is_paused:
                    group.create_task(work_on())
                    workers += 1
                await asyncio.sleep(0)
    except ExceptionGroup as failed:
        # The command knows single errors and their exit codes; a group would look like a defect of aisb.
        raise failed.exceptions[0] from failed.exceptions[0].__cause__


def _last_turns(samples: Mapping[str, Sample], predictions: Sequence[Prediction]) -> list[int]:
    """Return the indices of the predictions to grade, the last turns, in sample and repeat order."""
    order = {sample_id: position for position, sample_id in enumerate(samples)}
    last: dict[tuple[int, int], tuple[int, int]] = {}
    for number, prediction in enumerate(summaries(predictions)):
        if prediction.sample_id not in order:
            continue
        key = (order[prediction.sample_id], prediction.repeat)
        if key not in last or prediction.turn >= last[key][0]:
            last[key] = (prediction.turn, number)
    return [number for _, (_, number) in sorted(last.items())]


def question_count(
    judges: Iterable[Evaluator], samples: Mapping[str, Sample], predictions: Sequence[Prediction]
) -> int:
    """Return how many questions evaluators send to the judge about predictions, if each has an answer."""
    judges, last = list(judges), set(_last_turns(samples, predictions))
    return sum(
        judge.questions_for(samples[prediction.sample_id])
        if isinstance(judge, GraderOfRows)
        else judge.questions_per_answer
        for number, prediction in enumerate(summaries(predictions))
        if number in last and prediction.failure is None
        for judge in judges
    )


def measure(
    task: Task,
    scores: Mapping[str, Sequence[Score]],
    plugins: Plugins,
    *,
    judges: Mapping[str, Evaluator] | None = None,
    faults: PluginFaults | None = None,
) -> dict[str, list[Metric]]:
    """Return the metrics of each evaluator; for repeats, with the `k` of the task.

    With `faults`, exceptions are recorded there and the metrics omitted. `judges` are existing evaluators.

    Raises:
        ComponentError: an evaluator raised.
    """
    uses = evaluator_uses(task)
    judges = make_evaluators(task, plugins) if judges is None else judges
    metrics: dict[str, list[Metric]] = {}
    for name, judge in judges.items():
        graded, summary = scores.get(name, ()), metrics.setdefault(name, [])
        during = "summarize"
        try:
            own = _checked_metrics(judge.summarize(graded))
            summary += (
                summarize(graded, k=task.repeats.k, thresholds=task.repeats.thresholds)
                if own is None
                else own
            )
            during = "extra_metrics"
            summary += _checked_metrics(judge.extra_metrics(graded)) or []
        except RAISED as error:
            fault = ComponentError.of(plugins, "evaluator", uses[name].use, during, error)
            if faults is None:
                raise fault from error
            faults.add(fault, f"task {task.name}")
    return metrics


def _checked_metrics(metrics: Iterable[Metric] | None) -> list[Metric] | None:
    """Return the metrics of an evaluator, or raise if they are not valid metrics."""
    if metrics is None:
        return None
    metrics = list(metrics)
    for metric in metrics:
        if not isinstance(metric, Metric):
            raise TypeError(f"it returned {metric!r:.80} among its metrics; each must be a Metric")
        if not isinstance(metric.name, str):
            raise TypeError(f"the name of a metric is {metric.name!r:.80}; it must be a text")
        for number in (metric.value, metric.low, metric.high):
            if number is not None and not (isinstance(number, Real) and math.isfinite(number)):
                raise ValueError(f"metric {metric.name!r} has {number!r:.80}; it must be a number, or None")
    return metrics


def evaluator_details(
    scores: Sequence[Score],
    samples: Mapping[str, Sample],
    predictions: Iterable[Prediction],
    prompts: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the scores of one evaluator in the form of `--dump-eval-details`: an entry for each sample id.

    `prompts` are by sample id. With repeats, an id has a list of entries, in repeat order.
    """
    texts: dict[tuple[str, int], tuple[int, str]] = {}
    for p in predictions:
        if p.turn >= texts.get((p.sample_id, p.repeat), (0, ""))[0]:
            texts[p.sample_id, p.repeat] = (p.turn, p.text)
    entries: dict[str, list[dict[str, Any]]] = {}
    for graded in scores:
        entry = {
            "prompt": prompts.get(graded.sample_id),
            "origin_prediction": texts.get((graded.sample_id, graded.repeat), (0, ""))[1],
            "predictions": graded.answer,
            "references": samples[graded.sample_id].target,
            "correct": graded.outcome == "correct",
            "outcome": graded.outcome,
            "value": graded.value,
            "rule": graded.rule,
            "span": list(graded.span) if graded.span else None,
        }
        if graded.details:
            entry["details"] = dict(graded.details)
        entries.setdefault(graded.sample_id, []).append(entry)
    repeated = any(graded.repeat for graded in scores)
    return {sample_id: repeats if repeated else repeats[0] for sample_id, repeats in entries.items()}
