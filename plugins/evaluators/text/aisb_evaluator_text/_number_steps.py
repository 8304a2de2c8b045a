"""Extract the number that answers a question from a text: the marked one, or else the last."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from typing import Annotated, NamedTuple

from aisb import Extract, Sample
from aisb.helpers import finds_answer, pattern
from aisb_evaluator_text import _spelled as spelled
from aisb_evaluator_text._corrections import confirms, only_checks, retractions
from aisb_evaluator_text._groups import join_groups
from aisb_evaluator_text._languages import english_numbers, row_language
from aisb_evaluator_text._likely import equals, extract, is_denied_number, likely, moved
from aisb_evaluator_text._marked import answer_marks, find_boxes
from aisb_evaluator_text._numbers import FoundNumber, find_last, find_numbers
from aisb_evaluator_text._ranges import BOUND, is_range, without_labels


@finds_answer
def last_number() -> Callable[[str, Sample], Extract | None]:
    """The last number in the text, whatever it counts."""

    def step(text: str, sample: Sample) -> Extract | None:
        text = english_numbers(text, row_language(sample, text))
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
    fallback: Annotated[bool, "use the last number if none is marked as the answer"] = True,
) -> Callable[[str, Sample], Extract | None]:
    r"""The number marked as the answer (`\boxed{}`, `####`, "the answer is", 答案是), else the last.

    The last mark counts, and thus a correction; a retracted mark does not. Numbers are parsed in the notation
    of the row's language, which is in its field `lang` or `language`.
    """

    def step(text: str, sample: Sample) -> Extract | None:
        text = english_numbers(text, row_language(sample, text))
        bare = _bare(text)
        if bare:
            return bare
        marks = [mark for mark in (_in_box(text), _after_hashes(text), _after_words(text)) if mark]
        if marks:
            last = max(marks, key=lambda mark: mark.at)
            if not _is_retracted(text, last.number):
                return extract(last.number, last.rule, explicit=True)
        return likely(text, sample) if fallback else None

    return step


class _Mark(NamedTuple):
    at: int
    number: FoundNumber
    rule: str


_WHOLE_EDGE = " \t\r\n*_`$\\()[]{}#.。!！\"'=“”"
_UNIT = pattern(r"\s?(?:[A-Za-z°²³/\u4e00-\u9fff]{1,12}\s?){0,2}")


def _bare(text: str) -> Extract | None:
    """Return the number if the text consists of it, with at most a unit."""
    if len(text) > 80:
        return None
    text = join_groups(text)
    numbers = list(islice(find_numbers(text), 2))
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
        inner = join_groups(text[start:end])
        numbers = [moved(n, start) for n in islice(find_numbers(inner + "}"), 8)]
        if not numbers:
            numbers = [moved(n, start) for n in spelled.find_spelled(inner[:200])]
        if len(numbers) > 1 and "=" in inner:
            numbers = [n for n in numbers if n.start > start + inner.rindex("=")] or numbers
        if len(numbers) == 1:
            return _Mark(start, numbers[0], "boxed")
        if numbers:  # a list or an expression: the evaluator gets the content of the box
            return _Mark(start, FoundNumber(inner.strip(), start, end), "boxed")
    return None


def _after_hashes(text: str) -> _Mark | None:
    at = len(text)
    for _ in range(20):
        at = text.rfind("####", 0, at)
        if at < 0:
            return None
        line = join_groups(_line(text, at + 4))
        numbers = list(islice(find_numbers(line), 2))
        if numbers and not re.search(r"[A-Za-z]{2}", line[: numbers[0].start]):
            found = _whole_range(line, numbers) or numbers[0]
            return _Mark(at, moved(found, at + 4), "hash-marks")
    return None


def _after_words(text: str) -> _Mark | None:
    """Return the last number that is stated as a value after "the answer is", "Answer:" or the like."""
    marks = answer_marks(text)
    last = next(find_last(text, 8), None) if marks else None
    for mark in reversed(marks[-20:]):
        start, clause = _clause(text, mark.end())
        clause = join_groups(clause)
        found = _stated(clause, opens=bool(mark["colon"]), last=not last or last.start < start + len(clause))
        if found:
            # "答：9小时行360千米": of several numbers, the computed one.
            result = equals(text, mark.start()) if "=" not in clause else None
            numbers = islice(find_numbers(clause), 8) if result else ()
            same = [n for n in numbers if result and n.readings == result.readings]
            return _Mark(mark.start(), moved(same[0] if same else found, start), "answer-words")
    return None


_LEAD = pattern(
    r"""(?:[\s*_`"'$({\[<>~≈=:：,，的】「『]|\\[(\[a-z]{0,6}[{ ]?|about|approximately|roughly|exactly
    |only|just|simply
    |therefore|thus|donc|also|entonces|итак|значит
    |equal(?:s)?\ to|a\ total\ of|in\ total|[A-Za-z]\s?=|大?约|共|一共|总共|是|为|等于
    |there\ (?:are|is)|she|he
    |they|it|is|has|have|are|[$€£¥￥₹]|US|USD|RMB
    |etwa|genau|insgesamt|unos|alrededor\ de|aproximadamente|un\ total\ de|de|environ|exactement|около
    |примерно
    |約|ちょうど|合計|ประมาณ|kama|takriban|kuhusu|jumla\ ya|প্রায়|মোট|మొత్తం|సుమారు
    |dola|shilingi|доллар\w{0,2}|ดอลลาร์|dólares?|euros?)*""",
    re.VERBOSE | re.IGNORECASE,
)
_WORKING = pattern(r"\s?(?:[^\W\d_]+\s){0,2}\s?(?:[-+*/×÷·−]|\\times|\\cdot|\\div|x\s?\d|=)")
_OPERATES = pattern(
    r"\s?(?:[-+*/×÷·−]|x\s?\d|times|plus|minus|multiplied\sby|divided\sby|乘以?|加|减去?|除以)\s?",
    re.IGNORECASE,
)
_RESTATES = pattern(
    r"(?:,|\bwhich)\s(?:or|that\sis|i\.e\.,?|is|equals|makes|gives|giving|for\sa\stotal\sof)\s[$€£¥*]{0,3}$",
    re.IGNORECASE,
)
_DENIES_FIRST = pattern(r"[:\s]?\s?(?:not\b|不是|并非).{0,60}(?:but|rather|it['’]?s|而是)", re.IGNORECASE)
_BETWEEN = pattern(
    r".{0,12}?(?:\b(?:between|from|entre|zwischen|von|от|между)\s|介于|在|从|ระหว่าง)[\s$€£¥]{0,3}$",
    re.IGNORECASE,
)
_VERB = pattern(
    r"\b(?:is|are|was|were|has|have|had|can|will|lay|lays|makes?|gets?|needs?|in)\b", re.IGNORECASE
)


def _stated(clause: str, *, opens: bool, last: bool) -> FoundNumber | None:
    """Return the number that a clause after a mark states; None if the clause only begins a solution.

    `opens`: the mark may begin a whole solution ("Answer: Janet has 16 eggs. …"). `last`: no number follows
    the clause, so it does not.
    """
    numbers = [n for n in islice(find_numbers(clause), 40) if not is_denied_number(clause, n)]
    if not numbers:
        numbers = list(islice(spelled.find_spelled(clause), 2))
        return numbers[0] if len(numbers) == 1 and _leads(clause, numbers[0]) else None
    first = numbers[0]
    computes = bool(_WORKING.match(clause, first.end)) and "=" in clause[first.end :]
    before = clause[: first.start]
    if not computes and (_leads(clause, first) or BOUND.fullmatch(before) or _BETWEEN.match(before)):
        alternatives = _whole_range(clause, numbers)
        if alternatives:
            return alternatives
    if not _leads(clause, first):
        if len(numbers) > 1 and "=" in clause:
            return (
                next((n for n in numbers if n.start > clause.rindex("=")), None)
                if last or not opens
                else None
            )
        alone = len(numbers) == 1 and not (opens and not last)
        return first if alone else None
    if computes:
        result = next((n for n in numbers if n.start > clause.rindex("=")), None)
        return result if last or not opens else None
    restated = _restated(clause, numbers) if _OPERATES.match(clause, first.end) else None
    rest = clause[first.end :].strip(" .。*$\\)!")
    short = len(rest.split()) <= 3 and not _VERB.search(rest) and len(rest) <= 40
    return restated or (first if short or last or not opens else None)


def _restated(clause: str, numbers: list[FoundNumber]) -> FoundNumber | None:
    """Return the value that a clause gives after a calculation in words: "9 times 2, or 18"."""
    found = [n for n in numbers[2:] if _RESTATES.search(clause[max(0, n.start - 24) : n.start])]
    return found[-1] if found else None


def _whole_range(text: str, numbers: list[FoundNumber]) -> FoundNumber | None:
    """Return a bound, range or alternatives with the first number as one piece without a value."""
    if (bound := BOUND.fullmatch(text[: numbers[0].start])) and len(numbers) == 1:
        start, end = bound.start("than"), numbers[0].end
        return FoundNumber(text[start:end], start, end)
    span = is_range(text, numbers, stated=True)
    return FoundNumber(without_labels(text[slice(*span)]), *span) if span else None


def _leads(clause: str, number: FoundNumber) -> bool:
    """Return whether only markup, fillers or a denied value precede a number."""
    lead = _LEAD.match(clause)
    if lead and lead.end() >= number.start:
        return True
    return bool(_DENIES_FIRST.match(clause[: number.start]))


_CLAUSE_END = pattern(
    r"[.!！](?=\s(?!=)|$)|[。；;।\n]|(?<=[A-Za-z\u4e00-\u9fff])[,，](?=\s?(?:not|而不是|不是|because|since|as|因为))"
)


def _clause(text: str, start: int) -> tuple[int, str]:
    """Return the first non-empty clause from `start` on, at most 300 characters of it.

    Its first character represents the skipped text: `:` on the line of the mark, so that "- 5" after it is a
    negative number, and otherwise a line break, so that it is a bullet.
    """
    window = text[start : start + 300]
    rest = window.lstrip(" \t\r\n*_`#:：$>")
    skipped = len(window) - len(rest)
    if rest[:1].isdigit() and window[skipped - 1 : skipped] == "$":  # a price: $2B is two billion
        skipped -= 1
        rest = window[skipped:]
    end = _CLAUSE_END.search(rest)
    clause = rest[: end.start() + 1] if end else rest
    return start + skipped - 1, ("\n" if "\n" in window[:skipped] else ":") + clause


_STATES = pattern(
    r"(?:[=≈]|\b(?:is|are|be|been|it['’]s|that['’]s|makes?|made|becomes?|gives?|equals|so|no)"
    r"|是|为|得|共|等于|到)\s?[$€£¥￥₹*({\\\s]{0,6}$",
    re.IGNORECASE,
)


def _is_retracted(text: str, marked: FoundNumber) -> bool:
    """Return whether a text retracts its marked answer and continues to another."""
    for start, corrects in retractions(text, marked.end):
        later = [moved(n, start) for n in islice(find_numbers(text[start : start + 4000]), 64)]
        if not later:
            return False
        if corrects:
            return True
        if _confirmed(text, start, later, marked):
            continue
        stated = [n for n in later if _STATES.search(text[max(0, n.start - 16) : n.start])]
        if not text[start : later[0].start].strip(" ,.:;…*$(–—-"):
            stated.append(later[0])  # "Actually, 18"
        if stated and not only_checks(text, start):
            return True
        # A check that ends in a number that is not in the solution contradicts the answer.
        result = equals(text, len(text))
        if result and result.start >= start and not _known(text[: marked.start], result):
            return True
    return False


def _confirmed(text: str, start: int, later: list[FoundNumber], marked: FoundNumber) -> bool:
    """Return whether the answer results again after a pause, or is confirmed."""
    if confirms(text, start) or later[-1].readings == marked.readings:
        return True
    results = [n for n in later if re.search(r"=\s?[$€£¥]?\s?$", text[max(0, n.start - 5) : n.start])]
    if not results and later[0].readings == marked.readings:
        return True  # "Actually, 42 is also 6 weeks" continues about the answer
    return any(n.readings == marked.readings for n in results)


def _known(text: str, number: FoundNumber) -> bool:
    return any(n.readings == number.readings for n in find_numbers(text[-4000:]))


def _line(text: str, start: int) -> str:
    """Return up to 300 characters of the line at `start`, or of the next one if it is empty."""
    window = text[start : start + 300]
    skipped = len(window) - len(window.lstrip())
    return " " * skipped + window[skipped:].split("\n", 1)[0]
