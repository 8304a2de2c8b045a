"""Answers judged by a model."""

from __future__ import annotations

from collections.abc import Mapping

from aisb import hookimpl


@hookimpl
def aisb_evaluators() -> Mapping[str, str]:
    """Offer the evaluator that asks a model."""
    return {"judge": "aisb_evaluator_judge._judge:ModelJudge"}
