"""BLEU over a whole task, by sacrebleu."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from aisb import Evaluator, Metric, Sample, Score
from aisb.helpers import target_texts


class Bleu(Evaluator):
    """BLEU-4 of all answers together (sacrebleu, exponential smoothing); a sample's value is its own BLEU."""

    reads = "text"

    def __init__(
        self,
        *,
        tokenize: Annotated[
            Literal["13a", "zh", "char", "intl", "none"], "sacrebleu's name of the tokenization"
        ] = "13a",
        lowercase: Annotated[bool, "ignore case"] = False,
    ) -> None:
        from sacrebleu.metrics.bleu import BLEU

        self._bleu: Any = BLEU(tokenize=tokenize, lowercase=lowercase, effective_order=True)

    def score(self, answer: str | None, sample: Sample) -> Score:
        """Count the n-grams that one answer shares with its targets."""
        found = self._bleu.sentence_score(answer or "", list(target_texts(sample)))
        counted = {
            "right": list(found.counts),
            "all": list(found.totals),
            "length": found.sys_len,
            "target_length": found.ref_len,
        }
        return Score(min(1.0, found.score / 100), details={"ngrams": counted})

    def summarize(self, scores: Sequence[Score]) -> list[Metric]:
        """Return BLEU of all samples, and of each group."""
        groups = dict.fromkeys(score.group for score in scores if score.group is not None)
        return [
            Metric("bleu", self._corpus(of), unit="", count=len(of), group=group)
            for group in (None, *groups)
            if (of := [score for score in scores if group is None or score.group == group])
        ]

    def _corpus(self, scores: Iterable[Score]) -> float:
        right, total, length, target_length = [0] * 4, [0] * 4, 0, 0
        for score in scores:
            counted = score.details.get("ngrams")
            if counted:
                right = [a + b for a, b in zip(right, counted["right"], strict=True)]
                total = [a + b for a, b in zip(total, counted["all"], strict=True)]
                length += counted["length"]
                target_length += counted["target_length"]
        found = self._bleu.compute_bleu(right, total, length, target_length, smooth_method="exp")
        return float(found.score)
