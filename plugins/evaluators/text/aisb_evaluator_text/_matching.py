"""Grade an answer by comparing it with the target: as numbers, as text, or as a choice."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from typing import Annotated

from aisb import Evaluator, Sample, Score
from aisb.helpers import target_texts
from aisb_evaluator_text import _numbers as numbers
from aisb_evaluator_text import _spelled as spelled
from aisb_evaluator_text._groups import join_groups
from aisb_evaluator_text._ranges import BOUND

_SHORT = 200
"""The length of the longest text whose numbers are remembered: a right answer often is its target."""


def number_values(text: str) -> tuple[Fraction, ...]:
    """Return the possible values of the one number in a text, the most likely first; empty for several."""
    return _short_values(text) if len(text) <= _SHORT else _values(text)


@lru_cache(maxsize=1024)
def _short_values(text: str) -> tuple[Fraction, ...]:
    return _values(text)


def _values(text: str) -> tuple[Fraction, ...]:
    text = join_groups(text)
    if BOUND.match(text):
        return ()
    found = list(islice(numbers.find_numbers(text), 3))
    if len(found) > 1 and "=" in text:
        found = list(islice(numbers.find_numbers(text[text.rindex("=") :]), 2))
    found = found or list(islice(spelled.find_spelled(text[:200]), 2))
    return found[0].readings if len(found) == 1 else ()


class NumericMatch(Evaluator):
    """Correct if the answer equals the target's number: 18, 18.0 and 36/2 are equal, and 50% is 50 or 0.5.

    An answer with several numbers or none is correct only if its text equals the target.
    """

    def __init__(
        self, *, tolerance: Annotated[float, "maximum absolute difference of the two numbers"] = 1e-6
    ) -> None:
        if not 0 <= tolerance < float("inf"):
            from aisb import UsageError

            raise UsageError(f"tolerance = {tolerance}: it must be a number from 0, such as 0.01")
        self.tolerance = Fraction(str(tolerance))

    def score(self, answer: str | None, sample: Sample) -> Score:
        """Compare one answer with the target, or with each of several targets."""
        values = number_values(answer or "")
        right = any(self._equal(values, answer or "", target) for target in target_texts(sample))
        if not values and not right and len(list(islice(numbers.find_numbers(answer or ""), 2))) != 1:
            # Several numbers, or none, do not answer a question for one number: the answer is unparsed.
            return Score(0.0, "unparsed")
        if not values:
            return Score(float(right))
        return Score(float(right), details={"vote": str(values[0])})

    def _equal(self, values: Iterable[Fraction], text: str, target: str) -> bool:
        targets = number_values(target)
        if not targets:
            return _plain(text) == _plain(target) != ""
        return any(abs(value - right) <= self.tolerance for value in values for right in targets)


class ExactMatch(Evaluator):
    """Correct if the answer equals the target as text, except for white space."""

    def __init__(
        self,
        *,
        ignore_case: Annotated[bool, "ignore case: 'Paris' equals 'paris'"] = False,
        ignore_punctuation: Annotated[bool, "ignore punctuation of any script"] = False,
        ignore_articles: Annotated[bool, "ignore 'the', 'a' and 'an'"] = False,
    ) -> None:
        self.ignore_case = ignore_case
        self.ignore_punctuation = ignore_punctuation
        self.ignore_articles = ignore_articles

    def score(self, answer: str | None, sample: Sample) -> Score:
        """Compare one answer with the target, or with each of several targets."""
        normalized = self.normal(answer or "")
        right = any(normalized == self.normal(target) for target in target_texts(sample))
        return Score(float(right), details={"vote": normalized})

    def normal(self, text: str) -> str:
        """Return a text without its ignored parts; never empty, or all such texts would be equal."""
        text = _plain(text)
        text = text.casefold() if self.ignore_case else text
        if self.ignore_articles:
            text = " ".join(re.sub(r"\b(?:a|an|the)\b", " ", text, flags=re.IGNORECASE).split()) or text
        if self.ignore_punctuation:
            characters = (" " if _is_punctuation(c) else c for c in text)
            text = " ".join("".join(characters).split()) or text
        return text


class ChoiceMatch(Evaluator):
    """Correct if the answer is the letter of the correct choice, or its text."""

    def score(self, answer: str | None, sample: Sample) -> Score:
        """Compare one answer with the target, which may be a letter or the text of a choice."""
        letter = choice_letter(answer or "", sample)
        targets = {choice_letter(target, sample) for target in target_texts(sample)}
        right = letter is not None and letter in targets
        return Score(float(right), details={"vote": letter or (answer or "")})


def choice_letter(text: str, sample: Sample) -> str | None:
    """Return the letter that a text names, or whose choice equals the text; else None."""
    plain = unicodedata.normalize("NFKC", text).strip(" \t\n()[]{}.:,*_`\"'$。：，、【】")
    if len(plain) == 1 and plain.upper() in string.ascii_uppercase:
        return plain.upper()
    folded = _plain(text).casefold()
    same = [i for i, choice in enumerate(sample.choices) if _plain(choice).casefold() == folded]
    return string.ascii_uppercase[same[0]] if len(same) == 1 else None


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split())


def _is_punctuation(c: str) -> bool:
    return c in string.punctuation or unicodedata.category(c).startswith("P")
