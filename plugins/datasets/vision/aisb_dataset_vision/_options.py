"""Parse options and answers of image data sets: lists, and texts that contain a list."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from string import ascii_uppercase
from typing import Any

MAX_OPTIONS = 26


def parse_list(value: Any) -> list[str]:
    """Return the elements of a list, of a text that contains one (`['a', "b"]`), or of a table A, B, C.

    Any other text is one element. Null, or a text of white space only, has no elements.
    """
    if isinstance(value, str):
        value = _parse_written_list(value)
    if value is None:
        return []
    if isinstance(value, Mapping):
        value = [value.get(letter) for letter in ascii_uppercase]
    if not isinstance(value, list | tuple):
        value = [value]
    return [str(one) for one in value if one is not None and str(one).strip()]


def _parse_written_list(text: str) -> Any:
    """Return the list that a text contains; the text itself if it contains none."""
    text = text.strip()
    if not text:
        return None
    if text[0] not in "[{(" or text[-1] not in "]})":
        return text
    for parse in (json.loads, ast.literal_eval):  # literals alone: nothing in the data is run
        try:
            found = parse(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        return found if isinstance(found, list | tuple | dict) else text
    return text


def lettered(options: list[str]) -> str:
    """Return the letters of options as a prompt names them: `A,B,C,D`."""
    return ",".join(ascii_uppercase[: len(options)])
