"""What a grader subclasses, and the shape of a postprocessor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

from aisb._types import Extract, Metric, Prediction, Request, Sample, Score

Postprocessor: TypeAlias = Callable[[str, Sample], "Extract | str | None"]
"""A step from raw text towards an answer; None means that no answer was found.

The engine locates a plain string in its input. A step that returns an `Extract` says itself where it found
the piece, and by which rule.
"""

Ask: TypeAlias = Callable[[Request], Awaitable[Prediction]]
"""Asks the model that judges. The engine gives one to the parameter of this type of an evaluator's factory.

The request is sent, tried again and logged as in any run, with the evaluator's `params` below those that the
user gives the judge. What was asked before is answered from the log; `repeat` asks the same once more. The
text of the reply is without reasoning. A failure is part of the prediction.
"""


F = TypeVar("F", bound=Callable[..., Postprocessor])


def finds_answer(factory: F) -> F:
    """Declare that the step of a factory looks for an answer in a text: `@finds_answer`.

    The engine gives such a step a reply only up to where the model begins another question. A step
    that does not say it takes what it is given as a whole, as one that cleans a text does.
    """
    factory.finds_answer = True  # type: ignore[attr-defined]
    return factory


def target_texts(sample: Sample) -> tuple[str, ...]:
    """Return every text that would be right: each element of a target that is a list, else the target."""
    target = sample.target
    several = isinstance(target, list | tuple | set | frozenset)
    return tuple(map(str, target)) if several else (str(target),)


class Evaluator(ABC):
    """Grades answers against their samples, and sums the grades up."""

    reads: ClassVar[Literal["answer", "text", "calls"]] = "answer"
    """What `score` grades: an answer, a whole text (a summary, a program), or calls of functions.

    Where a task grades answers, a reply is read only up to where the model begins another question.
    """

    questions_per_answer = 0
    """How many questions `score` asks of the model that judges, for one answer."""

    @abstractmethod
    def score(self, answer: str | None, sample: Sample) -> Score | Awaitable[Score]:
        """Grade one answer. It is never called with None unless `grades_none` is set."""

    grades_none = False
    """Whether `score` wants to see samples without an answer, rather than have them counted as unparsed."""

    def ungraded_details(self, sample: Sample) -> Mapping[str, Any]:
        """Return the details of a sample that `score` never saw: its request failed, or something raised."""
        del sample
        return {}

    def extra_metrics(self, scores: Sequence[Score]) -> list[Metric]:
        """Return metrics that stand beside those of `summarize`; none by default."""
        del scores
        return []

    def summarize(self, scores: Sequence[Score]) -> list[Metric] | None:
        """Sum scores up into metrics; None for the standard ones, such as accuracy and its interval."""
        del scores
        return None
