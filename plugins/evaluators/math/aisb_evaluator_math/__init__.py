"""Mathematical answers: found in a solution, and compared by what they mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aisb import Evaluator, Postprocessor, hookimpl
from aisb_evaluator_math.answers import math_answer
from aisb_evaluator_math.matching import MathVerify


@hookimpl
def aisb_postprocessors() -> Mapping[str, Callable[..., Postprocessor]]:
    """Offer the step that finds the final answer of a solution."""
    return {"math-answer": math_answer}


@hookimpl
def aisb_evaluators() -> Mapping[str, Callable[..., Evaluator]]:
    """Offer the evaluator that compares expressions."""
    return {"math-verify": MathVerify}
