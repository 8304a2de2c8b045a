"""Answers found in text and graded: numbers, choices, boxes, exact text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from aisb import hookimpl


@hookimpl
def aisb_postprocessors() -> Mapping[str, str]:
    """Offer the steps that find numbers, choices, boxes and answer lines."""
    return {
        "answer-line": "aisb_evaluator_text._marked:answer_line",
        "boxed": "aisb_evaluator_text._marked:boxed",
        "choice": "aisb_evaluator_text._choices:choice",
        "last-number": "aisb_evaluator_text._number_steps:last_number",
        "number": "aisb_evaluator_text._number_steps:number",
    }


@hookimpl
def aisb_evaluators() -> Mapping[str, str]:
    """Offer the evaluators that compare numbers, text and choices, and perplexity."""
    return {
        "choice-match": "aisb_evaluator_text._matching:ChoiceMatch",
        "exact-match": "aisb_evaluator_text._matching:ExactMatch",
        "numeric-match": "aisb_evaluator_text._matching:NumericMatch",
        "perplexity": "aisb_evaluator_text._perplexity:Perplexity",
    }


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Return the folder with the tasks for user-provided data files, and how their answers are graded."""
    return [files("aisb_evaluator_text")]
