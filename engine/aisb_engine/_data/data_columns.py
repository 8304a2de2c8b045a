"""Find the columns of a user-provided data file: question, reference answer and options."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from aisb._data import DataFile
from aisb._errors import UsageError, did_you_mean
from aisb._readers import column_name
from aisb._types import Row
from aisb_engine._builtin.own_rows import header_of, is_empty, kind_of, raw_rows

QUESTIONS = ("question", "prompt", "messages", "problem", "instruction", "query", "input")
"""Names of the column with the question, in order of preference."""
ANSWERS = (
    "answer", "answers", "reference_answer", "reference", "target", "completion", "response", "output",
    "solution", "label", "answerkey", "correct_answer", "expected_output", "expected", "ground_truth", "gold",
    "golden", "ideal",
)  # fmt: skip
"""Names of the column with the reference answer, in order of preference."""
CHOICES = ("options", "choices", "answer_choices")
"""Names of the column with the list of options."""
_NUMBERED = re.compile(r"(?:option|choice|answer|op)_?([a-z]|\d)")
"""Names of columns that hold one option each, such as `option1` and `choice_a`."""
CONTEXTS = {"instruction": ("input", "context")}
"""Columns that are appended to a question, if they are not empty."""
VERBATIM = frozenset({"prompt", "messages", "instruction"})
"""Columns that already hold a whole prompt, so that nothing is written around them."""
INSPECTED_ROWS = 100
"""The number of rows in which columns are searched."""


@dataclass(frozen=True, slots=True)
class DataColumns:
    """The columns of a file that a user names; None for those that are to be found.

    `question` may name several columns, whose texts are joined. `choices` names the column with the list of
    options, or a column for each of them.
    """

    question: Sequence[str] = ()
    answer: str | None = None
    choices: Sequence[str] = ()


def column_options(file: DataFile, named: DataColumns) -> dict[str, Any]:
    """Return the options of the dataset `custom` for the columns of a file; empty if it has the usual ones.

    Raises:
        UsageError: there is no column for the question, or none with a name that the user gave.
        DataError: the file cannot be read.
    """
    known = {*QUESTIONS, *named.question}
    columns = header_of(file, known)
    rows = list(islice(raw_rows(file, known), INSPECTED_ROWS))
    file.line = file.row = None
    columns = list(dict.fromkeys([*columns, *(name for row in rows for name in row)]))
    if not rows:
        return {}
    question = _columns_of_user(file, columns, "question", named.question) or _question(file, columns, rows)
    options: dict[str, Any] = {}
    if question != ["question"]:
        options["question"] = question if len(question) > 1 else question[0]
    choices = _columns_of_user(file, columns, "choices", named.choices) or _choices(columns, rows)
    if choices and choices != ["options"]:
        options["choices"] = choices if len(choices) > 1 else choices[0]
    taken = [*question, *choices]
    answer = _columns_of_user(file, columns, "answer", [named.answer] if named.answer else [])
    answer = (
        answer
        or _first_column(_filled(columns, rows), ANSWERS, taken)
        or _first_column(columns, ANSWERS, taken)
    )
    if answer and answer != ["answer"]:
        options["answer"] = answer[0]
    return options


def answer_form(rows: Iterable[Row]) -> str | None:
    """Return how the answers of a file name their options, if not by letter or number from 1.

    `text` if every answer is the text of one option, and some are numbers, which could also count options;
    `index` if the answers are numbers from 0.
    """
    texts = indices = numbers = True
    seen = zero = False
    for row in rows:
        options, answer = row.get("options"), row["answer"]
        if not isinstance(options, list) or len(options) < 2 or answer is None:
            continue
        seen, label = True, str(answer).strip()
        texts = texts and [str(option).strip() for option in options].count(label) == 1
        numbers = numbers and label.isdecimal()
        indices = indices and numbers and int(label) < len(options)
        zero = zero or label == "0"
        if not texts and not indices:
            return None
    if not seen or not numbers:
        return None
    return "text" if texts else "index" if indices and zero else None


def columns_line(options: Mapping[str, Any]) -> str | None:
    """Return a line that says which columns of a user-provided file are used; None for the usual ones."""
    parts = [
        f"{role} = {found if isinstance(found, str) else ' + '.join(found)}"
        for role in ("question", "answer", "choices")
        if (found := options.get(role))
    ]
    if form := options.get("answer_is"):
        parts.append({"index": "answers count options from 0", "text": "answers are texts of options"}[form])
    return f"columns: {', '.join(parts)}" if parts else None


def is_verbatim(options: Mapping[str, Any]) -> bool:
    """Return whether the question of a file is a whole prompt, by the name of its column."""
    question = options.get("question", "question")
    first = question if isinstance(question, str) else question[0]
    return _plain(first) in VERBATIM


def _question(file: DataFile, columns: Sequence[str], rows: Sequence[Row]) -> list[str]:
    found = _first_column(columns, QUESTIONS, ())
    if not found:
        raise UsageError(
            f"{file.path}: no column has a usual name for the question ({', '.join(QUESTIONS)})\n"
            f"  its columns: {', '.join(columns)}\n"
            + ("  the first line of a .csv file must name its columns\n" if kind_of(file) == "csv" else "")
            + "  name them with --question COLUMN, --answer COLUMN and, for multiple choice, --choices COLUMN"
        )
    more = _first_column(columns, CONTEXTS.get(_plain(found[0]), ()), found)
    if any(not is_empty(row.get(name)) for name in more for row in rows):
        return [*found, *more]
    return found


def _choices(columns: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Return the column with a list of options, or those that hold one option each; empty without any."""
    if found := _first_column(_filled(columns, rows), CHOICES, ()):
        return found
    numbered = {match[1]: name for name in columns if (match := _NUMBERED.fullmatch(_plain(name)))}
    lettered = {_plain(name): name for name in columns if len(name.strip()) == 1 and name.strip().islower()}
    if len(lettered) > 1 and "".join(sorted(lettered)) == "abcdefghijklmnopqrstuvwxyz"[: len(lettered)]:
        return [lettered[label] for label in sorted(lettered)]
    for labels in ("abcdefghijklmnopqrstuvwxyz", "123456789", "0123456789"):
        several = [numbered[label] for label in labels[: len(numbered)] if label in numbered]
        if len(several) == len(numbered) > 1:
            return several
    return []


def _filled(columns: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Return the columns in which a row has something."""
    return [name for name in columns if any(not is_empty(row.get(name)) for row in rows)]


def _first_column(columns: Sequence[str], names: Iterable[str], taken: Sequence[str]) -> list[str]:
    """Return the column with the first of these names that a file has."""
    by_name = {_plain(column): column for column in reversed(columns) if column not in taken}
    return next(([by_name[name]] for name in names if name in by_name), [])


def _columns_of_user(file: DataFile, columns: Sequence[str], role: str, names: Sequence[str]) -> list[str]:
    """Return the columns that a user named, as the file spells them.

    Raises:
        UsageError: the file has no such column.
    """
    by_name = {_plain(column): column for column in reversed(columns)}
    found = []
    for name in names:
        column = name if name in columns else by_name.get(_plain(name))
        if column is None:
            raise UsageError(
                f"--{role} {name}: {file.path} has no such column{did_you_mean(name, columns)}\n"
                f"  its columns: {', '.join(columns)}"
            )
        found.append(column)
    return found


def _plain(name: str) -> str:
    return column_name(name, 0).lower()
