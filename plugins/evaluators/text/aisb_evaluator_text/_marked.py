"""Find the answer that a text marks itself: the last box, "the answer is", a line of its own.

Each function takes time linear in the length of any text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Annotated

from aisb import Extract, Sample
from aisb.helpers import finds_answer, pattern
from aisb_evaluator_text._languages import local_marks

_BOX = pattern(r"\\(?P<box>boxed|fbox)\s{0,3}\{|\\[{}\\]|(?P<brace>[{}])")
# A box without braces holds one token, but "in \\boxed form" is no box.
_BARE_BOX = pattern(r"\\boxed\s{1,3}(?![A-Za-z]{2})([^\s{}$\\.,;`'\"]{1,40})")
_PLACEHOLDER = pattern(
    r"[.…_\s]+|\W{0,4}(?:(?:your|the|final)[\s_]){0,3}answer\W{0,4}|\W{0,4}your[\s_]\w{1,12}\W{0,4}|(?:最终)?答案",
    re.IGNORECASE,
)
_TEXT_COMMAND = pattern(
    r"(?:\$|\\\(|\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|bf|rm|mbox)\s?\{)\s{0,9}"
)
ANSWER_MARK = pattern(
    r"""
    (?P<colon>
        \banswers?(?:[ ]key)?["'*_`）)\]]{0,4}\s?[:：=]
      | (?:答案|【答案】|参考答案|最终答案)["'*_`】]{0,4}\s?[:：=]
      | 【(?:参考|最终|正确)?答案】
      | (?:^|\n)[ *#]*(?:A|答)["*_]{0,2}\s?[:：]
      | <answer>
    )
  | (?P<says>
        \banswers?\b[^.:：=?\n]{0,120}?\b(?:is|are|equals|(?:would|should|must)\ be|comes\ to|=)(?![A-Za-z'’])
      | 答案[^。：:？\n不]{0,30}?(?:是|为|等于|选|应选)
    )
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Announcements of an answer. `colon` may also begin a solution; `says` states a value."""


def answer_marks(text: str) -> list[re.Match[str]]:
    """Return the announcements of an answer in all known languages, in order."""
    local = list(local_marks(text))
    marks = _ascii_marks(text) if text.isascii() else list(ANSWER_MARK.finditer(text))
    return sorted((*marks, *local), key=lambda mark: mark.start()) if local else marks


def _ascii_marks(text: str) -> list[re.Match[str]]:
    """Return the matches of `ANSWER_MARK.finditer` in an ASCII text, in a tenth of its time.

    It tries the pattern only where a mark can begin: at "answer", at its tag, and at the beginning of a line.
    """
    lower = text.lower()
    starts = {0, *_positions(lower, "\n"), *_positions(lower, "<answer>"), *_positions(lower, "answer")}
    found: list[re.Match[str]] = []
    at = 0
    for start in sorted(starts):
        match = ANSWER_MARK.match(text, start) if start >= at else None
        if match is not None:
            found.append(match)
            at = match.end()
    return found


def _positions(text: str, word: str) -> Iterator[int]:
    at = text.find(word)
    while at >= 0:
        yield at
        at = text.find(word, at + 1)


def find_announced_answers(text: str) -> list[int]:
    """Return where each announced answer begins, in order: after "Answer:", "the answer is" or 答案是."""
    return [mark.end() for mark in answer_marks(text)]


def find_boxes(text: str) -> list[tuple[int, int]]:
    r"""Return the spans of the contents of all complete `\boxed{…}` and `\fbox{…}`, in order.

    Braces nest; an escaped brace is text; a truncated box does not count.
    """
    if "box" not in text:
        return []
    found: list[tuple[int, int]] = []
    open_braces: list[tuple[bool, int]] = []
    for match in _BOX.finditer(text):
        if match["box"]:
            open_braces.append((True, match.end()))
        elif match["brace"] == "{":
            open_braces.append((False, match.end()))
        elif match["brace"] == "}" and open_braces:
            is_box, start = open_braces.pop()
            if is_box:
                found.append((start, match.start()))
    found += [match.span(1) for match in _BARE_BOX.finditer(text)]
    return sorted(found)


@finds_answer
def boxed() -> Callable[[str, Sample], Extract | None]:
    r"""The content of the last `\boxed{…}` or `\fbox{…}`, without a `\text{…}` around it."""

    def step(text: str, sample: Sample) -> Extract | None:
        for box_start, box_end in reversed(find_boxes(text)):
            start, end = _without_text_command(text, box_start, box_end)
            if start < end and not _is_placeholder(text[start:end]):
                return Extract(text[start:end], "boxed", (start, end), explicit=True)
        return None

    return step


def _is_placeholder(inner: str) -> bool:
    r"""Return whether a box is a placeholder: `\boxed{answer}`, `\boxed{…}`."""
    return not any(c.isdigit() for c in inner) and bool(_PLACEHOLDER.fullmatch(inner))


def _without_text_command(text: str, start: int, end: int) -> tuple[int, int]:
    r"""Return the span without white space, and without a `\text{…}` or `$…$` around the whole."""
    for _ in range(4):
        inner = text[start:end]
        start += len(inner) - len(inner.lstrip())
        end = start + len(inner.strip())
        command = _TEXT_COMMAND.match(text, start, end)
        if command is None:
            return start, end
        closing = {"$": "$", "(": "\\)"}.get(command[0].rstrip()[-1], "}")
        if not text.endswith(closing, 0, end) or not _is_whole(text[command.end() : end - len(closing)]):
            return start, end
        start, end = command.end(), end - len(closing)
    return start, end


def _is_whole(inner: str) -> bool:
    """Return whether all braces and dollar signs of a piece are balanced."""
    depth = 0
    for c in inner:
        depth += (c == "{") - (c == "}")
        if depth < 0 or c == "$":
            return False
    return depth == 0


@finds_answer
def answer_line(
    *,
    which: Annotated[str, "`last` or `first`: the answer that counts if several are announced"] = "last",
) -> Callable[[str, Sample], Extract | None]:
    """The rest of the line after "Answer:", "the answer is", 答案：or the like, without Markdown."""
    if which not in ("first", "last"):
        from aisb import UsageError

        raise UsageError(f"which = {which!r}: it must be 'last' or 'first'")

    def step(text: str, sample: Sample) -> Extract | None:
        starts = find_announced_answers(text)
        for start in reversed(starts) if which == "last" else starts:
            found = _line(text, start)
            if found:
                found = _without_text_command(text, *found)
                return Extract(text[slice(*found)], "answer-line", found, explicit=True)
        return None

    return step


_LABEL = pattern(r"(?:final\s)?answer\s?[:：]\s{0,9}(?=\S)", re.IGNORECASE)
# "This answer assumes that Paris is meant" states no answer; "the answer to the question is Paris" does.
_STATES_TEXT = pattern(
    r"answers?(?:\s(?:to|for|of|here)\b.*)?[\s\"'*_]{1,4}(?:is|are|equals|(?:would|should|must)\sbe)",
    re.IGNORECASE | re.DOTALL,
)


@finds_answer
def answer_text() -> Callable[[str, Sample], Extract | None]:
    r"""An answer in words: the last of `\boxed{…}`, `<answer>…` and "Answer: …"; else the first line."""
    in_box = boxed()

    def step(text: str, sample: Sample) -> Extract | None:
        line = _last_announced(text)
        box = in_box(text, sample)
        if box and box.span and (line is None or box.span[1] >= line[0]):
            start, end = box.span
            label = _LABEL.match(text, start, end)
            start = label.end() if label else start
            return Extract(text[start:end], "boxed", (start, end), explicit=True)
        if line is not None:
            return Extract(text[slice(*line)], "answer-line", line, explicit=True)
        first = _line(text, 0)
        return Extract(text[slice(*first)], "first-line", first) if first else None

    return step


def _last_announced(text: str) -> tuple[int, int] | None:
    for mark in reversed(answer_marks(text)):
        english = mark[0][:6].lower() == "answer"
        if english and mark["says"] and not _STATES_TEXT.fullmatch(mark[0]):
            continue
        found = _line(text, mark.end())
        if found:
            return _without_text_command(text, *found)
    return None


_EDGE = " \t\r*_`#>\"'“”‘’"


def _line(text: str, start: int) -> tuple[int, int] | None:
    """Return the span of the first non-empty line from `start` on, without decoration."""
    while start < len(text):
        stop = text.find("\n", start)
        stop = len(text) if stop < 0 else stop
        line = text[start:stop]
        if line.strip(_EDGE):
            tag = line.lower().find("</answer>")
            line = line[:tag] if tag >= 0 else line
            left = len(line) - len(line.lstrip(_EDGE + ":："))
            kept = line[left:].rstrip(_EDGE)
            if kept.endswith((".", "。")) and not kept.endswith(".."):
                kept = kept[:-1].rstrip(_EDGE)
            if kept:
                return (start + left, start + left + len(kept))
        start = stop + 1
    return None
