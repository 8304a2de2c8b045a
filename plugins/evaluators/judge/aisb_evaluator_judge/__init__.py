"""Answers graded by a judge model."""

from __future__ import annotations

from collections.abc import Mapping

from aisb import hookimpl


@hookimpl
def aisb_evaluators() -> Mapping[str, str]:
    """Declare the evaluator that uses a judge model."""
    return {"judge": "aisb_evaluator_judge._judge:ModelJudge"}
