"""Find where a reply ends and the model continues with another turn: the next question, another example.

A base model does not stop after its answer, and what it writes then must not be read as the answer. Text is
cut only after an answer, so a reply that begins by repeating the question is read completely.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from aisb_engine._replies.marks import Marks, known_marks
from aisb_engine._replies.thoughts import VisibleText, is_named, is_quoted

if TYPE_CHECKING:
    from aisb._types import Sample
    from aisb_engine._spec import PromptTable

OPTIONS = "options"
"""The word of a cut where only the options show that another question begins."""

MAX_CUTS = 24
"""The maximum number of places to try: a looping model repeats the same question hundreds of times."""


class TurnCut(NamedTuple):
    """A place where another turn may begin.

    `word` is the word that begins it. If the place `is_certain`, any answer before it counts, also a guess;
    otherwise only an explicit answer. `restates` tells that the sample's own question is repeated there.
    """

    at: int
    word: str
    is_certain: bool
    restates: bool


@dataclass(frozen=True, slots=True)
class ReplyTurns:
    """How to read replies to a task: the marks in them, and the beginning of its next example.

    With `finds_answer`, an answer is extracted from the text, which ends where another turn begins. Otherwise
    the text is graded as a whole, and only tokens that end a turn cut it. `heads` are the words with which an
    example of the task begins; `lists_choices` tells that its options are on separate lines.
    """

    marks: Marks = field(default_factory=known_marks)
    finds_answer: bool = True
    heads: tuple[str, ...] = ()
    lists_choices: bool = False

    def visible(self, raw: str) -> VisibleText:
        """Return the visible text of a reply, without reasoning, up to a token that ends its turn."""
        text = VisibleText.of(raw, self.marks)
        end = _end_of_turn(text.text, self.marks)
        return text if end is None else text._replace(text=text.text[:end])

    def cuts(self, text: str, sample: Sample) -> list[TurnCut]:
        """Return the places in a visible text where another turn may begin, in order."""
        own = _OwnQuestion(sample)
        found = [*self._turns(text, own), *self._examples(text, own)]
        if self.lists_choices:
            found += _listed_options(text, sample)
        return sorted(found)[:MAX_CUTS]

    def _turns(self, text: str, own: _OwnQuestion) -> Iterator[TurnCut]:
        for match in self.marks.turn.finditer(text):
            number = match["number"] or match["count"] or ""
            word = (match["word"] or match["heading"]).casefold()
            # "Question 1:" begins a part of an answer as often as an example.
            is_certain = number != "1" and word not in self.marks.replies
            yield TurnCut(match.start(), word, is_certain, own.follows(text, match.end()))

    def _examples(self, text: str, own: _OwnQuestion) -> Iterator[TurnCut]:
        for head in self.heads:
            at = text.find(head)
            while at >= 0:
                if not text[text.rfind("\n", 0, at) + 1 : at].strip():
                    yield TurnCut(at, head, is_certain=True, restates=own.follows(text, at + len(head)))
                at = text.find(head, at + len(head))


def example_heads(prompt: PromptTable) -> tuple[str, ...]:
    """Return the words with which a task's next example can begin: those before a field in a line.

    They are the words of the first line, if these identify it, and words of any line that end in a colon.
    """
    template = prompt.user if prompt.shot_user is None else prompt.shot_user
    heads: list[str] = []
    for number, line in enumerate(template.strip().split("\n")):
        head, *fields = _FIELD.split(line, maxsplit=1)
        head = head.strip()
        letters = _letters(head)
        is_long = len(letters) >= _MIN_HEAD_LENGTH // (1 if letters.isascii() else 2)
        is_label = bool(letters and fields) and head.endswith((":", "："))
        if is_label or (number == 0 and is_long):
            heads.append(head)
    return tuple(dict.fromkeys(heads))


_FIELD = re.compile(r"\{[^\W\d][\w.*]*\}")
_MIN_HEAD_LENGTH = 12
_QUESTION = 40
"""The number of letters that identify a question."""
_MIN_QUESTION_LENGTH = 12
_LISTED = re.compile(
    r"(?:\A|\n)[ \t]{0,4}\(?A[.):：、][ \t]?(?P<first>[^\n]{1,400})\n[ \t]{0,4}\(?B[.):：、]"
)


def _end_of_turn(text: str, marks: Marks) -> int | None:
    """Return the position of the first token that ends a turn with any text in it."""
    at = 0  # only such tokens precede this position
    for match in marks.end.finditer(text):
        start, end = match.span()
        if not text[at:start].strip():
            at = end
            continue
        if is_quoted(text, start, end) or is_named(text, start, end):
            continue
        if match[0] == "</s>" and "<s>" in text[:start].lstrip()[1:]:  # struck-through text in HTML
            continue
        return start
    return None


def _listed_options(text: str, sample: Sample) -> Iterator[TurnCut]:
    """Yield the beginning of a question with options of its own that no word announces."""
    own = [_letters(choice) for choice in sample.choices]
    for match in _LISTED.finditer(text):
        first = _letters(match["first"])
        if not first or any(choice and (choice in first or first in choice) for choice in own[:1]):
            continue
        at = text.rfind("\n\n", 0, match.start() + 1)
        at = at if at >= 0 else text.rfind("\n", 0, match.start())
        if at >= 0:
            yield TurnCut(at, OPTIONS, is_certain=False, restates=False)


class _OwnQuestion:
    """Distinguishes the sample's own question from another one."""

    def __init__(self, sample: Sample) -> None:
        self._sample = sample
        self._fields: list[str] | None = None

    def follows(self, text: str, at: int) -> bool:
        """Return whether the sample's question, or its beginning, follows a position in a text."""
        if self._fields is None:
            # A row to be graded may contain the reply itself, which is not the question.
            fields = self._sample.fields.values()
            values = (value for value in fields if isinstance(value, str) and text not in value)
            texts = (_letters(value[:20_000]) for value in values)
            self._fields = [
                one for one in texts if len(one) >= _MIN_QUESTION_LENGTH // (1 if one.isascii() else 2)
            ]
        window = text[at : at + 600]
        following = _letters(window)
        line = _letters(window.lstrip().split("\n", 1)[0])
        long = len(line) >= _MIN_QUESTION_LENGTH // (1 if line.isascii() else 2)
        return any(one[:_QUESTION] in following or (long and line in one) for one in self._fields)


def _letters(text: str) -> str:
    """Return the letters and digits of a text, in lower case."""
    return "".join(filter(str.isalnum, text.casefold()))
