"""Grade a short text by its edit distance from the target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from aisb import Evaluator, Metric, Sample, Score, UsageError
from aisb.helpers import target_texts
from aisb_evaluator_overlap import mean_metrics


class ANLS(Evaluator):
    """Average normalised Levenshtein similarity: 1 − distance / the longer length, best of all targets.

    Case and runs of white space do not count. A similarity below the threshold is 0: such an answer is
    a different one, not a misread one. Source: Biten et al., https://arxiv.org/abs/1907.00490, and the
    evaluation of DocVQA.
    """

    reads = "text"

    def __init__(
        self, *, threshold: Annotated[float, "minimum similarity that counts, from 0 to 1"] = 0.5
    ) -> None:
        if not 0 <= threshold <= 1:
            raise UsageError(f"threshold = {threshold} must be from 0 to 1")
        self.threshold = threshold

    def score(self, answer: str | None, sample: Sample) -> Score:
        """Compare one answer with each target, and keep the best."""
        given = _plain(answer or "")
        nearest = max((similarity(given, _plain(target)) for target in target_texts(sample)), default=0.0)
        value = nearest if nearest >= self.threshold else 0.0
        return Score(value, details={"figures": {"anls": value}, "similarity": nearest, "vote": given})

    def summarize(self, scores: Sequence[Score]) -> list[Metric]:
        """Return the mean similarity in percent."""
        return mean_metrics(scores, ("anls",))


def similarity(given: str, target: str) -> float:
    """Return 1 − the edit distance divided by the longer length; 1 for two empty texts."""
    from rapidfuzz.distance import Levenshtein

    return float(Levenshtein.normalized_similarity(given, target))


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
