"""Answers found in text and graded: numbers, choices, boxes, exact text."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aisb import Evaluator, Postprocessor, hookimpl
from aisb_evaluator_text.choices import choice
from aisb_evaluator_text.marked import answer_line, boxed
from aisb_evaluator_text.matching import ChoiceMatch, ExactMatch, NumericMatch
from aisb_evaluator_text.number_steps import last_number, number


@hookimpl
def aisb_postprocessors() -> Mapping[str, Callable[..., Postprocessor]]:
    """Offer the steps that find numbers, choices, boxes and answer lines."""
    return {
        "answer-line": answer_line,
        "boxed": boxed,
        "choice": choice,
        "last-number": last_number,
        "number": number,
    }


@hookimpl
def aisb_evaluators() -> Mapping[str, Callable[..., Evaluator]]:
    """Offer the evaluators that compare numbers, text and choices."""
    return {"choice-match": ChoiceMatch, "exact-match": ExactMatch, "numeric-match": NumericMatch}
