"""Read the fields of a trace's rows, with errors that name the file and the line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from aisb import DataFile, DataFiles


def current_file(files: DataFiles) -> DataFile:
    """Return the file of the row that was read last."""
    return cast("DataFile", files.current)


def field_of(file: DataFile, row: Mapping[str, Any], name: str) -> Any:
    """Return a field that a row must have."""
    if name not in row:
        raise file.error(f"no field {name!r}; the fields are: {', '.join(row)}")
    return row[name]


def whole_number(file: DataFile, row: Mapping[str, Any], name: str, least: int = 1) -> int:
    """Return a field that must be a whole number."""
    value = field_of(file, row, name)
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    if type(value) is not int or value < least:
        raise file.error(f"{name} is {value!r}, not a whole number of at least {least}")
    return value


def seconds(file: DataFile, row: Mapping[str, Any], name: str, per_second: int = 1) -> float | None:
    """Return a field with a time in seconds; None if the row does not have it.

    The trace has it in parts of a second: `per_second` 1000 for milliseconds.
    """
    value = row.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e18:
        unit = {1: "seconds", 1000: "milliseconds"}[per_second]
        raise file.error(f"{name} is {value!r}, not a number of {unit}")
    return value / per_second


def block_ids(file: DataFile, row: Mapping[str, Any], tokens: int, block: int) -> list[int]:
    """Return the hash ids of a row, one for each block of its prompt."""
    blocks = listed_ids(file, row)
    needed = -(-tokens // block)
    if len(blocks) != needed:
        raise file.error(
            f"{len(blocks)} hash_ids do not fit input_length {tokens}: with blocks of {block} tokens "
            f"{needed} are needed (block = N sets the block size of the trace)"
        )
    return blocks


def listed_ids(file: DataFile, row: Mapping[str, Any]) -> list[int]:
    """Return the hash ids of a row, which must be whole numbers."""
    blocks = field_of(file, row, "hash_ids")
    if not isinstance(blocks, list) or any(type(one) is not int for one in blocks):
        raise file.error(f"hash_ids is {str(blocks)[:60]}, not a list of whole numbers")
    return blocks


def json_documents(files: DataFiles) -> Iterator[tuple[DataFile, Any]]:
    """Yield the JSON documents of files with their file: one in each line, or one in the whole file."""
    for file in files:
        lines = file.lines()
        first = next((line for line in lines if line.strip()), "")
        try:
            document = json.loads(first)
        except json.JSONDecodeError:
            whole = first + "".join(lines)
            file.line = None
            try:
                yield file, json.loads(whole)
            except json.JSONDecodeError as error:
                file.line = error.lineno
                raise file.error(f"not JSON: {error.msg}") from error
            continue
        yield file, document
        for line in lines:
            if not line.strip():
                continue
            try:
                document = json.loads(line)
            except json.JSONDecodeError as error:
                raise file.error(f"not JSON: {error.msg}") from error
            yield file, document


def listed_objects(file: DataFile, table: Any, name: str, what: str) -> list[Mapping[str, Any]]:
    """Return the field of an object that must be a list of objects."""
    found = table.get(name) if isinstance(table, Mapping) else None
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        keys = f"; its keys are: {', '.join(table)}" if isinstance(table, Mapping) else ""
        raise file.error(f"{what} has the key {name!r} with a list of objects{keys}")
    return found
