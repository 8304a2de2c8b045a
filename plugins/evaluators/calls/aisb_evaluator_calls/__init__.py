"""Grade replies that call functions."""

from __future__ import annotations

from collections.abc import Mapping

from aisb import hookimpl


@hookimpl
def aisb_evaluators() -> Mapping[str, str]:
    """Declare the evaluator of function calls."""
    return {"call-match": "aisb_evaluator_calls._matching:CallMatch"}
