"""Replies that call functions, graded."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aisb import Evaluator, hookimpl
from aisb_evaluator_calls.matching import CallMatch


@hookimpl
def aisb_evaluators() -> Mapping[str, Callable[..., Evaluator]]:
    """Offer the evaluator of function calls."""
    return {"call-match": CallMatch}
