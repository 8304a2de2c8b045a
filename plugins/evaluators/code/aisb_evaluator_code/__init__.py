"""Programs as answers: found in a reply, and run against their tests in a sandbox."""

from __future__ import annotations

from collections.abc import Mapping

from aisb import hookimpl


@hookimpl
def aisb_postprocessors() -> Mapping[str, str]:
    """Offer the step that finds the program in an answer."""
    return {"code": "aisb_evaluator_code._blocks:code"}


@hookimpl
def aisb_evaluators() -> Mapping[str, str]:
    """Offer the evaluator that runs programs."""
    return {"code-run": "aisb_evaluator_code._running:CodeRun"}
