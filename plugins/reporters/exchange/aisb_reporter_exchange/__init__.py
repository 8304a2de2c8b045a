"""The accuracy results of a run in the formats of other tools, for leaderboards, viewers and scripts."""

from __future__ import annotations

from aisb import hookimpl


@hookimpl
def aisb_reporters() -> dict[str, str]:
    """Offer a reporter for each format."""
    return {
        "every-eval-ever": "aisb_reporter_exchange._every_eval_ever:EveryEvalEver",
        "huggingface": "aisb_reporter_exchange._huggingface:HuggingFace",
        "inspect": "aisb_reporter_exchange._inspect:InspectLog",
        "lm-eval": "aisb_reporter_exchange._lm_eval:LmEval",
    }
