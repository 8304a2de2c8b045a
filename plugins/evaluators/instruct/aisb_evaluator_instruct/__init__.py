"""Instructions that a program can verify: the length, the format and the words of an answer."""

from __future__ import annotations

from collections.abc import Mapping

from aisb import hookimpl


@hookimpl
def aisb_evaluators() -> Mapping[str, str]:
    """Declare the evaluator that checks instructions."""
    return {"instructions": "aisb_evaluator_instruct._following:Instructions"}
