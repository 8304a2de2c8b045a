"""Answers graded by what they share with the target: words, n-grams, the longest common subsequence."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aisb import Evaluator, hookimpl
from aisb_evaluator_overlap.bleu import Bleu
from aisb_evaluator_overlap.edits import EditSimilarity
from aisb_evaluator_overlap.rouge import Rouge
from aisb_evaluator_overlap.words import TokenF1


@hookimpl
def aisb_evaluators() -> Mapping[str, Callable[..., Evaluator]]:
    """Offer the evaluators that give partial credit."""
    return {"bleu": Bleu, "edit-similarity": EditSimilarity, "rouge": Rouge, "token-f1": TokenF1}
