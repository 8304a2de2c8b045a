"""Find the final answer of a solution: the last box, "the final answer is …", or a formula at the end.

Each rule takes time linear in the length of any text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

from aisb import Extract, Sample
from aisb.helpers import finds_answer
from aisb_evaluator_math._boxes import BoxedText, boxed_answer, continues_answer, find_boxes, is_denied_box
from aisb_evaluator_math._corrections import with_corrections
from aisb_evaluator_text import find_announced_answers

_CLOSERS = {"$$": "$$", "$": "$", r"\[": r"\]", r"\(": r"\)"}
_OPENER = re.compile(r"(?<!\\)(?:\$\$|\$|\\\[|\\\()")
_DECORATION = re.compile(r"[\s*_#>:：]*")
_SENTENCE_END = re.compile(
    r"(?<!\\)[.!。！](?=\s|$|[*_\"'”)])(?!\.)|[。！]|,?\s+(?:which|because|since|where|not|instead\s+of|rather\s+than)\b|[，,]?\s?(?:而不是|不是|因为)"
    r"|,?\s+(?:put|given|written|placed|stated|expressed)?\s*(?:in|within|inside|with|using)\s+(?:an?\s+)?\\(?:boxed|fbox)\b"
)
_EDGE = ' \t\r\n*_`#>"“”'
_NUMBER = re.compile(r"(?<![\w.])-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:/\d+)?%?(?![\w])")
_VARIABLE = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z](?![a-zA-Z])")
_LIMIT = 1000
"""The maximum length of a final answer; longer text after "the answer is" is prose."""


@finds_answer
def math_answer(
    *,
    fallback: Annotated[bool, "if no answer is marked, use the last formula, or else the last number"] = True,
) -> Callable[[str, Sample], Extract | None]:
    r"""The final answer of a solution: the last `\boxed{…}`, else the text after "the final answer is".

    Adjacent boxes form one answer. A retracted answer is replaced by its correction. A text that is truncated
    within a box has no marked answer.
    """

    def step(text: str, _sample: Sample) -> Extract | None:
        boxes, cut = find_boxes(text)
        answer = _boxed(text, boxes, cut) or _announced(text, cut)
        if answer:
            return _corrected(text, answer) or answer
        if not fallback or cut is not None:
            return None
        if not boxes and _is_bare(text) and (found := _trimmed(text, 0, len(text))):
            return Extract(text[found[0] : found[1]], "bare", found, explicit=True)
        for rule, search in (
            ("last-formula", _roots),
            ("last-formula", _last_formula),
            ("last-number", _last_number),
        ):
            if found := search(text):
                return Extract(text[found[0] : found[1]], rule, found)
        return None

    return step


def _boxed(text: str, boxes: list[BoxedText], cut: int | None) -> Extract | None:
    """Return the content of the last boxes; only a guess if the text ends within another, different box."""
    answer = boxed_answer(text, boxes)
    if answer is None:
        return None
    span = _trimmed(text, answer.start, answer.end)
    if span is None:
        return None
    content = (
        answer.text if answer.text != text[answer.start : answer.end].strip() else text[span[0] : span[1]]
    )
    explicit = cut is None
    if cut is not None:
        beginning = text[cut:].partition("{")[2].strip()
        explicit = bool(beginning) and content.startswith(beginning)
        if not explicit and continues_answer(text, boxes[-1], cut):
            return None
    return Extract(content, "boxed", span, explicit=explicit)


def _announced(text: str, cut: int | None) -> Extract | None:
    for start in reversed(find_announced_answers(text)[-50:]):
        found = _after(text, start)
        if found and not is_denied_box(text, start) and not (cut is not None and found[1] > cut):
            return Extract(text[found[0] : found[1]], "answer-is", found, explicit=cut is None)
    return None


def _corrected(text: str, answer: Extract) -> Extract | None:
    start = with_corrections(text, answer.span[0]) if answer.span else None
    found = _after(text, start) if start is not None else None
    if found is None:
        return None
    value = re.sub(r"\s+(?:is|was)\s.*", "", text[found[0] : found[1]], flags=re.DOTALL)
    return Extract(value, "corrected", (found[0], found[0] + len(value)), explicit=answer.explicit)


def _after(text: str, at: int) -> tuple[int, int] | None:
    """Return the span of an answer announced before `at`: its formulas, or else its sentence."""
    begin = _DECORATION.match(text, at)
    start = begin.end() if begin else at
    if formula := _formula(text, start):
        line_end = text.find("\n", formula[1])
        rest = text[formula[1] : line_end if line_end >= 0 else len(text)]
        more = re.match(r"(?:\$|\\\))?[*_]{0,2}\s*(?:,|and|or|, and|, or)\s*(?=\$|\\\()", rest)
        if not more:
            return formula
        # "$2$ and $3$" is one answer: it extends to the last formula of the sentence.
        stop = max(rest.rfind("$"), rest.rfind(r"\)"))
        return _trimmed(text, start, formula[1] + stop + (1 if rest[stop] == "$" else 2))
    stop = text.find("\n", start)
    stop = len(text) if stop < 0 else stop
    sentence = text[start : min(stop, start + _LIMIT)]
    first = _OPENER.search(sentence)
    if first and (formula := _formula(text, start + first.start())):
        after = text[formula[1] : formula[1] + 40]
        if not re.match(r"(?:\$|\\\))\s*[\w+\-*/=]", after) or not sentence[: first.start()].strip(_EDGE):
            return formula
    end = _SENTENCE_END.search(sentence)
    return _trimmed(text, start, start + (end.start() if end else len(sentence)))


def _formula(text: str, at: int) -> tuple[int, int] | None:
    """Return the span inside the formula that begins at `at`, if any."""
    opener = _OPENER.match(text, at)
    if not opener:
        return None
    closer = _CLOSERS[opener[0]]
    end = text.find(closer, opener.end(), opener.end() + _LIMIT)
    while closer == "$" and end > 0 and text[end - 1] == "\\":  # \$ is a dollar sign
        end = text.find(closer, end + 1, opener.end() + _LIMIT)
    if opener[0] == "$" and (end < 0 or "\n\n" in text[opener.end() : end]):
        return None  # an amount of money
    return _trimmed(text, opener.end(), end) if end >= 0 else None


def _last_formula(text: str) -> tuple[int, int] | None:
    found = None
    at = 0
    while opener := _OPENER.search(text, at):
        inside = _formula(text, opener.start())
        if inside is None:
            at = opener.end()
            continue
        found = inside
        closer = _CLOSERS[opener[0]]
        at = text.index(closer, inside[1]) + len(closer)
    sides = text[found[0] : found[1]].split("=") if found else []
    # In "2 + 3 = 5" and "A = ab = 6" the answer is at the end; "y = 2x" as a whole is one.
    if found and (len(sides) > 2 or (len(sides) == 2 and not _VARIABLE.search(sides[0]))):
        return _trimmed(text, text.rindex("=", found[0], found[1]) + 1, found[1])
    return found


_ROOTS = re.compile(r"\b(?:solutions|roots|zeros|answers)\b[^.:\n]{0,80}?\bare\b:?\s{0,9}(?=[-$\\\d(a-z])")


def _roots(text: str) -> tuple[int, int] | None:
    """Return the span of several values at the end of a text: "The solutions are $3$ and $4$."."""
    found = list(_ROOTS.finditer(text, max(0, len(text) - 300)))
    span = _after(text, found[-1].end()) if found else None
    return span if span and re.search(r",|\band\b|\bor\b", text[slice(*span)]) else None


def _last_number(text: str) -> tuple[int, int] | None:
    spans = [match.span() for match in _NUMBER.finditer(text)]
    return spans[-1] if spans else None


def _is_bare(text: str) -> bool:
    """Return whether the text consists of an answer only: a line without prose."""
    line = text.strip()
    if _OPENER.search(line, 1, len(line) - 2):  # a formula within a sentence
        return False
    return len(line) < 200 and "\n" not in line and not re.search(r"(?<![\\a-zA-Z{])[A-Za-z]{3,}\s+\w", line)


def _trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Return a span without surrounding white space, Markdown, formula delimiters and full stop."""
    for _ in range(3):
        piece = text[start:end]
        start += len(piece) - len(piece.lstrip(_EDGE))
        end = start + len(text[start:end].rstrip(_EDGE))
        for opener in ("$$", r"\[", r"\(", "$"):
            closer = _CLOSERS[opener]
            inner = text[start + len(opener) : end - len(closer)]
            if text.startswith(opener, start) and text[:end].endswith(closer) and closer not in inner:
                start, end = start + len(opener), end - len(closer)
                break
        # The comma of `\,` is a space, and three full stops are digits that go on.
        if text[start:end].endswith((".", ",", ";", "。")) and not text[start:end].endswith(
            ("\\,", "\\;", "..")
        ):
            end -= 1
    return (start, end) if text[start:end].strip() else None
