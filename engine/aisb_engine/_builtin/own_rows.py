"""Read the rows of user-provided data files: JSON lines, JSON, CSV, Parquet, and conversations."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from aisb._data import DataFile, DataFiles
from aisb._readers import column_name, csv, json, jsonl
from aisb._types import Row

DELIMITERS = (",", ";", "\t")


def kind_of(file: DataFile) -> str:
    """Return the format of a file by its name: `jsonl`, `json`, `csv` or `parquet`."""
    suffix = file.path.name.removesuffix(".gz").rpartition(".")[2].lower()
    return {"tsv": "csv", "ndjson": "jsonl"}.get(suffix, suffix)


def raw_rows(file: DataFile, known: Collection[str]) -> Iterator[Row]:
    """Yield the rows of one file. `known` are names of columns, which show the delimiter of a CSV file.

    Raises:
        DataError: the file cannot be read, or is not of its format.
        PluginError: it is a Parquet file, and pyarrow is not installed.
    """
    one, kind = DataFiles([file]), _written_kind(file)
    if kind == "parquet":
        from aisb_engine._builtin.tables import parquet

        return parquet(files=one)
    if kind == "json":
        return json(files=one, key=_key_of_rows(file))
    if kind == "csv":
        return csv(files=one, delimiter=_delimiter(file, known))
    return jsonl(files=one)


def _written_kind(file: DataFile) -> str:
    """Return the format of a file by its name; a JSON file may hold a row per line, or the reverse."""
    kind = kind_of(file)
    if kind not in {"json", "jsonl"}:
        return kind
    import json as json_format

    filled = (line.strip() for line in file.lines() if line.strip())
    first, second = next(filled, "").lstrip("\ufeff"), next(filled, "")
    file.line = file.row = None
    if kind == "jsonl":
        return "json" if first.startswith("[") else kind
    if not (first.startswith("{") and second.startswith("{")):
        return kind
    try:
        json_format.loads(first)
    except (ValueError, RecursionError):
        return kind
    return "jsonl"


def header_of(file: DataFile, known: Collection[str]) -> list[str]:
    """Return the columns in the header of a CSV file; empty for other formats."""
    if kind_of(file) != "csv":
        return []
    cells = _header(file).split(_delimiter(file, known))
    return [column_name(cell.strip().strip('"'), at) for at, cell in enumerate(cells)]


def is_empty(value: Any) -> bool:
    """Return whether a cell is empty: no text, white space, NaN, or a list of empty elements."""
    if isinstance(value, float) and value != value:  # noqa: PLR0124 - NaN is how tables write an empty cell
        return True
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


def is_conversation(value: Any) -> bool:
    """Return whether the value of a column is a list of turns, each with a role."""
    return (
        isinstance(value, list) and bool(value) and all(isinstance(t, Mapping) and "role" in t for t in value)
    )


def conversation(turns: Sequence[Mapping[str, Any]], file: DataFile) -> dict[str, Any]:
    """Return the fields of a conversation, whose last user turn is the question to answer.

    `question` is the first user turn, `followups` are the later ones, and `replies` the turns of the
    assistant between them. If the assistant has the last turn, it is the reference answer `answer`.

    Raises:
        DataError: the turns do not alternate, or one is not a text.
    """
    said = [(str(turn["role"]), _text(turn.get("content"), file)) for turn in turns]
    system = "\n\n".join(text for role, text in said if role in {"system", "developer"})
    said = [(role, text) for role, text in said if role not in {"system", "developer"}]
    for at, (role, _) in enumerate(said):
        if role != ("user", "assistant")[at % 2]:
            raise file.error(
                f"turn {at + 1} of the conversation is of {role!r}; user and assistant alternate"
            )
    if not said:
        raise file.error("the conversation has no turn of the user")
    texts = [text for _, text in said]
    answer = {"answer": texts.pop()} if len(texts) % 2 == 0 else {}
    first, *later = texts
    return {"system": system, "question": first, "followups": later[1::2], "replies": later[::2], **answer}


def listed(value: Any) -> list[Any] | None:
    """Return the list in a cell; also if a CSV file has it as the text of a list. None if it is none."""
    if isinstance(value, str) and value.strip().startswith("["):
        import ast
        import json as json_format

        for parse in (json_format.loads, ast.literal_eval):
            try:
                value = parse(value)
                break
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
    return list(value) if isinstance(value, list | tuple) else None


def _text(content: Any, file: DataFile) -> str:
    """Return the content of a turn, a text or a list of parts that are texts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = [part.get("text") if isinstance(part, Mapping) else None for part in content]
        if texts and all(isinstance(text, str) for text in texts):
            return "\n".join(map(str, texts))
    raise file.error("a turn of the conversation has no text as its content")


def _key_of_rows(file: DataFile) -> str | None:
    """Return the key of a JSON file under which its rows are, if it is an object with one list of objects."""
    import json as json_format

    try:
        content = json_format.loads(file.text())
    except (ValueError, RecursionError):  # the reader names what is wrong, and where
        return None
    if not isinstance(content, Mapping):
        return None
    lists = [
        key
        for key, value in content.items()
        if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value)
    ]
    return lists[0] if len(lists) == 1 and "." not in lists[0] else None


def _header(file: DataFile) -> str:
    return next(file.lines(), "").lstrip("\ufeff").rstrip("\r\n")


def _delimiter(file: DataFile, known: Collection[str]) -> str:
    """Return the delimiter of a CSV file: the one that gives a known column, or the most cells."""
    header = _header(file)
    wanted = {column_name(name, 0).lower() for name in known}
    for mark in DELIMITERS:
        if wanted & {column_name(cell.strip().strip('"'), 0).lower() for cell in header.split(mark)}:
            return mark
    return max(DELIMITERS, key=header.count)
