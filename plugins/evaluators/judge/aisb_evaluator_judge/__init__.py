"""Answers graded by a judge model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources.abc import Traversable

from aisb import hookimpl


@hookimpl
def aisb_evaluators() -> Mapping[str, str]:
    """Declare the evaluator that uses a judge model."""
    return {"judge": "aisb_evaluator_judge._judge:ModelJudge"}


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Return the folder with the grading of tasks that have no other evaluator."""
    from importlib.resources import files

    return [files("aisb_evaluator_judge")]
