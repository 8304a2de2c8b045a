"""Exact match and F1 over words, with the normalisation of SQuAD, TriviaQA or DROP, and of Chinese."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from aisb import Evaluator, Metric, Sample, Score
from aisb.helpers import pattern, target_texts
from aisb_evaluator_overlap._means import mean_metrics

WordRules = Literal["squad", "trivia", "drop", "chinese"]
_ARTICLES = pattern(r"\b(?:a|an|the)\b")
_QUOTES = "‘’´`“”"
WORD_METRICS = ("exact_match", "f1", "contained")


class TokenF1(Evaluator):
    """Exact match and F1 over words, the best over all targets; `contained`: the answer contains a target.

    Sources: SQuAD's evaluate-v1.1.py, TriviaQA's triviaqa_evaluation.py, DROP's drop_eval.py, LongBench's
    qa_f1_zh_score. Typographic quotes count as quotes. A target that normalisation would empty
    ("The The") is compared literally.
    """

    reads = "text"

    def __init__(
        self,
        *,
        rules: Annotated[WordRules, "whose normalisation"] = "squad",
        headline: Annotated[
            Literal["exact_match", "f1", "contained"], "the figure that is a sample's value"
        ] = "exact_match",
    ) -> None:
        self.rules: WordRules = rules
        self.headline = headline
        self.words = _WORDS[rules]
        self.order = (headline, *(name for name in WORD_METRICS if name != headline))

    def score(self, answer: str | None, sample: Sample) -> Score:
        """Compare one answer with each target, and keep the best of each figure."""
        answer_words = self.words(answer or "")
        best = dict.fromkeys(WORD_METRICS, 0.0)
        for target in target_texts(sample):
            target_words = self.words(target)
            if target_words:
                found = (
                    float(answer_words == target_words),
                    f1(answer_words, target_words, self.rules),
                    _contains(answer_words, target_words),
                )
            else:
                same = float((answer or "").strip().casefold() == target.strip().casefold() != "")
                found = (same, same, same)
            best = {name: max(best[name], value) for name, value in zip(WORD_METRICS, found, strict=True)}
        return Score(best[self.headline], details={"figures": best, "vote": " ".join(answer_words)})

    def summarize(self, scores: Sequence[Score]) -> list[Metric]:
        """Return the mean of each figure, the headline first."""
        return mean_metrics(scores, self.order)


def f1(answer_words: Sequence[str], target_words: Sequence[str], rules: WordRules = "squad") -> float:
    """Return the harmonic mean of precision and recall over words."""
    if rules == "drop":
        return _drop_f1(set(answer_words), set(target_words))
    shared = sum((Counter(answer_words) & Counter(target_words)).values())
    return _harmonic(shared / len(answer_words), shared / len(target_words)) if shared else 0.0


def _drop_f1(answer_words: set[str], target_words: set[str]) -> float:
    """Return DROP's F1 over sets of words: 0 if the target has numbers and the answer has none of them."""
    numbers = {word for word in target_words if _is_number(word)}
    if numbers and not numbers & answer_words:
        return 0.0
    shared = len(answer_words & target_words)
    return round(_harmonic(shared / len(answer_words), shared / len(target_words)), 2) if shared else 0.0


def _harmonic(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall)


def _contains(answer_words: Sequence[str], target_words: Sequence[str]) -> float:
    width = len(target_words)
    return float(
        any(answer_words[at : at + width] == target_words for at in range(len(answer_words) - width + 1))
    )


def _squad(text: str) -> list[str]:
    text = "".join(c for c in text.lower() if c not in string.punctuation + "“”")
    return _ARTICLES.sub(" ", text).split()


def _trivia(text: str) -> list[str]:
    removed = set(string.punctuation + _QUOTES)
    text = text.replace("_", " ").lower()
    text = "".join(" " if c in removed else c for c in text)
    return _ARTICLES.sub(" ", text).split()


def _drop(text: str) -> list[str]:
    words = []
    for part in re.split(r" |(?<=\w)-", text.strip()):  # the script itself would turn -5 into 5
        number = _number(part)
        word = (
            number if number is not None else "".join(c for c in part.lower() if c not in string.punctuation)
        )
        words += _ARTICLES.sub(" ", word).split()
    return words


def _number(text: str) -> str | None:
    """Return a number in DROP's form, 12 as 12.0; None for anything else."""
    text = text.rstrip(".").replace(",", "").strip("$%")
    return str(float(text)) if _is_number(text) else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return any(c.isdigit() for c in text)


def _chinese(text: str) -> list[str]:
    """Return the words of a Chinese text by jieba, without punctuation and white space."""
    from aisb_evaluator_overlap._chinese import split_words

    plain = "".join(
        c
        for c in unicodedata.normalize("NFKC", text).lower()
        if not c.isspace() and not unicodedata.category(c).startswith("P")
    )
    return split_words(plain)


_WORDS: dict[str, Callable[[str], list[str]]] = {
    "squad": _squad,
    "trivia": _trivia,
    "drop": _drop,
    "chinese": _chinese,
}
