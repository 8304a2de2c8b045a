"""Grade answers by their overlap with the target: words, n-grams, the longest common subsequence.

Other plugins may use the names in `__all__`: the evaluators, and `mean_metrics`, which summarizes other
figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from aisb import hookimpl

if TYPE_CHECKING:
    from aisb_evaluator_overlap._bleu import Bleu
    from aisb_evaluator_overlap._edits import EditSimilarity
    from aisb_evaluator_overlap._means import mean_metrics
    from aisb_evaluator_overlap._rouge import Rouge
    from aisb_evaluator_overlap._words import TokenF1

__all__ = [
    "Bleu",
    "EditSimilarity",
    "Rouge",
    "TokenF1",
    "mean_metrics",
]

_PLACES = {
    "Bleu": "aisb_evaluator_overlap._bleu",
    "EditSimilarity": "aisb_evaluator_overlap._edits",
    "Rouge": "aisb_evaluator_overlap._rouge",
    "TokenF1": "aisb_evaluator_overlap._words",
    "mean_metrics": "aisb_evaluator_overlap._means",
}


def __getattr__(name: str) -> Any:
    # Every command imports every plugin, so a name is imported at its first use.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


@hookimpl
def aisb_evaluators() -> Mapping[str, str]:
    """Declare the evaluators with partial credit."""
    return {
        "bleu": "aisb_evaluator_overlap._bleu:Bleu",
        "edit-similarity": "aisb_evaluator_overlap._edits:EditSimilarity",
        "rouge": "aisb_evaluator_overlap._rouge:Rouge",
        "token-f1": "aisb_evaluator_overlap._words:TokenF1",
    }
