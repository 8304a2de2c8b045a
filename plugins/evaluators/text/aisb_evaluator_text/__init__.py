"""Extract answers from text and grade them: numbers, choices, boxes, exact text.

Other plugins may use the names in `__all__`: the evaluators, the factories of the postprocessors, and their
building blocks. They follow the version of this distribution.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any

from aisb import hookimpl

if TYPE_CHECKING:
    from aisb_evaluator_text._choices import choice
    from aisb_evaluator_text._marked import answer_line, boxed, find_announced_answers, find_boxes
    from aisb_evaluator_text._matching import (
        ChoiceMatch,
        ExactMatch,
        NumericMatch,
        choice_letter,
        number_values,
    )
    from aisb_evaluator_text._number_steps import last_number, number
    from aisb_evaluator_text._perplexity import Perplexity

__all__ = [
    "ChoiceMatch",
    "ExactMatch",
    "NumericMatch",
    "Perplexity",
    "answer_line",
    "boxed",
    "choice",
    "choice_letter",
    "find_announced_answers",
    "find_boxes",
    "last_number",
    "number",
    "number_values",
]

_PLACES = {
    "ChoiceMatch": "aisb_evaluator_text._matching",
    "ExactMatch": "aisb_evaluator_text._matching",
    "NumericMatch": "aisb_evaluator_text._matching",
    "Perplexity": "aisb_evaluator_text._perplexity",
    "answer_line": "aisb_evaluator_text._marked",
    "boxed": "aisb_evaluator_text._marked",
    "choice": "aisb_evaluator_text._choices",
    "choice_letter": "aisb_evaluator_text._matching",
    "find_announced_answers": "aisb_evaluator_text._marked",
    "find_boxes": "aisb_evaluator_text._marked",
    "last_number": "aisb_evaluator_text._number_steps",
    "number": "aisb_evaluator_text._number_steps",
    "number_values": "aisb_evaluator_text._matching",
}


def __getattr__(name: str) -> Any:
    # Every command imports every plugin, so a name is imported at its first use.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


@hookimpl
def aisb_postprocessors() -> Mapping[str, str]:
    """Declare the postprocessors that find numbers, choices, boxes and answer lines."""
    return {
        "answer-text": "aisb_evaluator_text._marked:answer_text",
        "answer-line": "aisb_evaluator_text._marked:answer_line",
        "boxed": "aisb_evaluator_text._marked:boxed",
        "choice": "aisb_evaluator_text._choices:choice",
        "last-number": "aisb_evaluator_text._number_steps:last_number",
        "number": "aisb_evaluator_text._number_steps:number",
    }


@hookimpl
def aisb_evaluators() -> Mapping[str, str]:
    """Declare the evaluators that compare numbers, text and choices, and perplexity."""
    return {
        "choice-match": "aisb_evaluator_text._matching:ChoiceMatch",
        "exact-match": "aisb_evaluator_text._matching:ExactMatch",
        "numeric-match": "aisb_evaluator_text._matching:NumericMatch",
        "perplexity": "aisb_evaluator_text._perplexity:Perplexity",
    }


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Declare the folder with the tasks for user-provided data files, and the grading of their answers."""
    from importlib.resources import files

    return [files("aisb_evaluator_text")]
