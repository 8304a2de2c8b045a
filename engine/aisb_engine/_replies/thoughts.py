"""Separate a model's reasoning from the text that is visible to users.

Scoring, the step `strip-reasoning`, audits and reports all use this parser.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from aisb_engine._replies.marks import Marks, known_marks

Span = tuple[int, int]


class VisibleText(NamedTuple):
    """A text without its reasoning, and the positions of its pieces in the raw text.

    Pieces are joined by a line end. White space is removed only next to removed reasoning.
    """

    text: str
    starts: tuple[int, ...]
    raw_starts: tuple[int, ...]

    @classmethod
    def of(cls, raw: str, marks: Marks | None = None) -> VisibleText:
        """Remove the reasoning from a raw text, and the marks at the beginning of a reply."""
        return _visible(raw, marks or known_marks())

    def raw(self, span: Span) -> Span:
        """Return the position of a span of the visible text in the raw text."""
        start, end = span
        return (self._at(start), self._at(end - 1) + 1 if end > start else self._at(start))

    def _at(self, position: int) -> int:
        piece = bisect_right(self.starts, position) - 1
        return self.raw_starts[piece] + position - self.starts[piece]


@lru_cache(maxsize=4)  # several extractors read one reply, each after a step that removes reasoning
def _visible(raw: str, marks: Marks) -> VisibleText:
    pieces = [_trimmed(raw, piece, marks) for piece in _pieces(raw, marks)]
    pieces = [(a, b) for a, b in pieces if raw[a:b].strip()] or [(len(raw), len(raw))]
    starts = [0]
    for start, end in pieces[:-1]:
        starts.append(starts[-1] + end - start + 1)
    text = "\n".join(raw[start:end] for start, end in pieces)
    return VisibleText(text, tuple(starts), tuple(start for start, _ in pieces))


def reasoning_spans(raw: str, marks: Marks | None = None) -> list[Span]:
    """Return the spans of the reasoning in a raw text, including its marks, in order."""
    found: list[Span] = []
    at = 0
    for start, end in [*_pieces(raw, marks or known_marks()), (len(raw), len(raw))]:
        if start > at:
            found.append((at, start))
        at = end
    return found


def is_quoted(text: str, start: int, end: int) -> bool:
    """Return whether a mark is only mentioned, in quotation marks or backquotes.

    A quotation or a block that ends right before the mark does not contain it.
    """
    if start == 0 or end >= len(text) or text[end] not in _QUOTES.get(text[start - 1], ""):
        return False
    quote = text[start - 1]
    if quote not in "\"'`":
        return True
    line = text[max(text.rfind("\n", 0, start) + 1, start - _LONGEST_LINE) : start]
    if _BLOCK_END.fullmatch(line):
        return False
    pattern = rf"(?<![^\W_]){quote}" if quote == "'" else rf"{quote}+"  # an apostrophe does not quote
    return len(re.findall(pattern, line)) % 2 == 1


def is_named(text: str, start: int, end: int) -> bool:
    """Return whether the words next to a mark name it as such: "the token </s>", "the </s> tag"."""
    return bool(_NAMED.search(text, max(0, start - 20), start) and text[end : end + 40].strip()) or bool(
        _NAMED_AFTER.match(text, end)
    )


_NAMED = re.compile(r"(?:\b(?:tag|token|marker?|called|named)\s|标签|标记)$", re.IGNORECASE)
_QUOTES = {
    **{quote: quote for quote in "\"'`"},
    **dict(zip("“‘「『《«", "”’」』》»", strict=True)),
    "„": "“”",
    "”": "”",
}
"""The possible characters after a mark, by those before it."""
_LONGEST_LINE = 2_000
"""The number of characters before a mark in which the beginning of a quotation is searched."""
_BLOCK_END = re.compile(r"[ \t]{0,3}`{3,}")
_FENCE = re.compile(r"^[ \t]{0,3}(```|~~~)([^\n]*)$", re.MULTILINE)
_NAMED_AFTER = re.compile(
    r"\s?(?:(?:tags?|tokens?|blocks?|marks?|markers?|elements?|sections?|delimiters?)\b|标签|标记|标识|符号)",
    re.IGNORECASE,
)
_NAMED_BEFORE = re.compile(
    r"(?:\b(?:the|an?|uses?|using|with|in|inside|called|named|tags?|tokens?|between|opening|closing|writes?)\s"
    r"|使用|用|标签|标记)$",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"[\s,]{0,3}(?:and|or|to|和|与|或|到|至)\s{0,3}", re.IGNORECASE)
_WITHIN_A_SENTENCE = re.compile(r"[^\s.!?:;。！？：；…>*)\]][ \t]{1,3}\Z")
_ELEMENT = re.compile(r"<(/?)([A-Za-z_][\w.-]{0,40})(?:\s[^<>]{0,200})?>")


def _trimmed(raw: str, piece: Span, marks: Marks) -> Span:
    """Return a visible piece without a mark at its beginning, and without white space next to reasoning."""
    start, end = piece
    if begin := marks.begin.match(raw, start, end):
        start = begin.end()
    if piece[0] > 0:
        # The indentation of the first line is kept: it may be code.
        blank = start + len(raw[start:end]) - len(raw[start:end].lstrip())
        line = raw.rfind("\n", start, blank)
        start = line + 1 if line >= 0 else blank
    if end < len(raw):
        end = start + len(raw[start:end].rstrip())
    return start, end


def _pieces(raw: str, marks: Marks) -> list[Span]:
    """Return the spans of text outside the reasoning, in order; an empty one if there is none."""
    found = marks.find_thoughts(raw)
    if not found:
        return [(0, len(raw))]
    context = _Context(raw, marks, found)
    pieces: list[Span] = []
    start: int | None = 0
    opened = -1
    mentioned = 0  # the end of a pair of marks that is only mentioned
    for position, match in enumerate(found):
        if match.start() < mentioned or is_quoted(raw, *match.span()):
            continue
        kind, number = context.kinds[position]
        if start is None:
            if kind == "answer" or (kind == "close" and number == opened):
                start = match.end()
        elif kind == "open":
            if context.opens(position, start):
                pieces.append((start, match.start()))
                start, opened = None, number
            else:
                mentioned = context.end_of_pair(position)
        elif context.ends_what_began(position):
            pieces.clear()
            start = match.end()
    if start is not None:
        pieces.append((start, len(raw)))
    return [(a, b) for a, b in pieces if raw[a:b].strip()] or [(len(raw), len(raw))]


class _Context:
    """The surroundings of the marks in a text: whether each of them is used, or only mentioned.

    All methods together take time proportional to the text's length.
    """

    def __init__(self, raw: str, marks: Marks, found: Sequence[re.Match[str]]) -> None:
        self.raw = raw
        self.marks = marks
        self.found = found
        self.kinds = [_kind(match) for match in found]
        self._closes = self._next_closes()
        self._fences = _fences(raw) if "```" in raw or "~~~" in raw else []
        self._elements: tuple[list[int], list[int]] | None = None
        self._checked = 0
        self._said = False

    def opens(self, position: int, start: int) -> bool:
        """Return whether a mark begins reasoning; `start` is the start of the visible piece before it."""
        begin, end = self.found[position].span()
        close = self._closes[position]
        is_first = self._is_first(start, begin)
        if close is None:
            named = _NAMED_AFTER.match(self.raw, end) or _NAMED_BEFORE.search(
                self.raw, max(0, begin - 40), begin
            )
            if self._in_fence(begin) or (named and not is_first):
                return False
        elif self._pair_is_mentioned(begin, end, *self.found[close].span()):
            return False
        if not self.marks.thoughts[self.kinds[position][1]].element:
            return True
        if close is None:
            return is_first
        within = not is_first and _WITHIN_A_SENTENCE.search(self.raw, max(0, begin - 4), begin)
        return not within and not self._is_enclosed(begin, self.found[close].end())

    def ends_what_began(self, position: int) -> bool:
        """Return whether a closing mark without an opening one ends reasoning that began with the text."""
        kind, number = self.kinds[position]
        one, match = self.marks.thoughts[number], self.found[position]
        if kind == "answer":
            return True
        if not one.alone or _NAMED_AFTER.match(self.raw, match.end()):
            return False
        if not self._in_fence(match.start()):
            return True
        # In a code block, a mark with text on both sides belongs to its line, such as a comment about it.
        before = self.raw[max(0, match.start() - 200) : match.start()].rpartition("\n")[2]
        after = self.raw[match.end() : match.end() + 200].partition("\n")[0]
        return not one.element and not (before.strip(" \t`~") and after.strip())

    def end_of_pair(self, position: int) -> int:
        """Return the end of the pair that a mark opens, or of the mark itself if it is not closed."""
        close = self._closes[position]
        return self.found[position if close is None else close].end()

    def _next_closes(self) -> list[int | None]:
        """Return for each mark the next one that could close it."""
        closes: list[int | None] = [None] * len(self.found)
        later: dict[int, int] = {}
        answer: int | None = None
        for position in range(len(self.found) - 1, -1, -1):
            kind, number = self.kinds[position]
            if kind == "open":
                both = [at for at in (later.get(number), answer) if at is not None]
                closes[position] = min(both) if both else None
            elif not is_quoted(self.raw, *self.found[position].span()):
                if kind == "answer":
                    answer = position
                else:
                    later[number] = position
        return closes

    def _is_first(self, start: int, begin: int) -> bool:
        """Return whether there is no text before a position, except marks at the beginning of a reply."""
        at = max(self._checked, start)
        if not self._said and begin > at:
            said = self.raw[at:begin]
            mark = self.marks.begin.match(said)
            self._said = bool(said[mark.end() if mark else 0 :].strip())
            self._checked = begin
        return not self._said

    def _pair_is_mentioned(self, start: int, end: int, close: int, close_end: int) -> bool:
        raw = self.raw
        if _BETWEEN.fullmatch(raw, end, close) or is_quoted(raw, start, close_end):
            return True
        fence = self._fence_at(start)
        return fence is not None and close < fence[1]

    def _fence_at(self, position: int) -> Span | None:
        at = bisect_right(self._fences, (position, len(self.raw))) - 1
        return self._fences[at] if at >= 0 and position < self._fences[at][1] else None

    def _in_fence(self, position: int) -> bool:
        return self._fence_at(position) is not None

    def _is_enclosed(self, start: int, end: int) -> bool:
        """Return whether a span is inside an XML element, such as an answer that was requested as XML."""
        if self._elements is None:
            self._elements = _elements(self.raw)
        starts, furthest = self._elements
        at = bisect_right(starts, start - 1) - 1
        return at >= 0 and furthest[at] >= end


def _kind(match: re.Match[str]) -> tuple[str, int]:
    name = match.lastgroup or ""
    kind = name.rstrip("0123456789")
    return kind, int(name[len(kind) :])


def _fences(raw: str) -> list[Span]:
    """Return the spans of closed code blocks."""
    found: list[Span] = []
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(raw):
        if opened is None:
            opened = fence
        elif fence[1] == opened[1] and not fence[2].strip("`~ \t\r"):
            found.append((opened.start(), fence.end()))
            opened = None
    return found


def _elements(raw: str) -> tuple[list[int], list[int]]:
    """Return the starts of closed XML elements, and for each the end of the longest that began so far."""
    opened: dict[str, list[int]] = {}
    spans: list[Span] = []
    for tag in _ELEMENT.finditer(raw):
        if not tag[1]:
            opened.setdefault(tag[2], []).append(tag.start())
        elif opened.get(tag[2]):
            spans.append((opened[tag[2]].pop(), tag.end()))
    spans.sort()
    furthest: list[int] = []
    for _, end in spans:
        furthest.append(max(end, furthest[-1]) if furthest else end)
    return [start for start, _ in spans], furthest
