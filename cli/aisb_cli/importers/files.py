"""Read what several importers read: files that may be JSON or JSON lines, and tables of token counts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from aisb import DataError, Usage


def parse_json(path: Path) -> Any:
    """Return the value in a file; None if it is not JSON."""
    try:
        return orjson.loads(path.read_bytes())
    except ValueError:
        return None


def first_object(path: Path) -> dict[str, Any] | None:
    """Return the first non-empty line of a file; None if it is not a JSON object."""
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                try:
                    found = orjson.loads(line)
                except ValueError:
                    return None
                return found if isinstance(found, dict) else None
    return None


def parse_lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Return the non-empty lines of a file with their numbers from 1.

    Raises:
        DataError: a line is not a JSON object; the message names it.
    """
    found = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = orjson.loads(line)
        except ValueError as error:
            raise DataError(f"{path}, line {number}: not JSON: {error}") from error
        if not isinstance(value, dict):
            raise DataError(f"{path}, line {number}: not a JSON object")
        found.append((number, value))
    return found


def check_json(path: Path) -> None:
    """Refuse a file that is not JSON although its name says so.

    Raises:
        DataError: the message says where it is broken.
    """
    if path.suffix == ".jsonl":
        parse_lines(path)
    elif path.suffix == ".json":
        try:
            orjson.loads(path.read_bytes())
        except ValueError as error:
            raise DataError(f"{path} is not JSON: {error}") from error


def token_usage(table: Any) -> Usage | None:
    """Return token counts in the form of Inspect and Every Eval Ever; None without a table."""
    if not isinstance(table, Mapping):
        return None
    return Usage(
        table.get("input_tokens"),
        table.get("output_tokens"),
        table.get("input_tokens_cache_read"),
        table.get("reasoning_tokens"),
    )
