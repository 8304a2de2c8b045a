"""Grade a short text by the number of annotators who gave the same answer."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aisb import Evaluator, Metric, Sample, Score
from aisb.helpers import target_texts
from aisb_evaluator_overlap import mean_metrics

PEOPLE = 3
"""The number of agreeing annotators from which an answer is correct."""

_SPELLED = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NUMBER_WORDS = {"none": "0"} | {word: str(number) for number, word in enumerate(_SPELLED)}
ARTICLES = frozenset({"a", "an", "the"})
PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_THOUSANDS = re.compile(r"\d,\d")
_FULL_STOP = re.compile(r"\.(?!\d)")


class VQAAccuracy(Evaluator):
    """The agreement with annotators: min(1, number of agreeing annotators / 3), averaged with each left out.

    Answers are compared as in the evaluation of VQA: in lower case, without punctuation and articles, with
    digits for number words, and contractions with their apostrophe. Source: Antol et al.,
    https://arxiv.org/abs/1505.00468.
    """

    reads = "text"

    def score(self, answer: str | None, sample: Sample) -> Score:
        """Compare one answer with those of all annotators, the target."""
        given = normalize_vqa(answer or "")
        people = [normalize_vqa(one) for one in target_texts(sample)]
        same = sum(one == given for one in people)
        left_out = [min(1.0, (same - (one == given)) / PEOPLE) for one in people]
        value = sum(left_out) / len(left_out) if left_out else 0.0
        return Score(value, details={"figures": {"vqa_accuracy": value}, "vote": given})

    def summarize(self, scores: Sequence[Score]) -> list[Metric]:
        """Return the mean accuracy in percent."""
        return mean_metrics(scores, ("vqa_accuracy",))


def normalize_vqa(text: str) -> str:
    """Normalise an answer as in the evaluation of VQA."""
    words = (
        NUMBER_WORDS.get(word, word) for word in _without_punctuation(" ".join(text.split())).lower().split()
    )
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)


def _without_punctuation(text: str) -> str:
    """Remove punctuation: marks next to a space are deleted, marks between words become spaces.

    In a text with a comma between two digits, all marks are deleted, so that 1,000 is one number.
    """
    closed = bool(_THOUSANDS.search(text))
    made = text
    for mark in PUNCTUATION:
        if mark in text:
            beside = f"{mark} " in text or f" {mark}" in text
            made = made.replace(mark, "" if closed or beside else " ")
    return _FULL_STOP.sub("", made)


def _contractions() -> dict[str, str]:
    """Return contractions without their apostrophe, if the result is not another word."""
    found = {}
    endings = {
        "n't": (
            "ai are ca could did does do had has have is might must need ought sha should was were wo would"
        ),
        "'ve": "could i might must not should they we what where who would you",
        "'ll": "it somebody someone something that they what who why you",
        "'re": "there they what why you",
        "'s": "he how somebody someone that there what when where who why",
        "'d": "how it somebody someone something there they where who you",
        "'m": "i",
    }
    for ending, stems in endings.items():
        for stem in stems.split():
            found[stem + ending.replace("'", "")] = stem + ending
    found |= {"maam": "ma'am", "oclock": "o'clock", "twas": "'twas", "yall": "y'all"}
    return found


CONTRACTIONS = _contractions()
