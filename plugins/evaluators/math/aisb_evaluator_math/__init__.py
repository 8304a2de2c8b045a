"""Mathematical answers: extract them from a solution, and compare them by value."""

from __future__ import annotations

from collections.abc import Mapping

from aisb import hookimpl


@hookimpl
def aisb_postprocessors() -> Mapping[str, str]:
    """Declare the postprocessor that finds the final answer of a solution."""
    return {"math-answer": "aisb_evaluator_math._answers:math_answer"}


@hookimpl
def aisb_evaluators() -> Mapping[str, str]:
    """Declare the evaluator that compares expressions."""
    return {"math-verify": "aisb_evaluator_math._matching:MathVerify"}
