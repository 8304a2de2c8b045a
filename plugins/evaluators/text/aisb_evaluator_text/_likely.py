"""Guess the answer if the text marks none: the last number, unless it clearly is not the answer."""

from __future__ import annotations

import re

from aisb import Extract, Sample
from aisb.helpers import pattern
from aisb_evaluator_text import _spelled as spelled
from aisb_evaluator_text._numbers import FoundNumber, find_last, find_numbers
from aisb_evaluator_text._ranges import in_several, is_range, without_labels


def extract(number: FoundNumber, rule: str, *, explicit: bool = False) -> Extract:
    """Return a number as a postprocessor's `Extract`."""
    return Extract(number.text, rule, (number.start, number.end), explicit)


def moved(number: FoundNumber, by: int) -> FoundNumber:
    """Shift the position of a number from a part of a text to the whole."""
    return number._replace(start=number.start + by, end=number.end + by)


_NOT = pattern(
    r"(?:\bnot|n't|n’t|instead\ of|rather\ than|\bnor|不是|而非|并非|\bnicht|\bне|\bno\ es"
    r"|n['’]est\ pas)\s?[\s$€£¥*(]{0,4}$",
    re.IGNORECASE,
)
_NOT_BEHIND = pattern(r"[?？]|[^\s\d。、,.]{0,6}(?:ではな|じゃな)")


def is_denied_number(text: str, number: FoundNumber) -> bool:
    """Return whether a number is denied as the answer, or only in a question."""
    return bool(
        _NOT.search(text[max(0, number.start - 20) : number.start]) or _NOT_BEHIND.match(text, number.end)
    )


_NO_GUESSES = frozenset(("one", "half", "a half", "a quarter", "一", "一半", "半", "十分", "千万", "万一"))


# "So 18. Double-check: 18 / 2 = 9 ✓." checks the 18.
_CHECK = pattern(
    r"(?<=[.。!\n])\s{0,9}(?:let['’]?s? (?:me )?)?"
    r"(?:double[- ]?check|check|verif(?:y|ication)|验证|检验|验算)"
    r"[^\n]{0,300}"
    r"(?:[✓✔✅☑]|\b(?:correct|checks out|works|matches)\b|正确|无误)[\s.!。]{0,9}$",
    re.IGNORECASE,
)
_DENIAL = pattern(r"[^\d]{0,200}(?:\bnot|n['’]t|不是|并非)\s?[\s$€£¥*(]{0,4}", re.IGNORECASE)
"""A text that only says what the answer is not."""
_CONCLUDES = pattern(
    r"(?:^|[.。!\n])\s{0,9}(?:so|therefore|thus|hence|所以|因此)[^.。\n]{0,60}[.。]?\s{0,9}$", re.IGNORECASE
)


def likely(text: str, sample: Sample) -> Extract | None:
    """Return the last number that is not denied and does not count a list item or a step."""
    if (check := _CHECK.search(text, max(0, len(text) - 600))) and _CONCLUDES.search(text[: check.start()]):
        text = text[: check.start()]
    last = None
    for found in find_last(text):
        last = last or found
        if is_denied_number(text, found) or _counts_lines(text, found):
            continue
        for rule, better in (
            ("last-bold", _bold(text, found)),
            ("asked-unit", _in_requested_unit(text, found, sample)),
            ("last-result", _result(text, found) or _explained(text, found)),
            ("before-reason", _before_reason(text, found)),
            ("before-year", _before_year(text, found)),
            ("not-given", _absent_from_question(text, found, sample)),
        ):
            if better:
                return extract(better, rule)
        if span := in_several(text, found) or _only_list(text):
            return Extract(without_labels(text[slice(*span)]), "several-numbers", span)
        return extract(found, "last-number")
    if last and is_denied_number(text, last) and _DENIAL.fullmatch(text[: last.start]):
        return None
    return extract(last, "last-number") if last else _without_digits(text)


def _only_list(text: str) -> tuple[int, int] | None:
    """Return the span of the numbers of a text that is nothing but a list of them: "17, 18"."""
    if len(text) > 60 or any(c.isalpha() for c in text):
        return None
    return is_range(text, list(find_numbers(text)), stated=True)


def _without_digits(text: str) -> Extract | None:
    """Return the answer of a text without digits: zero if none is left, or the last number in words."""
    zero = _NONE.search(text, max(0, len(text) - 200))
    if zero:
        return Extract("0", "none-left", zero.span())
    words = [w for w in spelled.find_spelled(text[-2000:]) if w.text.lower() not in _NO_GUESSES]
    if not words:
        return None
    start = max(0, len(text) - 2000)
    if span := is_range(text[start:], words[-2:], stated=False):
        place = slice(start + span[0], start + span[1])
        return Extract(text[place], "several-numbers", (place.start, place.stop))
    return extract(moved(words[-1], start), "last-spelled-number")


