"""Take the number that answers a question out of a text: the marked one, or else the last."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from typing import Annotated, NamedTuple

from aisb import Extract, Sample
from aisb.helpers import finds_answer, pattern
from aisb_evaluator_text import _spelled as spelled
from aisb_evaluator_text._likely import denied, equals, extract, likely, moved
from aisb_evaluator_text._marked import ANSWER_MARK, find_boxes
from aisb_evaluator_text._numbers import Number, find, find_last


@finds_answer
def last_number() -> Callable[[str, Sample], Extract | None]:
    """The last number in the text, whatever it counts."""

    def step(text: str, sample: Sample) -> Extract | None:
        bare = _bare(text)
        if bare:
            return bare
        for number in find_last(text):
            return extract(number, "last-number")
        return None

    return step


@finds_answer
def number(
    *,
    fallback: Annotated[bool, "whether the last number counts where none is marked as the answer"] = True,
) -> Callable[[str, Sample], Extract | None]:
    r"""The number marked as the answer (`\boxed{}`, `####`, "the answer is", 答案是), else the last.

    The later mark wins, so a correction does; one that the text takes back does not count.
    """

    def step(text: str, sample: Sample) -> Extract | None:
        bare = _bare(text)
        if bare:
            return bare
        marks = [mark for mark in (_in_box(text), _after_hashes(text), _after_words(text)) if mark]
        if marks:
            last = max(marks, key=lambda mark: mark.at)
            if not _taken_back(text, last.number.end):
                return extract(last.number, last.rule, explicit=True)
        return likely(text, sample) if fallback else None

    return step


class _Mark(NamedTuple):
    at: int
    number: Number
    rule: str


_WHOLE_EDGE = " \t\r\n*_`$\\()[]{}#.。!！\"'=“”"
_UNIT = pattern(r"\s?(?:[A-Za-z°²³/\u4e00-\u9fff]{1,12}\s?){0,2}")


def _bare(text: str) -> Extract | None:
    """Return the number that a text consists of, with at most a unit."""
    if len(text) > 80:
        return None
    numbers = list(islice(find(text), 2))
    if len(numbers) != 1:
        return None
    only = numbers[0]
    before = re.sub(r"[$€£¥￥₹]|US|USD|Rs\.?", "", text[: only.start]).strip(_WHOLE_EDGE)
    after = text[only.end :].strip(_WHOLE_EDGE)
    if before or not _UNIT.fullmatch(after):
        return None
    return extract(only, "bare", explicit=True)


def _in_box(text: str) -> _Mark | None:
    for start, end in reversed(find_boxes(text)):
        inner = text[start:end]
        numbers = [moved(n, start) for n in islice(find(inner), 8)]
        if not numbers:
            numbers = [moved(n, start) for n in spelled.find(inner[:200])]
        if len(numbers) > 1 and "=" in inner:
            numbers = [n for n in numbers if n.start > start + inner.rindex("=")] or numbers
        if len(numbers) == 1:
            return _Mark(start, numbers[0], "boxed")
        if numbers:  # a list or an expression: the box as it is, for the evaluator to judge
            return _Mark(start, Number(inner.strip(), start, end), "boxed")
    return None


def _after_hashes(text: str) -> _Mark | None:
    at = len(text)
    for _ in range(20):
        at = text.rfind("####", 0, at)
        if at < 0:
            return None
        line = _line(text, at + 4)
        found = next(find(line), None)
        if found and not re.search(r"[A-Za-z]{2}", line[: found.start]):
            return _Mark(at, moved(found, at + 4), "hash-marks")
    return None


def _after_words(text: str) -> _Mark | None:
    """Return the last number that follows "the answer is", "Answer:" or the like and is stated as a value."""
    marks = list(ANSWER_MARK.finditer(text))
    last = next(find_last(text, 8), None)
    for mark in reversed(marks[-20:]):
        start, clause = _clause(text, mark.end())
        found = _stated(clause, opens=bool(mark["colon"]), last=not last or last.start < start + len(clause))
        if found:
            # "答：9小时行360千米": of several numbers, the one that was computed.
            result = equals(text, mark.start()) if "=" not in clause else None
            same = [n for n in islice(find(clause), 8) if result and n.readings == result.readings]
            return _Mark(mark.start(), moved(same[0] if same else found, start), "answer-words")
    return None


_LEAD = pattern(
    r"""(?:[\s*_`"'$({\[<>~≈=:：,，的】]|\\[(\[a-z]{0,6}[{ ]?|about|approximately|roughly|exactly
    |only|just|simply
    |therefore|thus|equal(?:s)?\ to|a\ total\ of|in\ total|[A-Za-z]\s?=|大?约|共|一共|总共|是|为|等于
    |there\ (?:are|is)|she|he
    |they|it|is|has|have|are|[$€£¥￥₹]|US|USD|RMB)*""",
    re.VERBOSE | re.IGNORECASE,
)
_WORKING = pattern(r"\s?(?:[^\W\d_]+\s){0,2}\s?(?:[-+*/×÷·−]|\\times|\\cdot|\\div|x\s?\d|=)")
_DENIES_FIRST = pattern(r"[:\s]?\s?(?:not\b|不是|并非).{0,60}(?:but|rather|it['’]?s|而是)", re.IGNORECASE)
_VERB = pattern(
    r"\b(?:is|are|was|were|has|have|had|can|will|lay|lays|makes?|gets?|needs?|in)\b", re.IGNORECASE
)


def _stated(clause: str, *, opens: bool, last: bool) -> Number | None:
    """Return the number that a clause after a mark states; None where the clause only begins a solution.

    `opens` says that the mark may head a whole solution ("Answer: Janet has 16 eggs. …"); `last` that no
    number follows the clause, so that it cannot.
    """
    numbers = [n for n in islice(find(clause), 40) if not denied(clause, n)]
    if not numbers:
        numbers = list(islice(spelled.find(clause), 2))
        return numbers[0] if len(numbers) == 1 and _leads(clause, numbers[0]) else None
    first = numbers[0]
    if not _leads(clause, first):
        if len(numbers) > 1 and "=" in clause:
            return (
                next((n for n in numbers if n.start > clause.rindex("=")), None)
                if last or not opens
                else None
            )
        alone = len(numbers) == 1 and not (opens and not last)
        return first if alone else None
    if _WORKING.match(clause, first.end) and "=" in clause[first.end :]:
        result = next((n for n in numbers if n.start > clause.rindex("=")), None)
        return result if last or not opens else None
    rest = clause[first.end :].strip(" .。*$\\)!")
    short = len(rest.split()) <= 3 and not _VERB.search(rest) and len(rest) <= 40
    return first if short or last or not opens else None


def _leads(clause: str, number: Number) -> bool:
    """Say whether nothing but markup and filler stands before a number, or what the text denies."""
    lead = _LEAD.match(clause)
    if lead and lead.end() >= number.start:
        return True
    return bool(_DENIES_FIRST.match(clause[: number.start]))


_CLAUSE_END = pattern(
    r"[.!！](?=\s|$)|[。；;\n]|(?<=[A-Za-z\u4e00-\u9fff])[,，](?=\s?(?:not|而不是|不是|because|since|as|因为))"
)


def _clause(text: str, start: int) -> tuple[int, str]:
    """Return the first clause from `start` on that says something, at most 300 characters of it.

    Its first character stands for what was skipped: `:` on the line of the mark, so that "- 5" after it is a
    negative number, and a line break else, so that it is a bullet.
    """
    window = text[start : start + 300]
    said = window.lstrip(" \t\r\n*_`#:：$>")
    skipped = len(window) - len(said)
    end = _CLAUSE_END.search(said)
    clause = said[: end.start() + 1] if end else said
    return start + skipped - 1, ("\n" if "\n" in window[:skipped] else ":") + clause


_BACK = pattern(
    r"\b(?:wait|actually|hold on|correction|oops|scratch that|let me (?:re|correct|double)"
    r"|(?:is|was|that['’]s) (?:wrong|incorrect|a mistake)|made an? (?:mistake|error))\b"
    r"|不对|等等|更正|算错|错了|重新",
    re.IGNORECASE,
)


def _taken_back(text: str, end: int) -> bool:
    """Say whether a text takes its marked answer back and goes on to other numbers."""
    back = _BACK.search(text, end)
    return back is not None and next(find(text[back.end() :]), None) is not None


def _line(text: str, start: int) -> str:
    """Return up to 300 characters of the line at `start`; of the next one where that line is empty."""
    window = text[start : start + 300]
    skipped = len(window) - len(window.lstrip())
    return " " * skipped + window[skipped:].split("\n", 1)[0]
