"""Read Video-Bench: questions of ten sets, a separate file of answers, and the path of each video."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from string import ascii_uppercase
from typing import Any

from aisb import DataFile, DataFiles, Row, UsageError

OPTION_COUNTS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}


def videobench(*, files: DataFiles) -> Iterator[Row]:
    """Rows with `question`, `options`, `options_text`, `answer` and `video`; ANSWER.json has the answers."""
    answer_files = [file for file in files.files if file.path.name.startswith("ANSWER")]
    if len(answer_files) != 1 or len(files.files) < 2:
        raise UsageError("path must name the files of questions, and ANSWER.json")
    answers = _object(answer_files[0])
    for file in files.files:
        if file is answer_files[0]:
            continue
        files.current = file
        rows = _object(file)
        for file.row, (key, row) in enumerate(rows.items(), start=1):
            yield _row(file, key, row, answers)


def _row(file: DataFile, key: str, row: Any, answers: Mapping[str, Any]) -> Row:
    path = str(row.get("vid_path", "")) if isinstance(row, Mapping) else ""
    named = PurePosixPath(path).parent.name
    found = answers.get(named, {}).get(key)
    if isinstance(found, Mapping):
        found = found.get("answer")
    if not path or found is None:
        raise file.error(f"{key}: ANSWER.json has no answer for it under {named!r}")
    options = [
        str(row["choices"][one]) for one in ascii_uppercase if row.get("choices", {}).get(one) is not None
    ]
    return {
        "question_id": key,
        "question": str(row.get("question", "")),
        "options": options,
        "options_text": _options_text(options),
        "answer": str(found),
        "video": str(_video(file.path.parent, path)),
    }


def _options_text(options: list[str]) -> str:
    """Return the options in Video-Bench's format."""
    letters = ascii_uppercase[: len(options)]
    text = "".join(f"{letter}.{option} " for letter, option in zip(letters, options, strict=True))
    count = OPTION_COUNTS.get(len(options), str(len(options)))
    begin, end = "Choices: " if len(options) == 6 else " ", " " if len(options) in {2, 3, 5} else ""
    return (
        f"{begin}{text}\n Among the {count} options {', '.join(letters)} above, "
        f"the one closest to the correct answer is:{end}"
    )


def _video(folder: Path, path: str) -> Path:
    """Return the path of a video below the questions' folder; paths in the data have another beginning."""
    parts = [part for part in PurePosixPath(path).parts if part not in {"/", ".", ".."}]
    places = [folder.joinpath(*parts[at:]) for at in range(len(parts))]
    return next((place for place in places if place.is_file()), places[-1])


def _object(file: DataFile) -> Mapping[str, Any]:
    try:
        found = json.loads(file.text())
    except ValueError as error:
        raise file.error(f"not JSON: {error}") from error
    file.line = None
    if not isinstance(found, Mapping):
        raise file.error("expected an object with questions or answers")
    return found
