"""Importers for other tools, of accuracy and of performance: each turns its files into values."""

from __future__ import annotations

from aisb import hookimpl


@hookimpl
def aisb_importers() -> dict[str, str]:
    """Declare the importers."""
    return {
        "aiperf": "aisb_cli.importers.aiperf:Aiperf",
        "every-eval-ever": "aisb_cli.importers.every_eval_ever:EveryEvalEver",
        "guidellm": "aisb_cli.importers.guidellm:GuideLlm",
        "inspect": "aisb_cli.importers.inspect_logs:InspectLogs",
        "lm-eval": "aisb_cli.importers.lm_eval:LmEval",
        "opencompass": "aisb_cli.importers.opencompass:OpenCompass",
        "vllm-bench": "aisb_cli.importers.vllm_bench:VllmBench",
    }
