"""Read rows from JSON lines, JSON and CSV files.

The engine passes the files to a reader, which yields rows. Its other parameters are options in the table
`[dataset]` of a task.
"""

from __future__ import annotations

import json as json_format
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from aisb._data import DataFile, DataFiles
from aisb._errors import DataError, UsageError
from aisb._types import Row

TOO_DEEP = "not JSON: it is nested too deeply"
WHOLE_FILE_HINT = " (a file that is one list: use = 'json')"
HEADER_HINT = "; for a file without a header set columns"


def jsonl(*, files: DataFiles) -> Iterator[Row]:
    """Rows of JSON lines files: one object per line; empty lines are ignored."""
    for file in files:
        for line in file.lines():
            if text := line.strip():
                yield _object(file, _parsed_line(file, text))


def json(
    *,
    files: DataFiles,
    key: Annotated[str | None, "path of the rows in the file, as in `data.examples`"] = None,
) -> Iterator[Row]:
    """Rows of JSON files: a list of objects, or an object of objects whose keys become the field `key`."""
    for file in files:
        try:
            content = json_format.loads(file.text())
        except json_format.JSONDecodeError as error:
            file.line = error.lineno
            more = "; for one object per line write use = 'jsonl'" if error.msg == "Extra data" else ""
            raise _not_json(file, error, more) from error
        except RecursionError as error:
            raise file.error(TOO_DEEP) from error
        file.line = None
        rows = _inside(file, content, key)
        if isinstance(rows, Mapping) and rows and all(isinstance(row, Mapping) for row in rows.values()):
            rows = [{"key": name, **row} for name, row in rows.items()]
        if not isinstance(rows, list):
            names = f" with the keys {', '.join(rows)}" if isinstance(rows, Mapping) else ""
            raise file.error(f"expected a list of rows, found {_kind(rows)}{names}; set its path: key = '…'")
        for file.row, row in enumerate(rows, start=1):
            yield _object(file, row)


def csv(
    *,
    files: DataFiles,
    columns: Annotated[Sequence[str] | None, "names of the columns, for files without a header"] = None,
    delimiter: Annotated[str, "character between two cells"] = ",",
    quote: Annotated[str, "character around a cell with a delimiter or line break; empty: none"] = '"',
    skip: Annotated[int, "lines to skip at the start of a file"] = 0,
) -> Iterator[Row]:
    """Rows of CSV files; in names of the header, characters that templates do not allow become `_`."""
    for option, value in (("delimiter", delimiter), ("quote", quote)):
        if len(value) > 1 or (option == "delimiter" and not value):
            raise UsageError(f"{option} = {value!r} must be one character")
    return _cells(files, columns, delimiter, quote, skip)


def _cells(
    files: DataFiles, columns: Sequence[str] | None, delimiter: str, quote: str, skip: int
) -> Iterator[Row]:
    import csv as csv_format
    import sys

    csv_format.field_size_limit(sys.maxsize)  # long documents exceed the default of 128 kB
    quoting: dict[str, Any] = {"quotechar": quote} if quote else {"quoting": csv_format.QUOTE_NONE}
    for file in files:
        lines = file.lines()
        for _ in range(skip):
            next(lines, None)
        reader = csv_format.reader(lines, delimiter=delimiter, strict=True, **quoting)
        names = list(columns) if columns else None
        first_line = skip + 1
        try:
            for cells in reader:
                if names is None:
                    names = _header(file, cells)
                elif cells:
                    if len(cells) != len(names):
                        raise file.error(_cell_count(cells, names, bool(columns)))
                    yield dict(zip(names, cells, strict=True))
                first_line = skip + reader.line_num + 1
        except csv_format.Error as error:
            file.line = first_line
            raise file.error(
                f"the row that begins here is not CSV: {error}; if quotes are text, set quote = ''"
            ) from error


def _header(file: DataFile, cells: Sequence[str]) -> list[str]:
    names = [column_name(cell, position) for position, cell in enumerate(cells)]
    if twice := {name for name in names if names.count(name) > 1}:
        raise file.error(f"the header has {', '.join(sorted(twice))} more than once")
    return names


def column_name(text: str, position: int) -> str:
    return re.sub(r"\W", "_", text.strip()) or f"column_{position}"


def _cell_count(cells: Sequence[str], names: Sequence[str], has_columns: bool) -> str:
    source, hint = ("columns names", "") if has_columns else ("the header", HEADER_HINT)
    return f"the row has {len(cells)} cells, but {source} {len(names)}: {', '.join(names)}{hint}"


def _parsed_line(file: DataFile, text: str) -> Any:
    try:
        return json_format.loads(text)
    except json_format.JSONDecodeError as error:
        more = ""
        if file.line == 1 and text in {"[", "{"}:
            more = "; the file is a single JSON value: write use = 'json'"
        elif error.pos >= len(text) or error.msg.startswith("Unterminated"):
            more = ": the line is incomplete"
        raise _not_json(file, error, more) from error
    except RecursionError as error:
        raise file.error(TOO_DEEP) from error


def _not_json(file: DataFile, error: json_format.JSONDecodeError, more: str) -> DataError:
    what = error.msg.removesuffix(" at")  # "Unterminated string starting at"
    return file.error(f"not JSON: {what} at column {error.colno}{more}")


def _object(file: DataFile, row: Any) -> Row:
    if not isinstance(row, Mapping):
        hint = WHOLE_FILE_HINT if isinstance(row, list) and file.row is None else ""
        raise file.error(f"expected an object with fields, found {_kind(row)}{hint}")
    return row


def _inside(file: DataFile, content: Any, key: str | None) -> Any:
    for name in key.split(".") if key else ():
        if not isinstance(content, Mapping) or name not in content:
            known = f"the keys are {', '.join(content)}" if isinstance(content, Mapping) else _kind(content)
            raise file.error(f"key = {key!r}: there is no {name!r}; {known}")
        content = content[name]
    return content


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    kinds = {dict: "an object", list: "a list", type(None): "null"}
    return kinds.get(type(value), f"the value {value!r}"[:60])
