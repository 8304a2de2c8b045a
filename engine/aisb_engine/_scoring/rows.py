"""Postprocessors and evaluators for only some rows of a task, such as those with numbers or with texts."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aisb._evaluator import Evaluator, Postprocessor
from aisb._types import Extract, Sample, Score
from aisb_engine._spec import GradingUse

if TYPE_CHECKING:
    from aisb_engine._spec import Use


def for_rows(use: Use, step: Postprocessor) -> Postprocessor:
    """Return a step that leaves texts of other rows unchanged."""
    if not isinstance(use, GradingUse) or not use.only:
        return step

    def limited(text: str, sample: Sample) -> Extract | str | None:
        return step(text, sample) if use.fits(sample.fields) else text

    return limited


def parted(uses: Sequence[GradingUse]) -> list[GradingUse]:
    """Return the evaluators that are limited to some rows."""
    return [use for use in uses if use.only]


def use_for(use: GradingUse, uses: Sequence[GradingUse], sample: Sample) -> GradingUse:
    """Return the evaluator that grades a row, if several share one name."""
    if not use.only:
        return use
    return next((part for part in parted(uses) if part.fits(sample.fields)), use)


class GraderOfRows(Evaluator):
    """Evaluators for different rows of a task as one: each answer is graded by the one for its row."""

    def __init__(self, parts: Sequence[tuple[GradingUse, Evaluator]]) -> None:
        self.parts = parts
        self.questions_per_answer = max(one.questions_per_answer for _, one in parts)
        self.grades_none = any(one.grades_none for _, one in parts)

    def questions_for(self, sample: Sample) -> int:
        """Return how many questions the evaluator for a row sends to the judge for an answer."""
        fitting = (evaluator for use, evaluator in self.parts if use.fits(sample.fields))
        first = next(fitting, None)
        return 0 if first is None else first.questions_per_answer

    def ungraded_details(self, sample: Sample) -> Mapping[str, Any]:
        """Return the details of this row's evaluator on a sample that could not be graded."""
        for use, evaluator in self.parts:
            if use.fits(sample.fields):
                return evaluator.ungraded_details(sample)
        return {}

    def score(self, answer: str | None, sample: Sample) -> Score | Awaitable[Score]:
        """Grade the answer with the evaluator for its row.

        Raises:
            ValueError: there is none.
        """
        for use, evaluator in self.parts:
            if use.fits(sample.fields):
                if answer is None and not evaluator.grades_none:
                    return Score(0.0, "unparsed")
                return evaluator.score(answer, sample)
        only = "; ".join(str(use.only) for use, _ in self.parts)
        raise ValueError(f"no evaluator grades this row: they are limited to rows with {only}")
