"""Read RefCOCO and its variants: an image, a box, and the expressions that refer to what the box shows."""

from __future__ import annotations

from collections.abc import Iterator

from aisb import DataFiles, Row
from aisb_dataset_vision._parquet import parquet_rows

PLACE_COLUMNS = ("question_id", "image", "answer", "bbox", "file_name")


def refcoco(*, files: DataFiles) -> Iterator[Row]:
    """A row for each expression: `image`, `expression`, and `box` with x1, y1, x2, y2 in pixels."""
    for row in parquet_rows(files, PLACE_COLUMNS):
        assert files.current  # noqa: S101 - a row was read from it
        corner = [float(value) for value in row.get("bbox") or ()]
        if len(corner) != 4:
            raise files.current.error(f"bbox must be x, y, width and height, and it is {row.get('bbox')!r}")
        x, y, width, height = corner
        expressions = row.get("answer")
        if isinstance(expressions, str):
            expressions = [expressions]
        for expression in expressions or ():
            yield {
                "image": row["image"],
                "expression": expression,
                "box": f"[{x:g}, {y:g}, {x + width:g}, {y + height:g}]",
                "question_id": row.get("question_id"),
                "file_name": row.get("file_name"),
            }
