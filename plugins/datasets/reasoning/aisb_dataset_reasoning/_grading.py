"""Find and grade the answers of BIG-Bench Hard: a letter, word, number, sorted words, closing brackets."""

from __future__ import annotations

import re
from collections.abc import Callable

from aisb import Evaluator, Extract, Sample, Score
from aisb.helpers import finds_answer
from aisb_evaluator_text import (
    answer_line,
    boxed,
    choice,
    choice_letter,
    find_announced_answers,
    number_values,
)

_BRACKETS = re.compile(r"[\s()\[\]{}<>]+")
_ROW = re.compile(r"[()\[\]{}<>](?:[\s,\"'`]*[()\[\]{}<>])*")
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_ITEM = re.compile(r"\s*(?:\d{1,3}[.)]|[-*•])\s+|(?=\s*[^\W_]+(?:['’-][^\W_]+)*\s*$)")
_OPTION = re.compile(r"\([A-R]\)")
_LABELS = re.compile(r"\b(?:yes|no|true|false|valid|invalid)\b", re.IGNORECASE)
_KINDS = ({"yes", "no"}, {"true", "false"}, {"valid", "invalid"})


@finds_answer
def bbh_answer() -> Callable[[str, Sample], Extract | None]:
    """The chosen letter; for a question without options, the text after "the answer is"."""
    letters, in_box, in_line = choice(), boxed(), answer_line()

    def step(text: str, sample: Sample) -> Extract | None:
        if sample.choices or _OPTION.fullmatch(str(sample.target)):
            return letters(text, sample)
        if _BRACKETS.fullmatch(str(sample.target)):
            return _brackets(text)
        found = in_box(text, sample) or in_line(text, sample)
        if found:
            return found
        return _bare(text, str(sample.target))

    return step


def _brackets(text: str) -> Extract | None:
    """Return the brackets after the last "the answer is", or a text that consists of brackets."""
    starts = find_announced_answers(text)
    for start in reversed(starts or [0]):
        found = _ROW.search(text, start, start + 400)
        if found and (starts or not text.strip().strip("`*.").replace(found[0].strip(), "").strip()):
            return Extract(found[0], "brackets", found.span(), explicit=True)
    return None


def _bare(text: str, target: str) -> Extract | None:
    """Return an unannounced answer: a whole short text, or the last word of the target's kind."""
    kind = next((words for words in _KINDS if target.casefold() in words), None)
    if kind:
        found = [match for match in _LABELS.finditer(text) if match[0].casefold() in kind]
        if not found:
            return None
        last = found[-1]
        return Extract(last[0], "last-word", last.span(), explicit=len(text.strip()) < 20)
    if " " in target and (words := _last_list(text)):
        return words
    line = text.strip()
    if not line or "\n" in line:
        return None
    start = text.index(line)
    return Extract(line, "bare", (start, start + len(line)), explicit=True)


def _last_list(text: str) -> Extract | None:
    """Return the words that end a text: the items of a list, or the line behind a colon."""
    lines = text.rstrip().split("\n")
    first = len(lines)
    while first and _ITEM.match(lines[first - 1]):
        first -= 1
    end = len(text.rstrip())
    items = [line[found.end() :] for line in lines[first:] if (found := _ITEM.match(line))]
    if len(items) > 1:
        return Extract(" ".join(items), "list", (end - len("\n".join(lines[first:])), end))
    headed = [line for line in lines[:-1] if line.strip()][-1:]
    is_headed = bool(headed) and headed[0].rstrip(" *").endswith(":")
    last = lines[-1] if is_headed else lines[-1].partition(":")[2]
    words = last.strip(" *`")
    return Extract(words, "last-words", (end - len(last), end)) if " " in words else None


class BbhMatch(Evaluator):
    """Correct if the letter, number, sequence of words or brackets equals the target."""

    def score(self, answer: str | None, sample: Sample) -> Score:
        """Compare one answer with the target."""
        target = str(sample.target)
        normalized = normalize_answer(answer or "", sample, target)
        return Score(
            float(normalized == normalize_answer(target, sample, target)), details={"vote": normalized}
        )


def normalize_answer(text: str, sample: Sample, target: str) -> str:
    """Normalise an answer by the kind of the target."""
    if sample.choices or _OPTION.fullmatch(target):
        named: str | None = choice_letter(text, sample)
        return named or text.strip().casefold()
    if _BRACKETS.fullmatch(target):
        return "".join(c for c in text if c in "()[]{}<>")
    if number := number_values(target):
        found = number_values(text)
        return str(number[0] if number[0] in found else found[0] if found else text)
    words: list[str] = [word.casefold() for word in _WORD.findall(text)]
    # "True." is the answer, and "True, since both are" begins with it.
    if " " not in target and words and any(target.casefold() in kind and words[0] in kind for kind in _KINDS):
        return words[0]
    return " ".join(words)
