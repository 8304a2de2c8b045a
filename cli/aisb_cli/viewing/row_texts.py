"""The texts of a row in the browser of samples: short forms of questions, answers and reference answers."""

from __future__ import annotations

import os.path
from collections.abc import Iterable
from typing import Any, Protocol

import orjson

SHORT = 80
"""Characters of an answer in a row."""
BEGINS = 90
"""Characters of a question in a row."""
COMPARED_PROMPTS = 50
"""Of so many prompts of a task the common beginning is taken, which rows leave out."""


class HasBeginning(Protocol):
    """A row: `begins` is the beginning of its question."""

    begins: str


class Questions:
    """Sets the beginnings of questions in rows, without the words that all questions of a task begin with.

    The common beginning is taken from the first questions, so that the others need not be kept.
    """

    def __init__(self) -> None:
        self._first: list[tuple[HasBeginning, str]] = []
        self._common: str | None = None

    def add(self, entry: HasBeginning, question: str) -> None:
        """Set the beginning of a question, or keep it until enough questions are known."""
        if self._common is not None:
            self._set(entry, question)
            return
        self._first.append((entry, question))
        if len(self._first) == COMPARED_PROMPTS:
            self.finish()

    def finish(self) -> None:
        """Set the beginnings of the questions that were kept."""
        if self._common is None:
            self._common = _common_beginning([question for _, question in self._first])
        for entry, question in self._first:
            self._set(entry, question)
        self._first.clear()

    def _set(self, entry: HasBeginning, question: str) -> None:
        text = question.removeprefix(self._common or "")
        entry.begins = " ".join(text[: 4 * BEGINS].split())[:BEGINS]


def _common_beginning(questions: Iterable[str]) -> str:
    """Return what different questions have in common at their beginning, up to the end of a word."""
    some = list(dict.fromkeys(questions))
    if len(some) < 2:
        return ""
    common = os.path.commonprefix(some)  # noqa: RUF071 - of texts, not of paths
    return common[: max(common.rfind(" "), common.rfind("\n")) + 1]


def question_of(prompt: Any) -> str:
    """Return the text that was asked last."""
    from aisb_reporter_html import turns

    return next((text for _, text in reversed(turns(prompt)) if text.strip()), "")


def as_text(value: Any) -> str | None:
    """Return any value as text; None stays None."""
    if value is None:
        return None
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()


def shorten(value: Any) -> str | None:
    """Return any value as one short line; None stays None."""
    text = as_text(value)
    if text is None:
        return None
    line = " ".join(text[: 8 * SHORT].split())
    return line if len(line) <= SHORT else line[:SHORT] + "…"
