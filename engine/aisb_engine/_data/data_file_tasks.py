"""Make a task from a user-provided data file: its rows, its prompt and its grading."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from aisb._data import DataFile, DataFiles
from aisb._errors import UsageError
from aisb._types import Row, Sample
from aisb_engine._builtin.custom import LETTERS, answer_kind
from aisb_engine._data.data_columns import DataColumns, answer_form, column_options, is_verbatim
from aisb_engine._resolve.names import safe_name

if TYPE_CHECKING:
    from aisb_engine._data.loading import LoadedSamples
    from aisb_engine._data.samples import BrokenRow
    from aisb_engine._resolve.catalog import Catalog
    from aisb_engine._spec import Task

DataType = Literal["mcq", "qa", "media"]
Method = Literal["gen", "ppl"]
DATA_SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".jsonl.gz", ".json.gz", ".csv.gz", ".tsv.gz")

Grading = Callable[[str], Mapping[str, Any]]
"""Returns the tables `postprocess` and `evaluate` for a kind of answer: `choice`, `number` or `text`."""

DERIVED_FIELDS = frozenset({"answer_kind", "gold", "option_lines"})
MAX_NAMED_ROWS = 8
"""The number of rows without an answer that a note names."""
LONG_ANSWER = 100
"""The number of characters above which a reference answer is hardly ever repeated to the letter."""


def task_from_data_file(
    path: Path,
    grading: Grading,
    *,
    data_type: str | None = None,
    method: str | None = None,
    meta: Path | None = None,
    beside: Path | None = None,
    columns: DataColumns | None = None,
) -> dict[str, Any]:
    """Return the table of a task for the rows of a data file; `grading` is the catalog's.

    The file is JSON lines, JSON, CSV or Parquet. Without `columns`, its columns are found by their names.
    Without `data_type` the columns of the rows determine it, and a meta file is searched next to the data.
    With `beside`, the folder of the task file, paths inside it are written relative to it.

    Raises:
        UsageError: the file is missing or of another kind, it has no column for the question, its rows do not
            fit the type, or a value is invalid.
    """
    if not is_data_file(path.name):
        raise UsageError(f"{path}: expected a .jsonl, .json, .csv or .parquet file")
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file")
    _known("data type", data_type, ("mcq", "qa", "media"))
    _known("infer method", method, ("gen", "ppl"))
    mapped = column_options(DataFile(path), columns or DataColumns())
    rows = _read(path, mapped)
    if form := answer_form(rows):
        mapped["answer_is"] = form
        rows = _read(path, mapped)
    kind = _data_type(rows, path, data_type, method)
    table: dict[str, Any] = {
        "summary": f"Rows of {path.name}",
        "source": path.name,
        "dataset": {"use": "custom", "path": _written(path, beside), **mapped, **_options(path, meta)},
        "sample": {},
        "params": {"max_tokens": 1024},
    }
    drawn = any(name.startswith("output_") for name in table["dataset"])
    if drawn or any(row.get("max_tokens") is not None for row in rows):
        table["sample"]["max_tokens"] = "{max_tokens}"
    answered = [row for row in rows if row["answer"] is not None]
    if answered and len(answered) < len(rows):
        table["sample"]["require_target"] = True
    ppl = method == "ppl"
    if kind == "mcq":
        if answered and any(_is_other_form(row) for row in answered):
            _check_letters(rows, path)
            target = {"target_letter": "{gold}"}
        else:
            target = {"target_letter": "{answer}"} if answered else {}
        table |= _multiple_choice(table, grading, target, ppl=ppl)
    else:
        table |= _open(table, answered, kind, grading)
        table["prompt"] = _own_prompt(table["prompt"], rows, kind, mapped)
    return {key: value for key, value in table.items() if value != {}}


def tasks_from_data_files(
    names: Iterable[str | Path],
    catalog: Catalog,
    *,
    taken: Iterable[str] = (),
    data_type: str | None = None,
    method: str | None = None,
    meta: Path | None = None,
    columns: DataColumns | None = None,
) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Return names of tasks, with data files replaced by tasks made from them, and the tables of these.

    A `Path` is always a data file; a text is one if it ends like one. A task has the name of its file without
    the suffix, with `-custom` if it is among `taken` or the tasks that are installed. For the other arguments
    see `task_from_data_file`.

    Raises:
        UsageError: no task can be made from a file.
    """
    found: list[str] = []
    tables: dict[str, dict[str, Any]] = {}
    known: set[str] | None = None
    for name in names:
        if isinstance(name, str) and not is_data_file(name):
            found.append(name)
            continue
        path = Path(name).expanduser()
        table = task_from_data_file(
            path, catalog.grading, data_type=data_type, method=method, meta=meta, columns=columns
        )
        if known is None:
            known = {entry.name for entry in catalog.entries("task")} | {*catalog.aliases, *taken}
        stem = safe_name(path.name.partition(".")[0])
        stem = f"{stem}-custom" if stem in known else stem
        numbered = (f"{stem}-{number}" for number in count(2))
        own = next(one for one in chain([stem], numbered) if one not in tables)
        tables[own] = table
        found.append(own)
    return found, tables


