r"""Find the boxes of a solution, `\boxed{…}`, and choose those that hold its answer.

Each function takes time linear in the length of any text.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

from aisb_evaluator_math._decimals import same_number
from aisb_evaluator_math._forms import tidy
from aisb_evaluator_math._units import WRAPPED

_TOKEN = re.compile(
    r"(?P<box>(?:\\{1,4}(?:boxed|fbox|framebox)|(?<![\\A-Za-z])boxed|\x08oxed)\s{0,3}\{)|\\[{}\\]|(?P<brace>[{}])"
)
_WITHOUT_BRACES = re.compile(
    r"\\boxed\s{0,3}([-+]?\$?\.?\d[^\s{}$;]{0,40}"
    r"|\\[dt]?frac(?:\d\d|\{[^{}]{1,40}\}\{[^{}]{1,40}\})|\\sqrt(?:\d|\{[^{}]{1,40}\}))"
)
_CUT_COMMAND = re.compile(r"\\(?:bo|box|boxe|boxed|fb|fbo|fbox)\s{0,9}$")
_CLOSER = re.compile(r"(?<!\\)\$|\\\]|\\\)|\n[ \t\r]{0,20}\n")
_MARK = re.compile(
    r"(?:\\(?:checkmark|(?:black)?square|Box|qed(?:symbol)?|star|surd|cdot|[lc]?dots|quad|ding\{\d+\})"
    r"|\\[,;!: ]|[✓✔☑✅■□∎★…_?.!\s$])*"
)
_NO_ANSWER = re.compile(
    r"(?:the |your |final )*answer(?: here)?|(?:solution )?(?:verified|correct|checked|confirmed)"
    r"|done|qed|q e d|proved|proven|end|ok|solved|(?:你的|最终)?答案|正确|已?验证(?:正确)?|证毕|完毕"
)
"""The content of boxes that only show the format, or mark the end of the solution."""
_SEPARATOR = re.compile(r"(?:[,;、，；&]|and|or|y|o|et|ou|und|oder|и|или|和|或者?|与|及|以及|\s)*")
_NAME = re.compile(r"\s{0,9}(?:[a-zA-Z]|\\[a-z]+)(?:_\{?\w{1,2}\}?)?\s{0,9}(?:=|\\in)\s{0,9}$")
_MARKUP = re.compile(r"\\[\[\]()]|\\q?quad(?![a-zA-Z])|\\[,;!: ]|\\\\|[$*]")
_ABOUT = re.compile(
    r"\s{0,9}(?:,?\s{0,9}(?:or|which is|或)\s{1,9})?"
    r"(?:\(?\s{0,9}(?:\\approx|\\simeq|≈|approximately|about|roughly|约等于|大?约)\s{0,9})"
)
_DENIED = re.compile(
    r"(?:\bnot|n['’]t\s{1,9}be|\binstead\s{1,9}of|\brather\s{1,9}than|不是|并非|\\neq?)"
    r"[\s$*\\(\[]{0,8}(?:[a-zA-Z]\s?=\s?)?$",
    re.IGNORECASE,
)
_RETOLD = re.compile(
    r"\b(?:I|we)\s{1,9}(?:\w+\s{1,9})?(?:said|wrote|boxed|claimed|stated|thought|gave)\b[^.!?\n]{0,40}$"
    r"|\bmy\s{1,9}(?:earlier|previous|first|initial|original)\s{1,9}(?:answer|result|value|box)\b[^.!?\n]{0,20}$"
    r"|我(?:之前|刚才|先前|原来)[^。！？\n]{0,12}$",
    re.IGNORECASE,
)
_CALLED_WRONG = re.compile(
    r"[\s$*\\)\]}.]{0,8},?\s?(?:which|but\s{1,9}(?:that|this|it))\s{1,9}(?:is|was)\s{1,9}(?:wrong|incorrect|not\s{1,9}(?:right|correct)|a\s{1,9}mistake)",
    re.IGNORECASE,
)


class BoxedText(NamedTuple):
    """A box in a text: where its command begins, the span of its content, and where it ends."""

    begin: int
    start: int
    end: int
    close: int


class Boxed(NamedTuple):
    """The answer in boxes: its text, and the span from the content of the first box to that of the last."""

    text: str
    start: int
    end: int


def find_boxes(text: str) -> tuple[list[BoxedText], int | None]:
    r"""Return the innermost boxes in order, and the beginning of a box that the end of the text truncates.

    Braces nest; an escaped brace is text. A box without its closing brace ends with its formula or paragraph.
    """
    boxes: list[BoxedText] = []
    if "box" not in text and "\x08oxed" not in text:
        return boxes, None
    open_braces: list[tuple[int, int] | None] = []
    for token in _TOKEN.finditer(text):
        if token["box"]:
            open_braces.append(token.span())
        elif token["brace"] == "{":
            open_braces.append(None)
        elif token["brace"] == "}" and open_braces and (opened := open_braces.pop()):
            boxes.append(BoxedText(*opened, token.start(), token.end()))
    boxes += [BoxedText(m.start(), *m.span(1), m.end()) for m in _WITHOUT_BRACES.finditer(text)]
    cut = None
    for begin, start in [opened for opened in open_braces if opened][-3:]:
        if any(box.begin >= start for box in boxes[-20:]):
            continue
        closer = _CLOSER.search(text, start)
        if closer:
            boxes.append(BoxedText(begin, start, closer.start(), closer.start()))
        else:
            cut = begin if cut is None else cut
    if cut is None and (command := _CUT_COMMAND.search(text, max(0, len(text) - 20))):
        cut = command.start()
    return _innermost(sorted(boxes)), cut


def boxed_answer(text: str, boxes: list[BoxedText]) -> Boxed | None:
    """Return the answer in the last boxes: one box, or several that a sentence lists.

    A box that is empty, holds only a mark, or shows the format does not count. Boxes that the text rejects
    count only if it rejects all.
    """
    filled = [box for box in boxes if _holds_answer(text[box.start : box.end])]
    accepted = [box for box in filled if not _is_denied(text, box)] or filled
    if not accepted:
        return None
    group = [accepted[-1]]
    joins: list[str] = []
    for box in reversed(accepted[:-1]):
        join = _join(text, box, group[0])
        if join is None:
            break
        group.insert(0, box)
        joins.insert(0, join)
    return _joined(text, group, joins)


def continues_answer(text: str, box: BoxedText, begin: int) -> bool:
    """Return whether a box that begins at `begin` continues the answer of another box."""
    return _join(text, box, BoxedText(begin, begin, begin, begin)) is not None


def is_denied_box(text: str, start: int) -> bool:
    """Return whether the answer announced before `start` is rejected, or only reports an earlier one."""
    sentence = text[max(0, start - 100) : start]
    return re.match(r"[\s:：]{0,4}(?:not\b|n['’]t\b)", text[start : start + 12]) is not None or bool(
        re.search(
            r"\b(?:I|we)\s{1,9}(?:\w+\s{1,9})?(?:said|wrote|claimed|stated|thought)\b[^.!?\n]{0,60}$",
            sentence,
        )
    )


def _innermost(boxes: list[BoxedText]) -> list[BoxedText]:
    """Return sorted boxes without those that contain another."""
    return [box for box, after in pairwise([*boxes, None]) if box and (not after or after.begin >= box.end)]


def _holds_answer(inside: str) -> bool:
    if len(inside) < 60:
        words = re.sub(r"[\W_]+", " ", re.sub(WRAPPED, r" \1 ", inside)).strip().casefold()
        if _MARK.fullmatch(inside) or (_NO_ANSWER.fullmatch(words) and not re.search(r"[\d=]", inside)):
            return False
    return bool(inside.strip(" \t\r\n$*.,;"))


def _is_denied(text: str, box: BoxedText) -> bool:
    before = text[max(0, box.begin - 100) : box.begin]
    return bool(_DENIED.search(before) or _RETOLD.search(before) or _CALLED_WRONG.match(text, box.close))


def _join(text: str, first: BoxedText, second: BoxedText) -> str | None:
    r"""Return the text that joins two boxes, a comma or `\approx`; None if they are two answers."""
    between = text[first.close : second.begin]
    if len(between) > 80:
        return None
    between = _MARKUP.sub(" ", re.sub(WRAPPED, r" \1 ", between))
    name = _NAME.search(between)
    words = between[: name.start()] if name else between
    if _ABOUT.fullmatch(words):
        return r" \approx "
    if not _SEPARATOR.fullmatch(words):
        return None
    if words.strip():
        return ", "
    # Two formulas, one below the other, with no text between: roots if both begin with "x =".
    named = name and _NAME.search(_MARKUP.sub(" ", text[max(0, first.begin - 20) : first.begin]))
    return ", " if named and "\n\n\n" not in text[first.close : second.begin] else None


def _joined(text: str, group: list[BoxedText], joins: list[str]) -> Boxed:
    contents = [text[box.start : box.end].strip() for box in group]
    answer, listed = contents[0], [tidy(contents[0])]
    for join, content in zip(joins, contents[1:], strict=True):
        written = tidy(content)
        if any(written == other or same_number(written, other) for other in listed):
            continue
        answer += join + content
        listed.append(written)
    if len(listed) == 1:
        return Boxed(contents[-1], group[-1].start, group[-1].end)
    return Boxed(answer, group[0].start, group[-1].end)
