"""Mathematical answers: found in a solution, and compared by what they mean."""

from __future__ import annotations

from collections.abc import Mapping

from aisb import hookimpl


@hookimpl
def aisb_postprocessors() -> Mapping[str, str]:
    """Offer the step that finds the final answer of a solution."""
    return {"math-answer": "aisb_evaluator_math._answers:math_answer"}


@hookimpl
def aisb_evaluators() -> Mapping[str, str]:
    """Offer the evaluator that compares expressions."""
    return {"math-verify": "aisb_evaluator_math._matching:MathVerify"}
