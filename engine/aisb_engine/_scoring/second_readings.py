"""Extract the answers again with other postprocessors, and find where that could change the headline.

An extractor is trusted if it agrees with the task's own steps on most answers. If it then finds another
answer that is as explicit as theirs, one of the two is wrong, and only a person can tell which.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from aisb._errors import AisbError, UsageError
from aisb._options import options as factory_options
from aisb_engine._faults import StepError
from aisb_engine._record.stored import summaries
from aisb_engine._scoring.steps import Steps, reply_turns_of
from aisb_engine._spec import Use

if TYPE_CHECKING:
    from aisb._evaluator import Evaluator
    from aisb._plugins import Plugins
    from aisb._types import Extract, Prediction, Sample, Score
    from aisb_engine._spec import MarksTable, Task

MAX_ANSWERS = 1000
"""The number of answers to read again: a sample shows whether the rest needs an audit."""

TRIAL = 60
"""The number of answers after which an extractor that mostly disagrees is dropped."""

LONGEST_TEXT = 1_000_000
"""The length of the longest text to read again, in characters: each extractor takes a second for as many."""

TRUSTED_AGREEMENT = 0.75
"""The share of answers on which an extractor must agree with the task's own steps to be trusted."""

MIN_MOVE = 0.5
"""The smallest possible change of the headline, in points, that gets a warning."""

CUTTING = ("strip-reasoning", "strip-markdown", "strip", "before", "replace")
"""Steps that select the part of a text to read; other extractors read the same part."""


@dataclass(slots=True)
class Dispute:
    """The answers on which an extractor contradicts the task's own steps, and the verdicts at stake."""

    by: str
    read: int = 0
    found: int = 0
    same: int = 0
    up: int = 0
    down: int = 0
    ids: list[str] = field(default_factory=list)

    @property
    def move(self) -> float:
        """The largest possible change of the headline, in points."""
        return 100 * max(self.up, self.down) / self.read if self.read else 0.0

    def can_be_usual(self, left: int = 0) -> bool:
        """Return whether it agrees often enough to be trusted, if it agrees on all the answers left."""
        found = self.found + left
        return bool(found) and self.same + left >= TRUSTED_AGREEMENT * found

    def summary(self) -> dict[str, Any]:
        """Return the dispute as a table of the results file."""
        counts = {"answers": self.up + self.down, "read": self.read, "up": self.up, "down": self.down}
        return {"by": self.by, **counts, "move": round(self.move, 2), "ids": self.ids}


def other_extractors(
    task: Task, plugins: Plugins, also: Iterable[str] = (), marks: MarksTable | None = None
) -> tuple[dict[str, Steps], set[str], list[str]]:
    """Create other extractors for a task: those requested, then those installed; with notes on failures.

    Raises:
        UsageError: a requested one does not exist, or does not take its options.
    """
    cut: list[Use] = []
    for step in task.postprocess:
        if step.use not in CUTTING:
            break
        cut.append(step.model_copy(update={"only": {}}))
    reading = replace(reply_turns_of(task, plugins, marks), finds_answer=True)
    extractors: dict[str, Steps] = {}
    for text in also:
        extractors[text] = Steps.make([*cut, _use(text)], plugins, where="--with", reading=reading)
    requested = set(extractors)
    notes: list[str] = []
    own = [use.use for use in task.postprocess if not use.options]
    # The steps of a family of tasks are made for its formats, and mislead elsewhere.
    families = {info.name for info in plugins.infos if info.configs}
    families -= {plugins.find("postprocessor", use.use).plugin for use in task.postprocess}
    for component in plugins.components():
        name = component.name
        if component.kind != "postprocessor" or component.plugin in {"builtin", *families}:
            continue
        if name in {*extractors, *own}:
            continue
        try:
            finds = getattr(component.factory, "finds_answer", False)
            if not finds or any(option.required for option in factory_options(component.factory)):
                continue
            extractors[name] = Steps.make([*cut, Use(use=name)], plugins, reading=reading)
        except AisbError as error:
            notes.append(f"{name} is left out: {error}")
    return extractors, requested, notes


class PlacedAnswer(Protocol):
    """An answer with its position, from a step or an audit."""

    @property
    def span(self) -> tuple[int, int] | None:
        """The position in the raw text."""

    @property
    def explicit(self) -> bool:
        """Whether the text marks it as the answer."""


