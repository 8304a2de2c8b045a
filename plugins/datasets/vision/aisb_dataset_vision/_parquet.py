"""Read rows of Parquet files a few at a time: each can hold images."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any

from aisb import DataFiles

ROWS_PER_BATCH = 64


def parquet_rows(files: DataFiles, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of Parquet files, with those of `columns` that exist; `files` counts the rows.

    Raises:
        DataError: a file is not a readable Parquet file.
    """
    import pyarrow as pa
    from pyarrow import parquet

    for file in files:
        file.row = 0
        try:
            table = parquet.ParquetFile(io.BytesIO(file.read()))
            present = [name for name in columns if name in table.schema_arrow.names] if columns else None
            for batch in table.iter_batches(batch_size=ROWS_PER_BATCH, columns=present):
                for row in batch.to_pylist():
                    file.row += 1
                    yield row
        except pa.ArrowException as error:
            raise file.error(f"not a Parquet file that can be read: {error}") from error
