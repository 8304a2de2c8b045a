"""Map the abbreviation of a data set of AISBench or OpenCompass to the task that grades its answers."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

TEMPLATE_FIELD = re.compile(r"\{(\w+)\}")
ENCODED = "base64_"
"""The prefix of a data set whose images are sent as base64, which does not affect its answers."""


@cache
def abbreviations() -> Mapping[str, Any]:
    """Return the tables of `abbreviations.toml`: `tasks`, `groups`, `variants` and `patterns`."""
    return tomllib.loads((files("aisb_cli.importers") / "abbreviations.toml").read_text("utf-8"))


def task_of(abbr: str) -> str:
    """Return the name of a data set's task for `--datasets`; empty if unknown."""
    tables = abbreviations()
    for task, pattern in (tables["variants"] | tables["tasks"]).items():
        if pattern == abbr and abbr not in tables["ambiguous"]:
            return str(task)
    for pattern, selection in tables["patterns"].items():
        if found := re.fullmatch(pattern, abbr):
            return str(selection.format_map(found.groupdict()))
    groups = {task: group for task in tables["tasks"] if (group := group_of(task, abbr)) is not None}
    if not groups:
        return ""
    task = min(groups, key=lambda task: len(groups[task][1]))  # the longest pattern leaves the shortest rest
    return f"{task}:{'='.join(groups[task])}"


def group_of(task: str, abbr: str) -> tuple[str, str] | None:
    """Return the field and the value of a task's group with an abbreviation.

    None if the task's groups are no data sets of their own there, or none has this abbreviation.
    """
    pattern = str(abbreviations()["tasks"].get(task, task))
    field = TEMPLATE_FIELD.search(pattern)
    if field is None:
        return None
    before, after = pattern[: field.start()], pattern[field.end() :]
    if not abbr.startswith(before) or not abbr.endswith(after) or len(abbr) <= len(before) + len(after):
        return None
    value = abbr[len(before) : len(abbr) - len(after)].removeprefix(ENCODED)
    renamed = {there: here for here, there in abbreviations()["groups"].get(task, {}).items()}
    return field[1], str(renamed.get(value, value))