def is_contested(
    own: PlacedAnswer | None, other: PlacedAnswer, *, own_is_right: bool | None, other_is_right: bool | None
) -> bool:
    """Return whether another answer would change a verdict, and is as explicit as the task's own one.

    A part of a correct answer does not contest it.
    """
    if other_is_right is None or own_is_right == other_is_right:
        return False
    if own_is_right and own and own.span and other.span:
        apart = other.span[1] <= own.span[0] or own.span[1] <= other.span[0]
        if not apart:
            return False
    return other.explicit or own is None or not own.explicit


async def disputed(
    task: Task,
    plugins: Plugins,
    *,
    samples: Mapping[str, Sample],
    predictions: Sequence[Prediction],
    scores: Sequence[Score],
    judge: Evaluator,
    steps: Steps,
    marks: MarksTable | None = None,
) -> Dispute | None:
    """Return the extractor that could change the headline most; None if none changes it enough.

    `steps` are those of the task, `judge` is the evaluator that gave the scores. Nothing is sent: answers to
    tasks with a judge are not read again, nor texts that are graded as a whole.
    """
    reading = reply_turns_of(task, plugins, marks)
    is_read = task.mode != "logprob" and task.environment is None and reading.finds_answer
    if not is_read or judge.questions_per_answer or not scores:
        return None
    own = Steps(steps.steps, reading)
    others, _, _ = other_extractors(task, plugins, marks=marks)
    places: dict[tuple[str, int], int] = {}
    for number, summary in enumerate(summaries(predictions)):  # the last turn, like the grading
        places[summary.sample_id, summary.repeat] = number
    tallies = {name: Dispute(name) for name in others}
    step = max(1, -(-len(scores) // MAX_ANSWERS))
    chosen = scores[::step]
    for position, score in enumerate(chosen):
        # An extractor that no further answer can make usual is not read again.
        end = TRIAL if position <= TRIAL < len(chosen) else len(chosen)
        tallies = {name: tally for name, tally in tallies.items() if tally.can_be_usual(end - position)}
        prediction = predictions[places[score.sample_id, score.repeat]]
        is_long = len(prediction.text) > LONGEST_TEXT
        if score.outcome == "error" or prediction.logprobs or prediction.tool_calls or is_long:
            for tally in tallies.values():
                tally.read += 1
            continue
        sample = samples[score.sample_id]
        own_answer = partial(_read, own, prediction, sample)
        for name, tally in tallies.items():
            other = _read(others[name], prediction, sample)
            await _compare(tally, score, own=own_answer, other=other, judge=judge, sample=sample)
    usual = (tally for tally in tallies.values() if tally.can_be_usual())
    worst = max(usual, key=lambda tally: tally.move, default=None)
    return worst if worst and worst.move > MIN_MOVE else None


async def _compare(
    tally: Dispute,
    score: Score,
    *,
    own: Callable[[], Extract | None],
    other: Extract | None,
    judge: Evaluator,
    sample: Sample,
) -> None:
    """Compare one answer of an extractor with the one that was graded, and count the result.

    `own` reads the graded answer again, with its position: few comparisons need that.
    """
    tally.read += 1
    if other is None:
        return
    tally.found += 1
    was_right = score.outcome == "correct"
    if score.answer is not None and " ".join(other.text.split()) == " ".join(score.answer.split()):
        tally.same += 1
        return
    try:
        score_of_other = judge.score(other.text, sample)
        score_of_other = await score_of_other if inspect.isawaitable(score_of_other) else score_of_other
    except Exception:  # noqa: BLE001 - a grader that cannot grade another's answer says nothing about it
        return
    is_right = score_of_other.value >= 1 - 1e-9
    vote = score.details.get("vote")
    if (is_right and was_right) or (vote is not None and score_of_other.details.get("vote") == vote):
        tally.same += 1
    elif is_contested(own(), other, own_is_right=was_right, other_is_right=is_right):
        tally.up += is_right
        tally.down += was_right
        tally.ids.append(score.sample_id)


def _read(steps: Steps, prediction: Prediction, sample: Sample) -> Extract | None:
    try:
        return steps.read(prediction.text, sample, cut_off=prediction.finish_reason == "length").answer
    except StepError:  # recorded when the answer was graded
        return None


def _use(text: str) -> Use:
    """Parse an extractor: a name, or a table with options."""
    import tomllib

    if not text.lstrip().startswith("{"):
        return Use(use=text)
    try:
        table = tomllib.loads(f"with = {text}")["with"]
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"--with {text}: {error}") from None
    if not isinstance(table.get("use"), str):
        raise UsageError(
            f'--with {text}: it must name a postprocessor, as in {{use="regex", pattern="= (.*)"}}'
        )
    return Use(**table)
