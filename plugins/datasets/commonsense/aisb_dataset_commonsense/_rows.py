"""Read rows with labels in a separate file, and the answers of TruthfulQA with their labels."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from typing import Any

from aisb import DataFile, DataFiles, Row
from aisb.helpers import read_json, read_jsonl


def jsonl_labels(*, files: DataFiles) -> Iterator[Row]:
    """Rows of a JSON lines file with the field `label` from a second file, which has one label per line."""
    if len(files.files) != 2:
        from aisb import UsageError

        raise UsageError("path must name two files: the rows, and their labels")
    rows_file, labels_file = files.files
    labels = [line.strip() for line in labels_file.lines() if line.strip()]
    rows = DataFiles([rows_file])
    count = 0
    files.current = rows_file
    for row in read_jsonl(files=rows):
        if count == len(labels):
            raise labels_file.error(f"it has {count} labels, and {rows_file.path.name} has more rows")
        yield {**row, "label": labels[count]}
        count += 1
    if count < len(labels):
        raise labels_file.error(f"it has {len(labels)} labels, and {rows_file.path.name} has {count} rows")


def truthfulqa_rows(*, files: DataFiles) -> Iterator[Row]:
    """Rows of TruthfulQA: in `mc1` and `mc2` the `choices`, and in `letters` those that are true."""
    for row in read_json(files=files):
        fields = {
            name: _answers(files.current, row.get(f"{name}_targets"), f"{name}_targets")
            for name in ("mc1", "mc2")
        }
        yield {"question": row["question"], **fields}


def _answers(file: DataFile | None, targets: Any, name: str) -> dict[str, list[str]]:
    wrong = not isinstance(targets, Mapping) or not targets or not set(targets.values()) <= {0, 1}
    if wrong and file:
        raise file.error(
            f"{name} must be an object of answers, each with 1 (true) or 0, and is {targets!r}"[:300]
        )
    letters = [letter for letter, true in zip(string.ascii_uppercase, targets.values(), strict=False) if true]
    return {"choices": list(targets), "letters": letters}
