"""Parse a grid of settings (`--grid PATH=VALUE,VALUE`), and list its points."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from aisb import UsageError

Grid: TypeAlias = dict[str, list[str]]
"""The values of each key, as texts that `--set` takes."""
OPENING, CLOSING = "([{", ")]}"
OPTIONS = {
    "--request-rate": "load.request_rate",
    "--concurrency": "load.concurrency",
    "--input-len": "task.dataset.input",
    "--output-len": "task.dataset.output",
}
"""Options of `aisb run` with one value, and the key of a grid that they set."""


def parse_grids(texts: Sequence[str]) -> Grid:
    """Read the `--grid` options: each key once, with its values in order.

    Raises:
        UsageError: a text is not PATH=VALUE,VALUE…, or a key or value is repeated.
    """
    grid: Grid = {}
    for text in texts:
        path, equals, values = text.partition("=")
        path, found = path.strip(), split_values(values)
        if not equals or not path or not all(found):
            raise UsageError(
                f"--grid {text}: write a key and its values, as in --grid load.concurrency=1,4,16"
            )
        if path in grid:
            raise UsageError(f"--grid {path} is repeated: list all values in one option, as in {path}=1,4")
        if doubled := next((value for value in found if found.count(value) > 1), None):
            raise UsageError(f"--grid {text}: the value {doubled} is repeated")
        grid[path] = found
    return grid


def check_options(words: Sequence[str], grid: Grid) -> None:
    """Refuse an option of `aisb run` that sets a key of the grid, or that lists several values.

    Raises:
        UsageError: there is one; the message says what to write instead.
    """
    for place, word in enumerate(words):
        flag, equals, value = word.partition("=")
        if flag not in OPTIONS:
            continue
        key = OPTIONS[flag]
        value = value if equals else next(iter(words[place + 1 :]), "")
        if key in grid:
            raise UsageError(
                f"{flag} {value} and --grid {key}={','.join(grid[key])} both set {key}: omit one"
            )
        if "," in value:
            raise UsageError(f"{flag} {value} has several values: write --grid {key}={value}")


def split_values(text: str) -> list[str]:
    """Split at commas outside of brackets and quotes: `[1, 2],[3]` are two values."""
    values, depth, quote = [""], 0, ""
    for sign in text:
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        else:
            depth += (sign in OPENING) - (sign in CLOSING)
        if sign == "," and not depth and not quote:
            values.append("")
        else:
            values[-1] += sign
    return [value.strip() for value in values]


def points_of_grid(grid: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """Return the settings of every point; the last key varies fastest."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def as_sets(settings: Mapping[str, str]) -> list[str]:
    """Return the settings of a point in the form of `--set`."""
    return [f"{path}={value}" for path, value in settings.items()]


def describe(settings: Mapping[str, str]) -> str:
    """Return the settings of a point in a few words: `concurrency 16, input 512`."""
    return ", ".join(f"{path.rpartition('.')[2]} {value}" for path, value in settings.items())
