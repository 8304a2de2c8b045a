"""Grade predictions: find each answer, score it, and determine the outcome of every sample.

These functions take and return values, so a run can be scored from its log any number of times.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Any

from aisb._errors import RunError, ServiceError
from aisb._evaluator import Ask, Evaluator
from aisb._refusal import is_refusal
from aisb._types import OUTCOMES, Extract, Metric, Outcome, Prediction, Sample, Score, request_id
from aisb_engine._data.samples import LETTERS
from aisb_engine._faults import (
    RAISED,
    ComponentError,
    PluginFaults,
    StepError,
    exception_words,
    is_span,
    is_stop,
    make,
)
from aisb_engine._record.stored import summaries
from aisb_engine._scoring.metrics import summarize
from aisb_engine._scoring.options import likeliest
from aisb_engine._scoring.rows import GraderOfRows, parted, use_for
from aisb_engine._scoring.steps import FoundAnswer, Steps, reads_tool_calls, reply_turns_of

if TYPE_CHECKING:
    from aisb._discovery import ComponentKind
    from aisb._plugins import Plugins
    from aisb_engine._record.episodes import EndedEpisode, EpisodeKey
    from aisb_engine._spec import GradingUse, MarksTable, Task

MAX_CONCURRENT_GRADES = 32
"""The number of answers that an evaluator grades concurrently if it waits for a judge or another process."""

PAUSE_EVERY_SECONDS = 0.1
"""How often grading lets the event loop do other work, such as stopping the run."""

CORRECT_THRESHOLD = 1 - 1e-9
"""The smallest value that counts as correct; anything below it is partial credit."""


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
    judges = evaluators(task, plugins, ask) if judges is None else judges
    order = _last_turns(samples, predictions)
    reads_calls = reads_tool_calls(task, plugins)
    grader = _Grader(
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


def likeliest_answer(task: Task, prediction: Prediction) -> Extract:
    """Return the letter of the most likely option as the answer."""
    by = task.logprob.normalise
    letter = LETTERS[likeliest(prediction.logprobs, by)]
    return Extract(letter, "likeliest" if by == "none" else f"likeliest by {by}", explicit=True)


def tool_call_answer(prediction: Prediction) -> Extract:
    """Return the tool calls of a reply as the answer: a JSON list with names and arguments."""
    import json

    calls = []
    for call in prediction.tool_calls:
        arguments = call.get("arguments") or "{}"
        # Arguments that are not JSON, or nested too deeply, are kept as text.
        with suppress(ValueError, RecursionError):
            parsed = json.loads(arguments)
            json.dumps([[parsed]])
            arguments = parsed
        calls.append({"name": call.get("name"), "arguments": arguments})
    return Extract(json.dumps(calls, ensure_ascii=False), "tool_calls", explicit=True)


def evaluator_uses(task: Task) -> dict[str, GradingUse]:
    """Return the evaluators of a task by the names in their scores.

    Evaluators that are limited to some rows form one evaluator; the first represents all of them.
    """
    uses: dict[str, GradingUse] = {}
    parts = parted(task.evaluate)
    for position, use in enumerate(task.evaluate):
        if use.only:
            uses.setdefault("+".join(part.use for part in parts), use)
            continue
        count = sum(other.use == use.use for other in task.evaluate[:position])
        uses[f"{use.use}-{count + 1}" if count else use.use] = use
    return uses


def evaluators(
    task: Task, plugins: Plugins, ask: Ask | None = None, *, faults: PluginFaults | None = None
) -> dict[str, Evaluator]:
    """Create the evaluators of a task, by the names in their scores.

    With `faults`, an evaluator whose factory raises is recorded there and omitted.

    Raises:
        ComponentError: a factory raised.
    """
    created: dict[str, Evaluator] = {}
    for name, use in evaluator_uses(task).items():
        try:
            created[name] = make_evaluator(use, task, plugins, ask)
        except ComponentError as error:
            if faults is None:
                raise
            faults.add(error, f"task {task.name}")
    return created


def make_evaluator(use: GradingUse, task: Task, plugins: Plugins, ask: Ask | None = None) -> Evaluator:
    """Create one evaluator of a task; if it is limited to some rows, all such evaluators as one.

    Raises:
        ComponentError: a factory raised.
    """

    def create(part: GradingUse) -> Evaluator:
        where = f"task.evaluate[{task.evaluate.index(part)}]"
        evaluator: Evaluator = make(plugins, "evaluator", part.use, part.options, where=where, ask=ask)
        return evaluator

    if not use.only:
        return create(use)
    return GraderOfRows([(part, create(part)) for part in parted(task.evaluate)])


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
    judges = evaluators(task, plugins) if judges is None else judges
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


def outcome(prediction: Prediction, answer: Extract | None, value: float) -> Outcome:
    """Return the outcome of a prediction whose evaluator set none. Its text must not contain reasoning.

    A correct answer is correct even if the reply was cut off. An incorrect one is `truncated` if the reply
    was cut off before an explicit answer, and `refused` if it declines to give one.
    """
    if prediction.failure:
        return "error"
    if answer is not None and value >= CORRECT_THRESHOLD:
        return "correct"
    marked = answer is not None and answer.explicit
    if prediction.finish_reason == "length" and not marked:
        return "truncated"
    if not marked and (prediction.finish_reason == "content_filter" or is_refusal(prediction.text)):
        return "refused"
    return "wrong" if answer is not None else "unparsed"


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


@dataclass(frozen=True, slots=True)
class _Grader:
    """Grades predictions one by one; an exception of a plugin becomes the outcome of the sample."""

    task: Task
    plugins: Plugins
    steps: Steps
    judges: Mapping[str, Evaluator]
    faults: PluginFaults | None
    unmade: Mapping[str, ComponentError]
    reads_calls: bool = False
    episodes: Mapping[EpisodeKey, EndedEpisode] | None = None

    async def grade(self, sample: Sample, prediction: Prediction) -> list[Score]:
        """Return one score per evaluator."""
        if prediction.failure:
            failed = {"failure": f"{prediction.failure.kind}: {prediction.failure.message}"}
            return self._same_for_all(sample, prediction, _error(failed))
        if self.episodes is not None:  # an episode without its end has no state to grade
            episode = self.episodes.get((prediction.sample_id, prediction.repeat))
            if episode is None or episode.failure is not None:
                reason = episode.failure if episode else "the episode was not finished"
                return self._same_for_all(sample, prediction, _error({"failure": f"environment: {reason}"}))
            sample = replace(sample, fields={**sample.fields, "episode": episode.for_evaluators()})
        if prediction.logprobs:
            sample = replace(sample, fields={**sample.fields, "logprobs": prediction.logprobs})
        try:
            found = self._answer(sample, prediction)
        except StepError as error:
            raised = self._raised(prediction, "postprocessor", error.step, "", error.error)
            return self._same_for_all(sample, prediction, raised)
        except ComponentError as error:
            if self.faults is not None:
                self.faults.add(error, self._place(prediction))
            return self._same_for_all(sample, prediction, _error({"raised": exception_words(error.error)}))
        scores = []
        prediction = found.with_read_text(prediction)
        for name, judge in self.judges.items():
            score = await _score_answer(judge, found.answer, sample)
            if isinstance(score, BaseException):
                use = use_for(evaluator_uses(self.task)[name], self.task.evaluate, sample).use
                raised = self._raised(prediction, "evaluator", use, "score", score)
                score = _with_details(judge, sample, raised)
            scores.append(_finished(name, prediction, sample, found.answer, score))
        return scores

    def _answer(self, sample: Sample, prediction: Prediction) -> FoundAnswer:
        if sample.id in self.unmade:
            raise self.unmade[sample.id]
        if prediction.logprobs:
            return FoundAnswer(likeliest_answer(self.task, prediction), prediction.text)
        if prediction.tool_calls and self.reads_calls:
            return FoundAnswer(tool_call_answer(prediction), prediction.text)
        return self.steps.read(prediction.text, sample, cut_off=prediction.finish_reason == "length")

    def _same_for_all(self, sample: Sample, prediction: Prediction, score: Score) -> list[Score]:
        return [
            _finished(name, prediction, sample, None, _with_details(judge, sample, score))
            for name, judge in self.judges.items()
        ]

    def _raised(
        self, prediction: Prediction, kind: ComponentKind, name: str, during: str, error: BaseException
    ) -> Score:
        """Record an exception of a component, and return the score for it."""
        if self.faults is not None:
            fault = ComponentError.of(self.plugins, kind, name, during, error)
            self.faults.add(fault, self._place(prediction))
        return _error({"raised": exception_words(error)})

    def _place(self, prediction: Prediction) -> str:
        return f"sample {request_id(prediction.sample_id, prediction.repeat)} of {self.task.name}"


async def _score_answer(
    judge: Evaluator, answer: Extract | None, sample: Sample
) -> Score | BaseException | None:
    """Return the score of an answer, or the evaluator's exception; None if there is no answer to grade."""
    if answer is None and not judge.grades_none:
        return None
    try:
        return await score_by(judge, answer.text if answer else None, sample)
    except (ServiceError, RunError):  # without a judge, the other answers cannot be graded either
        raise
    except RAISED as error:  # becomes the outcome of this sample, and is counted
        if is_stop(error):
            raise
        return error


