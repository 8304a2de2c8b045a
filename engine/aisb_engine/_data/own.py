"""Make a task from a user-provided data file: what its rows are, how they are asked and graded."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from aisb._data import DataFile, DataFiles
from aisb._errors import UsageError
from aisb._types import Row

DataType = Literal["mcq", "qa", "media"]
Method = Literal["gen", "ppl"]
ENDINGS = (".jsonl", ".csv", ".jsonl.gz", ".csv.gz")

Grading = Callable[[str], Mapping[str, Any]]
"""Returns `postprocess` and `evaluate` for a kind of answer: `choice`, `number` or `text`."""

_NUMBER = re.compile(r"\s*[-+]?[\d,]*\.?\d+\s*%?\s*")


def own_task(
    path: Path,
    grading: Grading,
    *,
    data_type: str | None = None,
    method: str | None = None,
    meta: Path | None = None,
    beside: Path | None = None,
) -> dict[str, Any]:
    """Return the table of a task that asks the rows of a `.jsonl` or `.csv` file; `grading` is the catalog's.

    What is not said is found: the type from the rows' columns, and the meta file beside the data. With
    `beside`, the folder of the task file, a path below it is written from there.

    Raises:
        UsageError: the file is missing or of another kind, its rows do not fit the type, or a value is none.
    """
    if not path.name.endswith(ENDINGS):
        raise UsageError(f"{path}: a .jsonl or .csv file is wanted")
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file")
    _known("data type", data_type, ("mcq", "qa", "media"))
    _known("infer method", method, ("gen", "ppl"))
    rows = _read(path)
    kind = data_type or _type_of(rows[0])
    needs = {"mcq": "A and B, its options,", "media": "type and path"}.get(kind)
    if needs and kind != _type_of(rows[0]):
        there = ", ".join(name for name, value in rows[0].items() if value is not None)
        raise UsageError(f"{path}: rows of type {kind} have {needs} and these have {there}")
    if method == "ppl" and kind != "mcq":
        raise UsageError(f"{path}: the method ppl compares options, and rows of type {kind} have none")
    table: dict[str, Any] = {
        "summary": f"Rows of {path.name}",
        "source": path.name,
        "dataset": {"use": "custom", "path": _written(path, beside), **_options(path, meta)},
        "sample": {},
        "params": {"max_tokens": 1024},
    }
    drawn = any(name.startswith("output_") for name in table["dataset"])
    if drawn or any(row.get("max_tokens") is not None for row in rows):
        table["sample"]["max_tokens"] = "{max_tokens}"
    if kind == "mcq":
        table |= _multiple_choice(table, grading, ppl=method == "ppl")
    else:
        table |= _open(table, rows, kind, grading)
    return {key: value for key, value in table.items() if value != {}}


def _multiple_choice(table: Mapping[str, Any], grading: Grading, *, ppl: bool) -> dict[str, Any]:
    sample = {"choices": "{options}", "target_letter": "{answer}", **table["sample"]}
    prompt = {"user": "Question: {question}\n{choice_lines}\nAnswer:"}
    graded = grading("choice")
    if ppl:  # options are compared, so no text is read for an answer
        text = {**prompt, "style": "text"}
        return {"mode": "logprob", "sample": sample, "prompt": text, "evaluate": graded["evaluate"]}
    return {"sample": sample, "prompt": prompt, **graded}


def _open(table: Mapping[str, Any], rows: Iterable[Row], kind: str, grading: Grading) -> dict[str, Any]:
    prompt: dict[str, Any] = {"user": "Question: {question}\nAnswer:"}
    if kind == "media":
        prompt = {"user": "{question}", "media": [{"kind": "{type}", "file": "{path}"}]}
    answers = [row["answer"] for row in rows]
    if all(answer is None for answer in answers):
        return {"prompt": prompt}
    numbers = all(not isinstance(answer, list) and _NUMBER.fullmatch(str(answer)) for answer in answers)
    sample = {"target": "{answer}", **table["sample"]}
    return {"sample": sample, "prompt": prompt, **grading("number" if numbers else "text")}


def _read(path: Path) -> list[Row]:
    from aisb_engine._builtin.custom import custom

    rows = list(custom(files=DataFiles([DataFile(path)], str(path))))
    if not rows:
        raise UsageError(f"{path}: there are no rows")
    return rows


def _type_of(row: Row) -> DataType:
    if len(row.get("options") or ()) > 1:
        return "mcq"
    return "media" if row.get("type") and row.get("path") else "qa"


def _options(path: Path, meta: Path | None) -> dict[str, Any]:
    """Return what a meta file says, as options of the dataset `custom`."""
    from aisb_engine._builtin.custom import meta_options

    given = meta is not None
    meta = meta or path.with_name(f"{path.name}.meta.json")
    if not meta.is_file():
        if given:
            raise UsageError(f"{meta}: there is no such file")
        return {}
    try:
        content = json.loads(meta.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UsageError(f"{meta}: not JSON: {error}") from error
    return meta_options(content, str(meta))


def _written(path: Path, beside: Path | None) -> str:
    """Return a path as a task has it: from the task's folder where it is below it, else in full."""
    path = path.resolve()
    if beside is not None and path.is_relative_to(beside.resolve()):
        return f"./{path.relative_to(beside.resolve()).as_posix()}"
    return str(path)


def _known(what: str, value: str | None, known: Iterable[str]) -> None:
    if value is not None and value not in known:
        raise UsageError(f"the {what} is {value!r}, and can be {' or '.join(known)}")
