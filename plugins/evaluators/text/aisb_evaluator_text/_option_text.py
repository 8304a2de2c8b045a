"""Find the option whose words a reply gives as its answer instead of a letter."""

from __future__ import annotations

import re
from typing import NamedTuple

from aisb import Sample
from aisb.helpers import pattern

_DENIES = pattern(r"\bnot\b|n['’]t|不|\bnicht\b|\bне\b")
_NONE_RIGHT = pattern(
    r"\b(?:no|none|neither)\b[^.\n]{0,40}\b(?:option|choice|answer)s?\b|\b(?:is|are)\s(?:not|n['’]t)\s(?:among|in|one\sof|listed)\b"
    r"|\b(?:isn['’]t|aren['’]t)\s(?:among|in|one\sof|listed)\b|没有(?:正确)?(?:的)?(?:选项|答案)|都不(?:对|正确|符合)|无正确",
    re.IGNORECASE,
)
_SENTENCE_ENDS = pattern(r"[.!?](?:[)\]}\"'”*`$]*)(?:\s|$)|[。！？\n]")
_BROKEN_OFF = pattern(
    r"(?:\.\.\.|…|[,，;；:：+\-/=(]|\b(?:the|an?|of|and|or|is|are|was|were|to|in|on|at|by|for|with|from|which|that|who|because"
    r"|so|we|if|as|than|then|but|not|its|their|this|there|can|will|would|has|have|be|between|into)|的|和|是|因为|所以|但|在|与)\s*$",
    re.IGNORECASE,
)
# A bare value may occur in any text about numbers, so it must be at the end.
_VALUE = pattern(r"\W{0,4}[\d.,:/\s]{1,20}(?:\W{0,3}|\s?[^\W\d_]{1,3})|\S{1,2}")
_CLOSES = pattern(
    r"[)\]}*_`\"'”’»」$\\]{0,6}(?:\s?(?:[^\W\d_]{1,15}|[%°])){0,2}\s?[.!。)\]}*_`\"'”’»」$\\]{0,6}\s*$"
)
_LEADS_TO_VALUE = pattern(
    r"(?:^|\b(?:is|are|be|equals|gives|get|makes|answer|so|therefore|approximately|about|exactly)\b|[:：=≈是为得])[\s$(*_`\"'“\\{\[]{0,8}$",
    re.IGNORECASE,
)


_REJECTED = pattern(
    r"(?:\bnot|n['’]t be|\brather than|\binstead of|不是|并非|而非)(?: the| an?)?[\s*\"'“]{0,3}$"
)
_ANNOUNCED = pattern(
    r"(?:\b(?:answer|choice|option)\b[^.,;]{0,16}(?:\bis\b|:)|答案[是为:：])(?: the| an?)?[\s*\"'“(]{0,4}$"
)
_TURNS = pattern(
    r"[,;.，；。]\s?(?:so|but|therefore|thus|hence|rather|it['’]s|it is|而是|所以|因此|是)(?![a-z])"
)
_CONTRASTED = pattern(r",?\s(?:not|rather than|instead of)\s[^.\n]{1,60}(?=\.?\s*$)")
_BOX = pattern(r"\\(?:boxed|fbox)\s?\{\s*(?:\\(?:text|textbf|mathrm|mathbf)\s?\{)?([^{}]{1,200})\}?\s*\}")


class OptionText(NamedTuple):
    """The letter of an option, and the span of its words."""

    letter: str
    start: int
    end: int


def find_option_text(text: str, sample: Sample, letters: str) -> OptionText | None:
    """Return the only option whose words are the whole text or occur in its last line.

    None if the text is truncated, rejects all options, or denies something before the words.
    """
    if boxed := _in_last_box(text, sample, letters):
        return boxed
    end = len(text.rstrip())
    line_start = text.rfind("\n", 0, end) + 1
    line = text[line_start:end][:2000].casefold()
    matches = []
    for letter, option in zip(letters, sample.choices, strict=False):
        words = option.strip().strip(".").casefold()
        at = _find_words(line, words)
        if at >= 0 and not _REJECTED.search(line[max(0, at - 24) : at]):
            matches.append(OptionText(letter, at, at + len(words)))
    # The longer option wins if one contains another ("iron", "iron oxide").
    longest = [
        one
        for one in matches
        if not any(o.start <= one.start and one.end <= o.end and o.letter != one.letter for o in matches)
    ]
    if len(longest) > 1:  # "an apple a day …, but the answer is banana"
        longest = [one for one in longest if _ANNOUNCED.search(line[max(0, one.start - 40) : one.start])]
    if len(longest) != 1:
        return None
    found = longest[0]
    words = line[found.start : found.end]
    turn = max((match.end() for match in _TURNS.finditer(line, 0, found.start)), default=0)
    if _DENIES.search(line[turn : found.end]) or (_NONE_RIGHT.search(text) and not _NONE_RIGHT.search(words)):
        return None
    if _in_formula(line, found) or not _is_stated(line, found, words):
        return None
    return OptionText(found.letter, line_start + found.start, line_start + found.end)


def _in_last_box(text: str, sample: Sample, letters: str) -> OptionText | None:
    """Return the option whose words are the content of the last box."""
    boxes = list(_BOX.finditer(text))
    inside = boxes[-1][1].strip(" .$").casefold() if boxes else ""
    equal = [
        letter
        for letter, option in zip(letters, sample.choices, strict=False)
        if inside and option.strip().strip(".$").casefold() == inside
    ]
    return OptionText(equal[0], *boxes[-1].span(1)) if len(equal) == 1 else None


def _find_words(line: str, words: str) -> int:
    """Return the last position of the words in a line, as whole words; -1 if there is none."""
    at = line.rfind(words) if words else -1
    if at < 0 or (
        at
        and line[at - 1].isascii()
        and (line[at - 1].isalnum() or (line[at - 1] in ".,-/^_" and words[0].isdigit()))
    ):
        return -1
    beyond = line[at + len(words) : at + len(words) + 1]
    return -1 if beyond.isalnum() and beyond.isascii() else at


def _in_formula(line: str, found: OptionText) -> bool:
    """Return whether words are only a part of a formula."""
    if line[: found.start].count("$") % 2 == 0:
        return False
    begin, stop = line.rfind("$", 0, found.start) + 1, line.find("$", found.end)
    inside = line[begin : stop if stop >= 0 else len(line)].strip()
    return inside != line[found.start : found.end] and not re.search(r"=\s*$", line[begin : found.start])


def _is_stated(line: str, found: OptionText, value: str) -> bool:
    """Return whether the words are in a finished sentence, and a bare value at its end."""
    after = line[found.end :]
    if not _VALUE.fullmatch(value):
        return bool(_SENTENCE_ENDS.search(after)) or not _BROKEN_OFF.search(line)
    if _BROKEN_OFF.search(line):
        return False
    after = _CONTRASTED.sub("", after)
    return bool(_CLOSES.fullmatch(after)) and bool(
        not line[: found.start].strip(" $*(_`") or _LEADS_TO_VALUE.search(line[: found.start])
    )
