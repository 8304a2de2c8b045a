"""Read questions with and without options, each with its own prompt: MMMU, MMMU-Pro, MathVision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from aisb import DataError, DataFiles, Row
from aisb.helpers import Template
from aisb_dataset_vision._options import MAX_OPTIONS, lettered, parse_list
from aisb_dataset_vision._parquet import parquet_rows

IMAGE_COLUMNS = 7
"""The columns image_1 to image_7 are there in every row, empty if a row has fewer."""


def image_questions(
    *,
    files: DataFiles,
    choice_prompt: Annotated[str, "prompt template of a question with options"],
    open_prompt: Annotated[str | None, "prompt template without options; default: refuse such rows"] = None,
    choice_line: Annotated[str, "template of one option in {choice_lines}"] = "{letter}) {choice}",
) -> Iterator[Row]:
    """Rows of Parquet files with the fields `prompt`, `options`, `answer` and `kind`: choice or open.

    Options may be a list, or a text that contains one. Prompts can use `{choice_lines}` and `{letters}` in
    addition to the row's own fields.
    """
    templates = {"choice": Template(choice_prompt, "choice_prompt")}
    if open_prompt is not None:
        templates["open"] = Template(open_prompt, "open_prompt")
    line = Template(choice_line, "choice_line")
    for row in parquet_rows(files):
        yield _question_row(files, row, templates, line)


def _question_row(
    files: DataFiles, row: Mapping[str, Any], templates: Mapping[str, Template], line: Template
) -> Row:
    options = parse_list(row.get("options"))
    kind = "choice" if options and row.get("question_type") != "open" else "open"
    if kind not in templates:
        raise DataError(f"{files.position}: the row has no options, and open_prompt is not set")
    if len(options) > MAX_OPTIONS:
        raise DataError(f"{files.position}: {len(options)} options, but there are only {MAX_OPTIONS} letters")
    letters = lettered(options)
    lines = [
        line.render({"letter": letter, "choice": option})
        for letter, option in zip(letters.split(","), options, strict=False)
    ]
    fields = {
        **{f"image_{number}": None for number in range(1, IMAGE_COLUMNS + 1)},
        **row,
        "question": str(row.get("question") or "").strip(),
    }
    fields["prompt"] = templates[kind].render(
        {**fields, "letters": letters, "choice_lines": "\n".join(lines)}
    )
    answers = (
        [_letter(str(row.get("answer") or ""), options)]
        if kind == "choice"
        else parse_list(row.get("answer"))
    )
    return {**fields, "kind": kind, "options": options or None, "answer": answers}


def _letter(answer: str, options: list[str]) -> str:
    """Return the letter of the right option, which some rows of MathVision give by its text."""
    answer = answer.strip()
    if len(answer) == 1 and answer.upper() in lettered(options):
        return answer.upper()
    same = [at for at, option in enumerate(options) if option.strip() == answer]
    return lettered(options).split(",")[same[0]] if len(same) == 1 else answer
