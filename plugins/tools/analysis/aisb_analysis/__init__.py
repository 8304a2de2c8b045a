"""Analyses of runs: audits, comparisons, capacity, sweeps, and grades of outputs from any source."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aisb_analysis._compare import compare, pair_up
    from aisb_analysis._determinism import Determinism, measure_determinism, repeat_name
    from aisb_analysis._packing import masked_copy, secrets_mask
    from aisb_analysis._readings import compare_runs
    from aisb_analysis._speeds import compare_speeds
    from aisb_analysis._under_load_run import answers_under_load, loaded_name

_PLACES = {
    "Determinism": "aisb_analysis._determinism",
    "answers_under_load": "aisb_analysis._under_load_run",
    "compare": "aisb_analysis._compare",
    "compare_runs": "aisb_analysis._readings",
    "compare_speeds": "aisb_analysis._speeds",
    "loaded_name": "aisb_analysis._under_load_run",
    "masked_copy": "aisb_analysis._packing",
    "measure_determinism": "aisb_analysis._determinism",
    "pair_up": "aisb_analysis._compare",
    "secrets_mask": "aisb_analysis._packing",
    "repeat_name": "aisb_analysis._determinism",
}

__all__ = [
    "Determinism",
    "answers_under_load",
    "compare",
    "compare_runs",
    "compare_speeds",
    "loaded_name",
    "masked_copy",
    "measure_determinism",
    "pair_up",
    "repeat_name",
    "secrets_mask",
]


def __getattr__(name: str) -> Any:
    """Import a name at its first use: `aisb --help` imports this package."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
