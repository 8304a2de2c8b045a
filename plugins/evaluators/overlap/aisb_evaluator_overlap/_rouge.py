"""ROUGE: the words, word pairs and longest common subsequence that a summary shares with its target."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import islice
from typing import Annotated, Any, Literal

from aisb import Evaluator, Metric, Sample, Score
from aisb.helpers import target_texts
from aisb_evaluator_overlap._chinese import is_chinese, split_words
from aisb_evaluator_overlap._means import mean_metrics

ROUGE_METRICS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
MAX_CELLS = 50_000_000
"""The maximum size of rouge-score's table: words of the target times words of the answer.

Each cell has eight bytes. With a target of 500 words, 100,000 words of the answer are used.
"""
_WORD = re.compile(r"[A-Za-z0-9]+|[^\W\x00-\x7f]")
"""A word; every character of another script counts as one."""


class Rouge(Evaluator):
    """ROUGE-1, -2, -L and -Lsum (F-measure), by Google's rouge-score; the best of several targets counts.

    Chinese is split into words by jieba; a line is a sentence. Of an answer that is far longer than usual
    outputs of models, only the beginning is compared.
    """

    reads = "text"

    def __init__(
        self,
        *,
        headline: Annotated[
            Literal["rouge1", "rouge2", "rougeL", "rougeLsum"], "the figure that is a sample's value"
        ] = "rouge1",
        language: Annotated[
            Literal["auto", "en", "zh"], "language for splitting texts into words; auto: that of the target"
        ] = "auto",
        stemmer: Annotated[bool, "compare the stems of English words (Porter)"] = False,
    ) -> None:
        from rouge_score.rouge_scorer import RougeScorer  # type: ignore[import-untyped]

        self.order = (headline, *(name for name in ROUGE_METRICS if name != headline))
        self.language = language
        self._english = RougeScorer(ROUGE_METRICS, use_stemmer=stemmer)
        self._chinese = RougeScorer(ROUGE_METRICS, tokenizer=_Words())

    def score(self, answer: str | None, sample: Sample) -> Score:
        """Compare one answer with each target, and keep the best of each figure."""
        best = dict.fromkeys(ROUGE_METRICS, 0.0)
        for target in target_texts(sample):
            chinese = self.language == "zh" or (self.language == "auto" and is_chinese(target))
            scorer: Any = self._chinese if chinese else self._english
            found = scorer.score(target, shorten(answer or "", target))
            best = {name: max(best[name], found[name].fmeasure) for name in ROUGE_METRICS}
        return Score(best[self.order[0]], details={"figures": best})

    def summarize(self, scores: Sequence[Score]) -> list[Metric]:
        """Return the mean of each figure, the headline first."""
        return mean_metrics(scores, self.order)


def shorten(answer: str, target: str, max_cells: int = MAX_CELLS) -> str:
    """Return the beginning of an answer: its words, times those of the target, are at most `max_cells`."""
    limit = max_cells // max(1, sum(1 for _ in _WORD.finditer(target)))
    if len(answer) <= limit:
        return answer
    first_left_out = next(islice(_WORD.finditer(answer), limit, None), None)
    return answer[: first_left_out.start()] if first_left_out else answer


class _Words:
    """The tokenizer for rouge-score."""

    def tokenize(self, text: str) -> list[str]:
        plain = unicodedata.normalize("NFKC", text).lower()
        return [word for word in split_words(plain) if re.search(r"\w", word)]
