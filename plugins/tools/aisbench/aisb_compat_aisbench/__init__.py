"""AISBench's command (`ais_bench`), config files (`aisb config import`) and result files (`aisbench`)."""

from __future__ import annotations

from aisb import hookimpl


@hookimpl
def aisb_reporters() -> dict[str, str]:
    """Offer the reporter of AISBench's files."""
    return {"aisbench": "aisb_compat_aisbench._reporter:AisBench"}
