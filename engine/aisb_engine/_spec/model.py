"""A model file: a backend with its options, and the marks that the model leaves in its replies."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from aisb_engine._spec.table import Table


def _compile(text: str) -> None:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from error


class ThoughtMarks(Table):
    """The marks around a model's reasoning: texts, or regular expressions if `pattern` is true.

    With `alone`, a closing mark without an opening one ends reasoning that began with the reply. Everything
    before the mark `answer` is reasoning. With `element`, the names of the marks are also known as XML
    elements.
    """

    open: Annotated[str, Field(min_length=1)]
    close: Annotated[str, Field(min_length=1)]
    answer: str | None = None
    pattern: bool = False
    alone: bool = True
    element: bool = False

    @model_validator(mode="after")
    def _patterns_can_be_compiled(self) -> ThoughtMarks:
        for text in (self.open, self.close, self.answer or "") if self.pattern else ():
            _compile(text)
        return self


class BeginMark(Table):
    """A mark at the beginning of a reply or its answer, which is removed."""

    mark: Annotated[str, Field(min_length=1)]
    pattern: bool = False

    @model_validator(mode="after")
    def _pattern_can_be_compiled(self) -> BeginMark:
        if self.pattern:
            _compile(self.mark)
        return self


class EndMarks(Table):
    """Tokens that end a turn or begin another one."""

    marks: list[Annotated[str, Field(min_length=1)]] = []


class TurnWords(Table):
    """Words that begin a turn when they stand at the beginning of a line, in any case: `user`, `question`.

    `replies` begin a turn of the model itself, such as `assistant`.
    """

    words: list[Annotated[str, Field(min_length=1)]] = []
    replies: list[Annotated[str, Field(min_length=1)]] = []


class MarksTable(Table):
    """The marks that a model leaves in its replies. They are added to the marks that aisb knows."""

    thoughts: list[ThoughtMarks] = []
    begins: list[BeginMark] = []
    ends: EndMarks = EndMarks()
    turns: TurnWords = TurnWords()


class Model(Table):
    """A backend with its options under a name. `params` are the model's own generation parameters.

    `tokenizer` is the folder of the model's tokenizer, which counts tokens if the service does not.
    """

    name: str
    summary: str = ""
    backend: str
    abbr: str
    options: dict[str, Any] = {}
    system: str | None = None
    tokenizer: str | None = None
    marks: MarksTable = MarksTable()
    file: Path | None = Field(default=None, exclude=True)
