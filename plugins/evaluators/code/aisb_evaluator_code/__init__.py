"""Programs as answers: found in a reply, and run against their tests in a sandbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aisb import Evaluator, Postprocessor, hookimpl
from aisb_evaluator_code.blocks import code
from aisb_evaluator_code.running import CodeRun


@hookimpl
def aisb_postprocessors() -> Mapping[str, Callable[..., Postprocessor]]:
    """Offer the step that finds the program in an answer."""
    return {"code": code}


@hookimpl
def aisb_evaluators() -> Mapping[str, Callable[..., Evaluator]]:
    """Offer the evaluator that runs programs."""
    return {"code-run": CodeRun}