async def score_by(evaluator: Evaluator, answer: str | None, sample: Sample) -> Score:
    """Return the score of an evaluator, or raise if it is not a valid score."""
    returned = evaluator.score(answer, sample)
    score: object = await returned if inspect.isawaitable(returned) else returned
    if not isinstance(score, Score):
        raise TypeError(f"it returned {score!r:.80}; an evaluator must return a Score")
    if not isinstance(score.value, Real) or not 0 <= score.value <= 1:
        raise ValueError(f"the value of its score is {score.value!r:.80}; it must be a number from 0 to 1")
    if score.outcome is not None and score.outcome not in OUTCOMES:
        raise ValueError(f"the outcome of its score is {score.outcome!r:.80}; it must be one of {OUTCOMES}")
    if not isinstance(score.details, Mapping):
        raise TypeError(f"the details of its score are {score.details!r:.80}; they must be a mapping")
    if not is_span(score.span):
        raise TypeError(f"the span of its score is {score.span!r:.80}; it must be two positions")
    return score


def _with_details(judge: Evaluator, sample: Sample, score: Score) -> Score:
    """Add the evaluator's details about a sample that it did not grade; its exceptions are ignored."""
    try:
        details = dict(judge.ungraded_details(sample))
    except RAISED as error:  # the sample has failed already, and the reason is recorded
        if is_stop(error):
            raise
        details = {}
    return replace(score, details={**details, **score.details})


def _error(details: Mapping[str, Any]) -> Score:
    return Score(0.0, "error", details=details)


def _finished(
    name: str, prediction: Prediction, sample: Sample, answer: Extract | None, score: Score | None
) -> Score:
    """Set the fields that an evaluator leaves to the engine."""
    value = score.value if score else 0.0
    own_outcome = score.outcome if score else None
    if own_outcome == "unparsed":  # the evaluator found no answer in the text
        own_outcome = outcome(prediction, None, 0.0)
    return replace(
        score or Score(0.0),
        outcome=own_outcome or outcome(prediction, answer, value),
        sample_id=sample.id,
        repeat=prediction.repeat,
        evaluator=name,
        answer=score.answer if score and score.answer is not None else (answer.text if answer else None),
        rule=(score.rule if score else "") or (answer.rule if answer else ""),
        span=(score.span if score else None) or (answer.span if answer else None),
        group=sample.group,
        cluster=sample.cluster,
    )
