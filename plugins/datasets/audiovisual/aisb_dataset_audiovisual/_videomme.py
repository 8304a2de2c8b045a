"""Read Video-MME: questions with four options on videos, which may have files of subtitles."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

from aisb import DataFile, DataFiles, Row

VIDEOMME_COLUMNS = [
    "video_id", "duration", "domain", "sub_category", "videoID", "question_id", "task_type", "question",
    "options", "answer",
]  # fmt: skip
_TIMES = re.compile(r"\d+:\d+:\d+[,.]\d+ +--> +\d+:\d+:\d+[,.]\d+.*")
_MARKUP = re.compile(r"</?[a-zA-Z][^<>]{0,80}>|\{\\[^{}]{0,40}\}")
_LETTER = re.compile(r"\s*[A-Z][.):]\s*")


def videomme(*, files: DataFiles) -> Iterator[Row]:
    """Rows of Video-MME's table with `options` without letters, and `subtitles`, empty if there are none.

    Files that end in .srt are the subtitles, by the name of their video.
    """
    tables = [file for file in files.files if file.path.suffix != ".srt"]
    subtitle_files = {
        file.path.name.partition(".")[0]: file for file in files.files if file.path.suffix == ".srt"
    }
    for file in tables:
        files.current = file
        for row in _rows(file):
            subtitles = subtitle_files.get(str(row.get("videoID")))
            yield {
                **row,
                "options": [_LETTER.sub("", str(option), count=1) for option in row.get("options") or ()],
                "subtitles": _subtitle_text(subtitles.text()) if subtitles else "",
            }


def _rows(file: DataFile) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(io.BytesIO(file.read()), columns=VIDEOMME_COLUMNS)
    except (pa.ArrowException, KeyError) as error:
        raise file.error(f"not a Parquet file of Video-MME: {error}") from error
    for file.row, row in enumerate(table.to_pylist(), start=1):
        yield row


def _subtitle_text(text: str) -> str:
    """Return the spoken text, one line for each subtitle, without numbers, times and markup."""
    lines = []
    for block in re.split(r"\r?\n\s*\r?\n", text.strip()):
        words = [line.strip() for line in block.splitlines()]
        at = next((number for number, line in enumerate(words) if _TIMES.fullmatch(line)), -1)
        spoken = _MARKUP.sub("", " ".join(words[at + 1 :])).strip()
        if spoken:
            lines.append(spoken)
    return "\n".join(lines)
