"""Importers for lm-eval, OpenCompass with AISBench, Inspect and Every Eval Ever: files become values."""

from __future__ import annotations

from aisb import hookimpl


@hookimpl
def aisb_importers() -> dict[str, str]:
    """Declare the importers."""
    return {
        "every-eval-ever": "aisb_cli.importers.every_eval_ever:EveryEvalEver",
        "inspect": "aisb_cli.importers.inspect_logs:InspectLogs",
        "lm-eval": "aisb_cli.importers.lm_eval:LmEval",
        "opencompass": "aisb_cli.importers.opencompass:OpenCompass",
    }
