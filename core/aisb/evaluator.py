"""What a grader subclasses, and the shape of a postprocessor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from aisb.types import Extract, Metric, Sample, Score

Postprocessor: TypeAlias = Callable[[str, Sample], "Extract | str | None"]
"""A step from raw text towards an answer; None means that no answer was found.

A step that returns a plain string is located in its input by core; one that returns an `Extract` says itself
where it found the piece and by which rule.
"""


class Evaluator(ABC):
    """Grades answers against their samples, and sums the grades up."""

    @abstractmethod
    def score(self, answer: str | None, sample: Sample) -> Score | Awaitable[Score]:
        """Grade one answer. It is never called with None unless `grades_none` is set."""

    grades_none = False
    """Whether `score` wants to see samples without an answer, rather than have them counted as unparsed."""

    def summarize(self, scores: Sequence[Score]) -> list[Metric]:
        """Sum scores up into metrics: by default `accuracy`, its interval, what repeats and groups add."""
        from aisb.accuracy.metrics import summarize

        return summarize(scores)
