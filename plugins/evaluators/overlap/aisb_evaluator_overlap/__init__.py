"""Answers graded by what they share with the target: words, n-grams, the longest common subsequence."""

from __future__ import annotations

from collections.abc import Mapping

from aisb import hookimpl


@hookimpl
def aisb_evaluators() -> Mapping[str, str]:
    """Offer the evaluators that give partial credit."""
    return {
        "bleu": "aisb_evaluator_overlap._bleu:Bleu",
        "edit-similarity": "aisb_evaluator_overlap._edits:EditSimilarity",
        "rouge": "aisb_evaluator_overlap._rouge:Rouge",
        "token-f1": "aisb_evaluator_overlap._words:TokenF1",
    }
