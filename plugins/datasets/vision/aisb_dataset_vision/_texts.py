"""Read TextVQA: questions on the text in an image, with the answers of ten people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from aisb import DataFile, DataFiles, Row, UsageError
from aisb.helpers import read_json, read_jsonl

IMAGE_FOLDER = "train_images"


def textvqa(*, files: DataFiles) -> Iterator[Row]:
    """Rows with `question`, `answers`, `image_path`, of TextVQA's own file or of questions and annotations.

    The images lie in the folder train_images, next to the folder of the questions or in it.
    """
    if len(files.files) == 1:
        for row in read_json(files=files, key="data"):
            name = f"{row.get('image_id')}.jpg"
            yield {**row, "image_path": _image(files.files[0], name)}
        return
    if len(files.files) != 2:
        raise UsageError("path must name one file, or two: the questions, and their annotations")
    questions, annotations = files.files
    answers = _answers(annotations)
    files.current = questions
    for row in read_jsonl(files=DataFiles([questions])):
        found = answers.get(str(row.get("question_id")))
        if found is None:
            raise questions.error(
                f"question_id {row.get('question_id')!r} has no annotation in {annotations.path.name}"
            )
        yield {**row, "answers": found, "image_path": _image(questions, str(row.get("image", "")))}


def _answers(file: DataFile) -> dict[str, list[str]]:
    rows = read_json(files=DataFiles([file]), key="annotations")
    return {
        str(row.get("question_id")): [_answer_text(one) for one in row.get("answers") or ()] for row in rows
    }


def _answer_text(answer: Any) -> str:
    return str(answer.get("answer", "")) if isinstance(answer, Mapping) else str(answer)


def _image(file: DataFile, path: str) -> str:
    """Return where an image lies: paths in the data are those of the machine that it was made on."""
    name = PurePosixPath(path).name
    folder = file.path.parent
    places = (folder / IMAGE_FOLDER, folder.parent / IMAGE_FOLDER, folder)
    return str(next((place / name for place in places if (place / name).is_file()), places[1] / name))
