"""Grade one prediction: find its answer, let each evaluator score it, and set the outcome.

An exception of a plugin becomes the outcome of the sample, and is recorded.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Any

from aisb._errors import RunError, ServiceError
from aisb._evaluator import Evaluator
from aisb._refusal import is_refusal
from aisb._types import OUTCOMES, Extract, Outcome, Prediction, Sample, Score, request_id
from aisb_engine._data.samples import LETTERS
from aisb_engine._faults import (
    RAISED,
    ComponentError,
    PluginFaults,
    StepError,
    exception_text,
    is_span,
    is_stop,
)
from aisb_engine._scoring.evaluators import evaluator_uses
from aisb_engine._scoring.options import likeliest
from aisb_engine._scoring.rows import use_for
from aisb_engine._scoring.steps import FoundAnswer, Steps

if TYPE_CHECKING:
    from aisb._discovery import ComponentKind
    from aisb._plugins import Plugins
    from aisb_engine._record.episodes import EndedEpisode, EpisodeKey
    from aisb_engine._spec import Task

CORRECT_THRESHOLD = 1 - 1e-9
"""The smallest value that counts as correct; anything below it is partial credit."""


@dataclass(frozen=True, slots=True)
class Grader:
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
            return self._same_for_all(sample, prediction, _error({"raised": exception_text(error.error)}))
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
        return _error({"raised": exception_text(error)})

    def _place(self, prediction: Prediction) -> str:
        return f"sample {request_id(prediction.sample_id, prediction.repeat)} of {self.task.name}"


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
    return Score(
        value,
        outcome=own_outcome or outcome(prediction, answer, value),
        sample_id=sample.id,
        repeat=prediction.repeat,
        evaluator=name,
        answer=score.answer if score and score.answer is not None else (answer.text if answer else None),
        rule=(score.rule if score else "") or (answer.rule if answer else ""),
        span=(score.span if score else None) or (answer.span if answer else None),
        group=sample.group,
        cluster=sample.cluster,
        details=score.details if score else {},
    )
