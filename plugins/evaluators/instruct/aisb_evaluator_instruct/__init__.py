"""Instructions that a program can verify: how long, in which form, with which words an answer is to be."""

from __future__ import annotations

from collections.abc import Mapping

from aisb import hookimpl


@hookimpl
def aisb_evaluators() -> Mapping[str, str]:
    """Offer the evaluator that checks instructions."""
    return {"instructions": "aisb_evaluator_instruct._following:Instructions"}
