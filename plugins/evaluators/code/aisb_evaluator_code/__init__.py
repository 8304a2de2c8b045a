"""Programs as answers: extract them from a reply, and run them against their tests in a sandbox."""

from __future__ import annotations

from collections.abc import Mapping

from aisb import hookimpl


@hookimpl
def aisb_postprocessors() -> Mapping[str, str]:
    """Declare the postprocessor that finds the program in an answer."""
    return {"code": "aisb_evaluator_code._blocks:code"}


@hookimpl
def aisb_evaluators() -> Mapping[str, str]:
    """Declare the evaluator that runs programs."""
    return {"code-run": "aisb_evaluator_code._running:CodeRun"}
