"""Write a table of `aisb export` as CSV, as JSON lines, or as Parquet."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias

import orjson

from aisb import AisbError
from aisb.helpers import csv_cell
from aisb_analysis._export_tables import ExportTable

ExportFormat: TypeAlias = Literal["parquet", "csv", "jsonl"]
BATCH = 5000
"""The number of rows that are in memory at once."""


def _batches(rows: Iterable[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    rest = iter(rows)
    while batch := list(islice(rest, BATCH)):
        yield batch


def write_table(table: ExportTable, output: BinaryIO, form: ExportFormat) -> int:
    """Write a table to an open file; return the number of rows.

    Raises:
        AisbError: Parquet is wanted, and pyarrow is not installed.
    """
    return _WRITERS[form](table, output)


def _write_csv(table: ExportTable, output: BinaryIO) -> int:
    count = 0
    output.write(_csv_lines([tuple(table.columns)]))
    for rows in _batches(table.rows):
        output.write(_csv_lines(rows))
        count += len(rows)
    return count


def _csv_lines(rows: Iterable[Sequence[Any]]) -> bytes:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(_csv_cells(row) for row in rows)
    return text.getvalue().encode("utf-8", "replace")


def _csv_cells(row: Iterable[Any]) -> Iterator[object]:
    for value in row:
        yield str(value).lower() if isinstance(value, bool) else csv_cell(value)


def _write_lines(table: ExportTable, output: BinaryIO) -> int:
    count = 0
    names = tuple(table.columns)
    for row in table.rows:
        output.write(orjson.dumps(dict(zip(names, row, strict=True)), option=orjson.OPT_APPEND_NEWLINE))
        count += 1
    return count


def _write_parquet(table: ExportTable, output: BinaryIO) -> int:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise AisbError(
            "--format parquet needs pyarrow, which is not installed\n"
            "  install it: pip install pyarrow\n"
            "  or choose --format csv or jsonl, which need nothing"
        ) from None
    types = {"text": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}
    schema = pa.schema([(name, types[kind]) for name, kind in table.columns.items()])
    count = 0
    with parquet.ParquetWriter(output, schema, compression="zstd") as writer:
        for rows in _batches(table.rows):
            columns = [
                pa.array(values, field.type)
                for values, field in zip(zip(*rows, strict=True), schema, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            count += len(rows)
    return count


_WRITERS: dict[ExportFormat, Callable[[ExportTable, BinaryIO], int]] = {
    "parquet": _write_parquet,
    "csv": _write_csv,
    "jsonl": _write_lines,
}


def write_table_file(table: ExportTable, path: Path, form: ExportFormat) -> int:
    """Write a table to a file, which appears when it is complete; return the number of rows.

    Raises:
        AisbError: Parquet is wanted, and pyarrow is not installed.
        OSError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as output:
            count = write_table(table, output, form)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    return count
