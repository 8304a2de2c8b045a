"""Instructions that a program can verify: how long, in which form, with which words an answer is to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aisb import Evaluator, hookimpl
from aisb_evaluator_instruct.following import Instructions


@hookimpl
def aisb_evaluators() -> Mapping[str, Callable[..., Evaluator]]:
    """Offer the evaluator that checks instructions."""
    return {"instructions": Instructions}