_COUNTER = pattern(r"(?:^|\n)\s{0,8}$|(?:\b(?:step|part|question|problem|case)|步骤?|第)\s?$", re.IGNORECASE)


def _counts_lines(text: str, number: FoundNumber) -> bool:
    """Return whether a number only counts a line or a step."""
    before = _COUNTER.search(text[max(0, number.start - 12) : number.start])
    if not before:
        return False
    if before[0].strip() == "第":  # 第3步 counts a step, 第145页 may be the answer
        return bool(re.match(r"\s?(?:步|题|问|部分|条|行)", text[number.end : number.end + 4]))
    return bool(before[0].strip() or re.match(r"[.)、:]\s", text[number.end : number.end + 2]))


_RESULT = pattern(r"=\s?(?=[\s$€£¥￥*\\-]{0,4}\d)")


def equals(text: str, end: int) -> FoundNumber | None:
    """Return the result of the last equation before a position."""
    window = max(0, end - 2000)
    signs = [match.end() for match in _RESULT.finditer(text, window, end)]
    found = next(find_numbers(text[signs[-1] : end]), None) if signs else None
    return moved(found, signs[-1]) if found else None


def _result(text: str, last: FoundNumber) -> FoundNumber | None:
    """Return the result of the last equation if the closing sentence repeats it.

    Only if the last number is not new in that sentence: "8 * 5 + 24 = 64. So 64 for all 16 glasses".
    """
    result = equals(text, last.end)
    if result is None or not result.readings or result.readings == last.readings:
        return None
    closing = max(text.rfind(mark, 0, last.start) for mark in (". ", "。", "\n", "! "))
    window = max(0, last.start - 2000)
    numbers = [moved(n, window) for n in find_numbers(text[window : last.start])]
    known = any(n.readings == last.readings for n in numbers if n.end <= result.start)
    repeated = [n for n in numbers if n.readings == result.readings and n.start > closing]
    return repeated[-1] if known and repeated else None


_SAYS_HOW = pattern(
    r"(?P<left>\d[\d.,]{0,15})\s?=\s?[\d.,$€£¥()\s]{1,20}[-+*/×÷·−][-+*/×÷·−\d.,$€£¥()\s]{1,40}$"
)


def _explained(text: str, last: FoundNumber) -> FoundNumber | None:
    """Return the left side of a closing equation that repeats the computation: "18 = 9 × 2"."""
    start = max(0, last.start - 60)
    equation = _SAYS_HOW.search(text[start : last.end])
    if equation is None or re.search(r"[-+*/×÷·−=]\s?[$(]?$", text[start : start + equation.start()]):
        return None
    left = next(find_numbers(equation["left"]), None)
    begin = start + equation.start()
    is_repeated = left and any(
        n.readings == left.readings for n in find_numbers(text[max(0, begin - 300) : begin])
    )
    return moved(left, begin) if left and is_repeated else None


_BOLD = pattern(r"\*\*([^*\n]{1,80})\*\*")


def _bold(text: str, last: FoundNumber) -> FoundNumber | None:
    """Return the last bold number of the line with the last number."""
    start = text.rfind("\n", 0, last.start) + 1
    line = text[start : start + 2000].split("\n", 1)[0]
    for match in reversed(list(_BOLD.finditer(line))):
        numbers = [
            n
            for n in find_numbers(match[1])
            if not (is_denied_number(match[1], n) or _counts_lines(match[1], n))
        ]
        if len(numbers) == 1:
            return moved(numbers[0], start + match.start(1))
    return None


_NONE = pattern(
    r"\b(?:there (?:are|is|were|will be)|has|have|had)\s(?:no|not a single|not any)\s(?:\w+\s){1,3}?"
    r"(?:left|remaining|remain)\b"
    r"|\b(?:none|nothing)\b[^.\n]{0,30}\b(?:left|remains?)\b",
    re.IGNORECASE,
)
_ASKS = pattern(
    r"\bhow\s(?:many|much)\s(?:more\s|total\s|whole\s)?(?P<unit>[a-z]{2,20})|(?:多少|几)\s?个?(?P<chinese>[\u4e00-\u9fff]{1,2})",
    re.IGNORECASE,
)


_COMPUTED = pattern(r"[=≈][\s$€£¥]{0,3}$")
_COUNTS_OTHER = pattern(
    r"\s?(?!(?:left|more|fewer|less|in|on|at|to|by|of|for|from|remain\w*|total|and|or|each|per|times|after|over)\b)"
    r"[A-Za-z\u4e00-\u9fff]",
    re.IGNORECASE,
)


