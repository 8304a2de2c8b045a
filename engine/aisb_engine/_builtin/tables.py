"""Read rows from TSV and Parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Annotated, Any

from aisb import DataFiles, PluginError, Row
from aisb._readers import column_name, csv

ROWS_AT_ONCE = 256
"""A small number, since a batch of rows with images must fit into memory together with its file."""


def tsv(
    *,
    files: DataFiles,
    columns: Annotated[Sequence[str] | None, "names of the columns, for files without a header"] = None,
    quote: Annotated[str, "character around a cell with a tab or a line break in it; empty: none"] = "",
    skip: Annotated[int, "lines to skip at the start of a file"] = 0,
) -> Iterator[Row]:
    """Rows of files with tabs between cells; quotes are part of the text."""
    return csv(files=files, columns=columns, delimiter="\t", quote=quote, skip=skip)


def parquet(
    *,
    files: DataFiles,
    columns: Annotated[Sequence[str] | None, "columns to read; default: all"] = None,
) -> Iterator[Row]:
    """Rows of Parquet files; needs the extra `aisb-engine[parquet]`."""
    try:
        pyarrow, parquets = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise PluginError("reading Parquet needs pyarrow: pip install 'aisb-engine[parquet]'") from error
    return _batches(files, columns, pyarrow, parquets)


def _batches(files: DataFiles, columns: Sequence[str] | None, pyarrow: Any, parquets: Any) -> Iterator[Row]:
    import io

    for file in files:
        try:
            table = parquets.ParquetFile(io.BytesIO(file.read()))
            position = 0
            wanted = list(columns) if columns else None
            for batch in table.iter_batches(batch_size=ROWS_AT_ONCE, columns=wanted):
                for row in batch.to_pylist():
                    position += 1
                    file.row = position
                    yield {column_name(name, 0): value for name, value in row.items()}
        except pyarrow.ArrowException as error:
            raise file.error(f"not a valid Parquet file: {error}") from error
