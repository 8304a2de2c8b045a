"""The base class of evaluators, and the type of postprocessors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

from aisb._types import Extract, Metric, Prediction, Request, Sample, Score

Postprocessor: TypeAlias = Callable[[str, Sample], "Extract | str | None"]
"""A step from the reply's text to the answer. It returns None if it finds no answer.

If a step returns a string, the engine looks for it in the step's input. A step that returns an `Extract`
gives the position and the rule itself.
"""

Ask: TypeAlias = Callable[[Request], Awaitable[Prediction]]
"""Sends a request to the judge model. The engine passes it to an evaluator's parameter of this type.

The request is sent, retried and logged like any other. Its `params` are defaults: those that the user sets
for the judge override them. A request that was answered before is answered from the log; another `repeat`
sends it again. The text of the reply has no reasoning. A failure is part of the prediction; none is raised.
"""


F = TypeVar("F", bound=Callable[..., Postprocessor])


def finds_answer(factory: F) -> F:
    """Declare that a postprocessor extracts an answer from a text: `@finds_answer`.

    Base models often go on with another question after the answer. The engine cuts the reply there before it
    calls a step with this mark. Other steps, such as those that clean a text, get the whole reply.
    """
    factory.finds_answer = True  # type: ignore[attr-defined]
    return factory


def target_texts(sample: Sample) -> tuple[str, ...]:
    """Return the accepted reference answers: the elements of a target that is a list, else the target."""
    target = sample.target
    is_list = isinstance(target, list | tuple | set | frozenset)
    return tuple(map(str, target)) if is_list else (str(target),)


class Evaluator(ABC):
    """Grades answers against their samples, and aggregates the scores."""

    reads: ClassVar[Literal["answer", "text", "calls"]] = "answer"
    """The input of `score`: an extracted answer, the whole text (a summary, a program), or tool calls.

    For "answer", the engine cuts the reply where the model begins another question.
    """

    questions_per_answer = 0
    """The number of requests that `score` sends to the judge model for one answer."""

    @abstractmethod
    def score(self, answer: str | None, sample: Sample) -> Score | Awaitable[Score]:
        """Grade one answer. `answer` is None only if `grades_none` is set."""

    grades_none = False
    """Whether `score` is also called for samples without an answer. Otherwise they count as unparsed."""

    def ungraded_details(self, sample: Sample) -> Mapping[str, Any]:
        """Return the details of a sample that `score` was not called for, because of a failure."""
        del sample
        return {}

    def extra_metrics(self, scores: Sequence[Score]) -> list[Metric]:
        """Return metrics to show in addition to those of `summarize`; none by default."""
        del scores
        return []

    def summarize(self, scores: Sequence[Score]) -> list[Metric] | None:
        """Aggregate scores to metrics; None selects the standard ones, such as accuracy and its interval."""
        del scores
        return None