def is_data_file(name: str) -> bool:
    """Return whether a name is that of a data file from which a task can be made."""
    return name.lower().endswith(DATA_SUFFIXES)


def _is_other_form(row: Row) -> bool:
    """Return whether an answer names its option in another way than by its letter, or its number from 1."""
    label = str(row["answer"]).strip().strip("().").upper()
    plain = (
        LETTERS.find(label) + 1
        if len(label) == 1 and label in LETTERS
        else int(label)
        if label.isdecimal()
        else 0
    )
    return not (1 <= plain <= len(LETTERS) and row["gold"] == LETTERS[plain - 1])


def _own_prompt(
    prompt: Mapping[str, Any], rows: Sequence[Row], kind: str, mapped: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the prompt of open questions; that of a file with whole prompts or conversations is its own."""
    if any("followups" in row for row in rows):
        without = next((number for number, row in enumerate(rows, 1) if "followups" not in row), None)
        if without is not None:
            raise UsageError(
                f"row {without} is not a conversation, but others are: a file has one kind of rows"
            )
        own: dict[str, Any] = {"user": "{question}"}
        if any(row["system"] for row in rows):
            own["system"] = "{system}"
        if any(row["followups"] for row in rows):
            own |= {"followups": "{followups}", "replies": "{replies}", "conversation": "last"}
        return own
    if kind == "qa" and is_verbatim(mapped):
        return {**prompt, "user": "{question}"}
    return dict(prompt)


def _data_type(rows: Sequence[Row], path: Path, data_type: str | None, method: str | None) -> str:
    """Return the type of a file's rows: the requested one, else the one that the columns determine.

    Raises:
        UsageError: a row lacks a column that the type needs.
    """
    kind = data_type or _type_of(rows[0])
    needs = {"mcq": "A and B, its options,", "media": "type and path"}.get(kind)
    if needs and kind != _type_of(rows[0]):
        there = ", ".join(
            name for name, value in rows[0].items() if value is not None and name not in DERIVED_FIELDS
        )
        raise UsageError(f"{path}: rows of type {kind} have {needs} but these have {there}")
    if method == "ppl" and kind != "mcq":
        raise UsageError(f"{path}: the method ppl compares options, but rows of type {kind} have none")
    if kind in {"mcq", "qa"}:
        without = [position for position, row in enumerate(rows) if _type_of(row) != "mcq"]
        if kind == "mcq" and without and (data_type or method == "ppl"):
            raise UsageError(f"{path}: rows of type mcq have options, but row {without[0] + 1} has none")
        if not data_type and 0 < len(without) < len(rows):
            _check_letters(rows, path)
            return "mixed"
    return kind


def _check_letters(rows: Iterable[Row], path: Path) -> None:
    """Refuse a row whose answer is not one of its options."""
    for position, row in enumerate(rows, 1):
        if row["answer_kind"] == "choice" and row["gold"] not in list(LETTERS[: len(row["options"])]):
            raise UsageError(
                f"{path}: the answer of row {position} is {row['gold']!r}, which is not one of its options"
            )


def _multiple_choice(
    table: Mapping[str, Any], grading: Grading, target: Mapping[str, str], *, ppl: bool
) -> dict[str, Any]:
    graded = bool(target)
    sample = {"choices": "{options}", **target, **table["sample"]}
    prompt = {"user": "Question: {question}\n{choice_lines}\nAnswer:"}
    rules = grading("choice") if graded else {}
    if ppl:  # options are compared, so no answer is extracted from a text
        text = {**prompt, "style": "text"}
        rules = {"evaluate": rules["evaluate"]} if graded else {}
        return {"mode": "logprob", "sample": sample, "prompt": text, **rules}
    return {"sample": sample, "prompt": prompt, **rules}


def _open(table: Mapping[str, Any], answered: Sequence[Row], kind: str, grading: Grading) -> dict[str, Any]:
    """Return the prompt and grading of open questions; in a file of type `mixed` some have options."""
    prompt: dict[str, Any] = {"user": "Question: {question}\nAnswer:"}
    if kind == "media":
        prompt = {"user": "{question}", "media": [{"kind": "{type}", "file": "{path}"}]}
    choices = {}
    if kind == "mixed":
        prompt = {"user": "Question: {question}\n{option_lines}Answer:"}
        choices = {"choices": "{options}"}
    if not answered:
        return {"prompt": prompt, **({"sample": {**choices, **table["sample"]}} if choices else {})}
    target = "{gold}" if kind == "mixed" else "{answer}"
    sample = {**choices, "target": target, **table["sample"]}
    open_kinds = {answer_kind(row["answer"], None) or "text" for row in answered}
    kinds = {row["answer_kind"] for row in answered} if kind == "mixed" else open_kinds
    if kind != "mixed" and any(row["answer_kind"] == "choice" for row in answered):
        # The user asks rows with options without them, so the kind of a single row does not apply.
        kinds = {"number"} if open_kinds == {"number"} else {"text"}
    return {"sample": sample, "prompt": prompt, **_graded_by_row(sorted(kinds), grading)}


def _graded_by_row(kinds: Sequence[str], grading: Grading) -> dict[str, Any]:
    """Return the grading for these kinds of answers; with several kinds, each row by its own rules."""
    if len(kinds) == 1:
        return dict(grading(kinds[0]))
    graded: dict[str, list[Any]] = {"postprocess": [], "evaluate": []}
    for kind in kinds:
        for key, uses in grading(kind).items():
            graded[key] += [{**use, "only": {"answer_kind": kind}} for use in uses]
    return graded


def grading_line(
    task: Task, loaded: LoadedSamples, chosen: Iterable[Sample | BrokenRow], *, judged: bool
) -> str | None:
    """Return a line with the number of chosen rows by kind of grading, and the rows that are not sent.

    `judged` tells that a model grades some of them.

    None for tasks that are not made from a user's file, and for files without any answer.
    """
    if task.dataset.use != "custom" or not task.evaluate:
        return None
    fields = [row.fields for row in chosen if isinstance(row, Sample)]
    parts, doubt = [], ""
    for use in task.evaluate:
        matching = [row for row in fields if use.fits(row)]
        kind = use.only.get("answer_kind") or _kind_of_all(task, matching)
        parts.append(f"{len(matching):,} {kind} answer{'s' if len(matching) != 1 else ''} by {use.use}")
        if kind == "text" and not judged and (long := sum(map(_is_long, matching))):
            doubt = (
                f"; {long:,} reference {'answers are' if long > 1 else 'answer is'} long, and hardly any "
                "reply has the same letters: --judge NAME grades by meaning"
            )
    line = f"graded: {', '.join(parts)}{doubt}"
    without = [row.id for row in loaded.samples if row.fields.get("answer_kind") is None]
    if not without or not task.sample.require_target:
        return line
    ids = ", ".join(without[:MAX_NAMED_ROWS]) + (", …" if len(without) > MAX_NAMED_ROWS else "")
    several = "rows have no answer and are" if len(without) > 1 else "row has no answer and is"
    return f"{line}; {len(without):,} {several} not sent: {ids}"


def _is_long(row: Row) -> bool:
    """Return whether the reference answer of a row is a text of more than a short sentence."""
    gold = row.get("gold")
    return isinstance(gold, str) and len(gold) > LONG_ANSWER


def _kind_of_all(task: Task, rows: Iterable[Row]) -> str:
    """Return the kind of the answers of a file if all have the same."""
    if task.sample.choices:
        return "choice"
    return "number" if {row.get("answer_kind") for row in rows} == {"number"} else "text"


def _read(path: Path, mapped: Mapping[str, Any]) -> list[Row]:
    from aisb_engine._builtin.custom import custom

    rows = list(custom(files=DataFiles([DataFile(path)], str(path)), **mapped))
    if not rows:
        raise UsageError(f"{path}: there are no rows")
    return rows


def _type_of(row: Row) -> DataType:
    if len(row.get("options") or ()) > 1:
        return "mcq"
    return "media" if row.get("type") and row.get("path") else "qa"


def _options(path: Path, meta: Path | None) -> dict[str, Any]:
    """Return the options of the dataset `custom` that a meta file sets."""
    from aisb_engine._builtin.custom import meta_options

    has_meta = meta is not None
    meta = meta or path.with_name(f"{path.name}.meta.json")
    if not meta.is_file():
        if has_meta:
            raise UsageError(f"{meta}: there is no such file")
        return {}
    try:
        content = json.loads(meta.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise UsageError(f"{meta}: not JSON: {error}") from error
    return meta_options(content, str(meta))


def _written(path: Path, beside: Path | None) -> str:
    """Return a path as it is written in a task: relative if it is in the task's folder, else absolute."""
    path = path.resolve()
    if beside is not None and path.is_relative_to(beside.resolve()):
        return f"./{path.relative_to(beside.resolve()).as_posix()}"
    return str(path)


def _known(what: str, value: str | None, known: Iterable[str]) -> None:
    if value is not None and value not in known:
        raise UsageError(f"the {what} is {value!r}, but must be {' or '.join(known)}")
