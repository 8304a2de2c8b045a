"""Read BIG-Bench Hard: the questions of each task, with its examples and its options."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from aisb import DataFiles, Row

_OPTION = re.compile(r"^\(([A-Z])\) (.*)$", re.MULTILINE)
_HEAD = "-----\n"


def bbh(*, files: DataFiles) -> Iterator[Row]:
    """Rows of `{task}.json` files, each with the text of `{task}.txt` as `examples` and its lettered options.

    A notice before a line of dashes is removed.
    """
    texts = {}
    for file in files:
        if file.path.name.removesuffix(".gz").endswith(".txt"):
            text = file.text()
            texts[file.fields.get("task")] = text.split(_HEAD, 1)[-1].strip()
    for file in files:
        if file.path.name.removesuffix(".gz").endswith(".txt"):
            continue
        task = file.fields.get("task")
        try:
            rows = json.loads(file.text())["examples"]
        except (ValueError, KeyError, TypeError) as error:
            raise file.error('not {"examples": [{"input": …, "target": …}]}, the published format') from error
        file.line = None
        if task not in texts:
            raise file.error(f"its examples are missing: there is no {task}.txt among the files")
        for number, row in enumerate(rows, 1):
            file.row = number
            if not isinstance(row, dict) or not {"input", "target"} <= set(row):
                raise file.error("the row must have input and target")
            yield {**row, "examples": texts[task], "options": _options(row["input"]), "row": number}


def _options(question: str) -> list[str] | None:
    """Return the texts of the options (A), (B), …; None if the answer is free."""
    listed = question.rpartition("Options:")[2]
    found = _OPTION.findall(listed)
    if [letter for letter, _ in found] != [chr(65 + n) for n in range(len(found))]:
        return None
    return [text.strip() for _, text in found] or None
