"""Grade the reading of a long text: the mean of BLEU, METEOR, F1 over words, and edit similarity."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import Any

_CHINESE = re.compile(r"[\u4e00-\u9fa5]")


class NoSynonyms:
    """Replaces WordNet if synonyms count as different."""

    def synsets(self, word: str) -> list[Any]:
        """Return the meanings of a word: none."""
        del word
        return []


def reading_score(given: str, target: str, synonyms: Any = None) -> float:
    """Return (BLEU + METEOR + F1 + 1 − edit distance) / 4, as OCRBench v2 grades pages and paragraphs.

    BLEU is over up to four words without smoothing, F1 over the sets of words. Chinese is split by jieba.
    `synonyms` is NLTK's WordNet; without it METEOR matches only words and stems.
    """
    if not given or not target:
        return 0.0
    from nltk.translate import meteor_score
    from nltk.translate.bleu_score import sentence_bleu
    from rapidfuzz.distance import Levenshtein

    words, wanted = _words(given, target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # BLEU of a few words is 0, as intended
        bleu = float(sentence_bleu([wanted], words)) if words else 0.0
    meteor = float(meteor_score.single_meteor_score(wanted, words, wordnet=synonyms or NoSynonyms()))
    similarity = float(Levenshtein.normalized_similarity(given, target))
    return (bleu + meteor + _f1(set(words), set(wanted)) + similarity) / 4


def _words(given: str, target: str) -> tuple[list[str], list[str]]:
    if _CHINESE.search(given) or _CHINESE.search(target):
        import jieba

        jieba.setLogLevel("ERROR")
        return list(jieba.cut(given)), list(jieba.cut(target))
    return given.split(), target.split()


def _f1(given: set[str], wanted: set[str]) -> float:
    shared = len(given & wanted)
    return 2 * shared / (len(given) + len(wanted)) if shared else 0.0


def wordnet() -> Any:
    """Return NLTK's WordNet.

    Raises:
        PluginError: it is not installed.
    """
    from nltk.corpus import wordnet as found

    from aisb import PluginError

    try:
        found.ensure_loaded()
    except LookupError as error:
        raise PluginError(
            "synonyms = true needs WordNet: python -m nltk.downloader wordnet; without it, synonyms = false"
        ) from error
    return found


def contained(given: str, targets: Sequence[str]) -> float:
    """Return 1 if a text contains one of the targets, ignoring white space, else 0."""
    plain = re.sub(r"[ \n]", "", given.strip())
    return float(any(re.sub(r"[ \n]", "", target.strip()) in plain for target in targets if target.strip()))