def _in_requested_unit(text: str, last: FoundNumber, sample: Sample) -> FoundNumber | None:
    """Return the one number of the closing sentence that counts what the question asks for.

    Only if the last number counts something else: "9 hours later they are 360 km apart, at 40 km/h".
    """
    question = sample.fields.get("question")
    asks = list(_ASKS.finditer(question[-600:])) if isinstance(question, str) else []
    if len(asks) != 1:
        return None
    unit = asks[0]["unit"] or asks[0]["chinese"]
    counts = re.compile(rf"\s?(?:[a-z]{{1,12}}\s)?{re.escape(unit)}(?!\s?(?:per\b|/))", re.IGNORECASE)
    computed = _COMPUTED.search(text[max(0, last.start - 8) : last.start])
    if computed or counts.match(text, last.end) or not _COUNTS_OTHER.match(text, last.end):
        return None
    numbers = [n for n in _sentence(text, last) if not is_denied_number(text, n)]
    fitting = [n for n in numbers if n.end <= last.start and counts.match(text, n.end)]
    return fitting[0] if len(fitting) == 1 else None


def _sentence(text: str, last: FoundNumber) -> list[FoundNumber]:
    """Return the numbers of the sentence that ends with the last number, in order."""
    start = max(0, last.start - 300)
    breaks = [m.end() for m in re.finditer(r"[.!]\s|[。！\n]", text[start : last.start])]
    start += breaks[-1] if breaks else 0
    return [moved(n, start) for n in find_numbers(text[start : last.end + 12])]


_CIRCUMSTANCE = pattern(
    r"\b(?:in|for|at|after|over|within|with|per|by|on|from|of|during|every|für|nach|pro|mit|en|por|durante|con|pour|pendant|за|через)"
    r"\s(?:(?:the|all|these|those|his|her|their|its|each|only|die|los|las|les)\s)?[$€£¥]?\s?$",
    re.IGNORECASE,
)


def _absent_from_question(text: str, last: FoundNumber, sample: Sample) -> FoundNumber | None:
    """Return the one number of the closing sentence that does not occur in the question.

    Only if the last number occurs in the question and is a circumstance: "240 miles in 4 hours".
    """
    question = sample.fields.get("question")
    if not isinstance(question, str) or not _CIRCUMSTANCE.search(text[max(0, last.start - 24) : last.start]):
        return None
    in_question = {n.readings for n in find_numbers(question[-4000:])}
    others = [n for n in _sentence(text, last) if n.start < last.start and not is_denied_number(text, n)]
    new = [n for n in others if n.readings not in in_question]
    if (
        last.readings not in in_question
        or len(new) != 1
        or re.search(r"[,;，；]\s", text[new[0].end : last.start])
    ):
        return None
    return new[0]


_REASON = pattern(r",\s(?:since|as|because)\s|\sbecause\s|[,，]?因为")
_COMPARES = pattern(r"\b(?:than|more|less|fewer)\b|比", re.IGNORECASE)


def _before_reason(text: str, last: FoundNumber) -> FoundNumber | None:
    """Return the number before the reason that a closing sentence gives: "3 buses, since 2 hold only 80"."""
    numbers = _sentence(text, last)
    if not numbers or _COMPUTED.search(text[max(0, last.start - 8) : last.start]):
        return None
    start = numbers[0].start
    reason = _REASON.search(text, start, last.start)
    before = [n for n in numbers if reason and n.end <= reason.start()]
    if not reason or len(before) != 1 or _COMPARES.search(text, start, reason.start()):
        return None
    return before[0]


_DATED = pattern(
    r"\s(?!(?:was|were|is|are|has|had|it|they|he|she)\b)(?:[a-z]+\s){1,3}(?:in|by|since|until)\s(?:the\syear\s)?$"
)
_SPAN = pattern(r"\b(?:after|before|within|for|over|than|of)\s$", re.IGNORECASE)


def _before_year(text: str, last: FoundNumber) -> FoundNumber | None:
    """Return the number before a closing year: "25 years old in 2030"."""
    if not (len(last.text) == last.end - last.start == 4 and "1500" <= last.text <= "2100"):
        return None
    numbers = _sentence(text, last)
    before = numbers[-2] if len(numbers) > 1 and numbers[-1].start == last.start else None
    if before is None or not _DATED.fullmatch(text, before.end, last.start):
        return None
    return None if _SPAN.search(text[max(0, before.start - 10) : before.start]) else before
