"""Importers for lm-eval, OpenCompass with AISBench, and Inspect: each turns its files into values."""

from __future__ import annotations

from aisb import hookimpl


@hookimpl
def aisb_importers() -> dict[str, str]:
    """Declare the importers."""
    return {
        "inspect": "aisb_cli.importers.inspect_logs:InspectLogs",
        "lm-eval": "aisb_cli.importers.lm_eval:LmEval",
        "opencompass": "aisb_cli.importers.opencompass:OpenCompass",
    }
