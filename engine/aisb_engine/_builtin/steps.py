"""Simple steps from text to text: cut, remove, replace, search. They clean targets, fields and answers.

Each is a factory whose parameters are the options of the step. All take time proportional to the length of
the text, except with user-defined patterns that take longer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from aisb._errors import UsageError
from aisb._evaluator import Postprocessor, finds_answer
from aisb._types import Extract, Sample


@finds_answer
def after(
    *,
    marker: Annotated[str, "text before the answer"],
    which: Annotated[Literal["last", "first"], "which occurrence of the marker to use"] = "last",
    explicit: Annotated[bool, "whether the marker announces the answer"] = True,
) -> Postprocessor:
    """Keep the text after a marker; without the marker there is no answer."""
    _need("marker", marker)

    def step(text: str, _sample: Sample) -> Extract | None:
        at = text.rfind(marker) if which == "last" else text.find(marker)
        if at < 0:
            return None
        start = at + len(marker)
        return Extract(text[start:], "after", (start, len(text)), explicit)

    return step


def before(
    *,
    marker: Annotated[str | Sequence[str], "text, or texts, at which to stop"],
    which: Annotated[Literal["first", "last"], "which occurrence of a marker to use"] = "first",
    leading: Annotated[bool, "also stop at a marker at the beginning, which leaves nothing"] = False,
) -> Postprocessor:
    """Keep the text before a marker; without the marker keep all."""
    markers = [marker] if isinstance(marker, str) else list(marker)
    for one in markers or [""]:
        _need("marker", one)

    def step(text: str, _sample: Sample) -> Extract:
        begin = 0 if leading else len(text) - len(text.lstrip())
        found = [place for one in markers if (place := _place(text, one, begin)) >= 0]
        end = (min(found) if which == "first" else max(found)) if found else len(text)
        return Extract(text[:end], "before", (0, end))

    def _place(text: str, one: str, begin: int) -> int:
        if not leading and text.startswith(one.lstrip(), begin):
            begin += max(len(one.lstrip()), 1)
        return text.find(one, begin) if which == "first" else text.rfind(one, begin)

    return step


def remove(
    *,
    characters: Annotated[str, "characters to remove"] = "",
    text: Annotated[str, "text to remove everywhere"] = "",
    pattern: Annotated[str, "regular expression whose matches to remove"] = "",
) -> Postprocessor:
    """Remove characters, a text, or the matches of a pattern."""
    if not characters and not text and not pattern:
        raise UsageError("set what to remove: characters, text or pattern")
    removed = str.maketrans("", "", characters)
    compiled = _compiled(pattern) if pattern else None

    def step(value: str, _sample: Sample) -> str:
        value = value.translate(removed)
        value = value.replace(text, "") if text else value
        return compiled.sub("", value) if compiled else value

    return step


def replace(
    *,
    old: Annotated[str, "text to replace everywhere"],
    new: Annotated[str, "replacement"],
    pattern: Annotated[bool, "old is a regular expression, and new may name its groups: \\1"] = False,
) -> Postprocessor:
    """Replace a text, or the matches of a pattern, by another text."""
    _need("old", old)
    compiled = _compiled(old) if pattern else None
    if compiled:
        try:
            compiled.sub(new, "")
        except (re.error, IndexError) as error:
            raise UsageError(f"new = {new!r} does not fit the pattern: {error}") from error

    def step(text: str, _sample: Sample) -> str:
        return compiled.sub(new, text) if compiled else text.replace(old, new)

    return step


def map_value(
    *,
    table: Annotated[Mapping[str, str], "replacement of each text"],
    default: Annotated[str | None, "replacement of any other text; by default there is no answer"] = None,
) -> Postprocessor:
    """Replace a whole text by its entry in a table, such as a subject's name or a label's letter."""

    def step(text: str, _sample: Sample) -> str | None:
        return table.get(text, default)

    return step


def strip(
    *, characters: Annotated[str | None, "characters to remove; default: white space"] = None
) -> Postprocessor:
    """Remove white space, or the given characters, at both ends."""

    def step(text: str, _sample: Sample) -> Extract:
        left = text.lstrip(characters)
        start, stripped = len(text) - len(left), left.rstrip(characters)
        return Extract(stripped, "strip", (start, start + len(stripped)))

    return step


def first_line() -> Postprocessor:
    """Keep the first line that is not empty."""

    def step(text: str, _sample: Sample) -> Extract | None:
        start = len(text) - len(text.lstrip())
        end = text.find("\n", start)
        return _line(text, start, end if end >= 0 else len(text), "first-line")

    return step


def last_line() -> Postprocessor:
    """Keep the last line that is not empty."""

    def step(text: str, _sample: Sample) -> Extract | None:
        end = len(text.rstrip())
        return _line(text, text.rfind("\n", 0, end) + 1, end, "last-line")

    return step


@finds_answer
def regex(
    *,
    pattern: Annotated[str, "the regular expression"],
    group: Annotated[int | str | None, "group to keep; default: the first one, or the whole match"] = None,
    which: Annotated[Literal["last", "first"], "which match to use"] = "last",
    ignore_case: Annotated[bool, "ignore the difference between capital and small letters"] = False,
    explicit: Annotated[bool, "whether a match is explicitly marked as the answer"] = False,
) -> Postprocessor:
    """Keep the match of a pattern; `^` and `$` match at the ends of a line."""
    compiled = _compiled(pattern, re.MULTILINE | (re.IGNORECASE if ignore_case else 0))
    kept = group if group is not None else min(compiled.groups, 1)
    if kept not in (*range(compiled.groups + 1), *compiled.groupindex):
        raise UsageError(f"group = {group!r}: the pattern {pattern!r} has {compiled.groups} groups")

    def step(text: str, _sample: Sample) -> Extract | None:
        last = None
        for found in compiled.finditer(text):
            if found[kept] is not None:
                last = found
                if which == "first":
                    break
        return Extract(last[kept], "regex", last.span(kept), explicit) if last else None

    return step


def lower() -> Postprocessor:
    """Convert the text to lower case."""

    def step(text: str, _sample: Sample) -> str:
        return text.lower()

    return step


def strip_reasoning(
    *,
    tags: Annotated[Sequence[str] | None, "names of further tags around reasoning"] = None,
) -> Postprocessor:
    """Remove reasoning, such as `<think>…</think>`; nothing is left after reasoning that is not closed.

    A closing tag alone ends reasoning that began with the text, as with some chat templates. Scoring does the
    same before the first step.
    """
    from aisb_engine._replies.marks import known_marks
    from aisb_engine._replies.thoughts import VisibleText
    from aisb_engine._spec import MarksTable, ThoughtMarks

    if tags is not None and not any(tags):
        raise UsageError("tags must name at least one tag")
    own = [
        ThoughtMarks(open=rf"(?i:<{re.escape(tag)}>)", close=rf"(?i:</{re.escape(tag)}>)", pattern=True)
        for tag in tags or ()
    ]
    marks = known_marks(own=MarksTable(thoughts=own))

    def step(text: str, _sample: Sample) -> Extract | str | None:
        seen = VisibleText.of(text, marks)
        if not seen.text.strip():
            return None
        if len(seen.starts) > 1:
            return seen.text
        return Extract(seen.text, "strip-reasoning", seen.raw((0, len(seen.text))))

    return step


_MARKDOWN: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"^[ \t]{0,3}(?:```|~~~)[^\n`]*$\n?", re.MULTILINE), ""),
    (re.compile(r"^[ \t]{0,3}(?:#{1,6}[ \t]+|>[ \t]?)", re.MULTILINE), ""),
    (re.compile(r"!?\[([^\[\]\n]*)\]\([^()\s]*\)"), r"\1"),
    (re.compile(r"`([^`\n]+)`"), r"\1"),
    (re.compile(r"(?<![A-Za-z0-9*\\])(\*{1,3})(?=[^\s*])([^*\n]+)(?<=\S)\1(?![A-Za-z0-9*])"), r"\2"),
    (re.compile(r"(?<![A-Za-z0-9*\\])(\*{2,3})(?=[^\s*])([^*\n]+)(?<=\S)\1(?!\*)"), r"\2"),
    (re.compile(r"(?<![A-Za-z0-9_\\])(_{1,2})(?=[^\s_])([^_\n]+)(?<=\S)\1(?![A-Za-z0-9_])"), r"\2"),
)


def strip_markdown() -> Postprocessor:
    """Remove Markdown markup (headings, bold, italics, code, links), and keep the marked text."""

    def step(text: str, _sample: Sample) -> str:
        for pattern, kept in _MARKDOWN:
            text = pattern.sub(kept, text)
        return text

    return step


def _line(text: str, start: int, end: int, rule: str) -> Extract | None:
    kept = text[start:end].strip()
    if not kept:
        return None
    start = text.index(kept, start)
    return Extract(kept, rule, (start, start + len(kept)))


def _compiled(pattern: str, flags: int = 0) -> re.Pattern[str]:
    try:
        return re.compile(pattern, flags)
    except re.error as error:
        raise UsageError(f"{pattern!r} is not a regular expression: {error}") from error


def _need(option: str, value: str) -> None:
    if not value:
        raise UsageError(f"{option} must not be empty")
