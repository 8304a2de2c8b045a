"""Read a file that may be JSON, or lines of JSON; what is neither is left to other importers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from aisb import DataError


def parse_json(path: Path) -> Any:
    """Return what a file holds; None if it is no JSON."""
    try:
        return orjson.loads(path.read_bytes())
    except ValueError:
        return None


def first_object(path: Path) -> dict[str, Any] | None:
    """Return the first line of a file that is not empty; None if it is no JSON object."""
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
    """Return the lines of a file that are not empty, with their numbers from 1.

    Raises:
        DataError: a line is not a JSON object; it is named.
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
    """Refuse a file whose name says that it is JSON, and which is not.

    Raises:
        DataError: it is broken; the message says where.
    """
    if path.suffix == ".jsonl":
        parse_lines(path)
    elif path.suffix == ".json":
        try:
            orjson.loads(path.read_bytes())
        except ValueError as error:
            raise DataError(f"{path} is not JSON: {error}") from error
