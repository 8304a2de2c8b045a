"""AISBench's abbreviations of data sets: one for a task, or one for each of its groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aisb_cli.importers.abbreviations import TEMPLATE_FIELD, abbreviations
from aisb_cli.importers.abbreviations import group_of as _group_of


def has_own_groups(task: str, table: Mapping[str, Any]) -> bool:
    """Return whether AISBench treats each group of a task as a separate data set."""
    return TEMPLATE_FIELD.search(_pattern(task, table)) is not None


def abbr_of(task: str, table: Mapping[str, Any], group: str | None, given: Any = None) -> str:
    """Return the abbreviation of a group of a task, or of the task if its groups are not separate data sets.

    `table` is the task's table of a resolved run. `given` is the value of a config file: an abbreviation, or
    one for each group.
    """
    if isinstance(given, str):
        return given
    if isinstance(given, Mapping) and group in given:
        return str(given[group])
    pattern = _pattern(task, table)
    if TEMPLATE_FIELD.search(pattern) is None:
        return pattern
    if group is None:
        return task
    name = str(abbreviations()["groups"].get(_base(task, table)[0], {}).get(group, group))
    return TEMPLATE_FIELD.sub(lambda _: name, pattern)


def group_of(base: str, abbr: str) -> str | None:
    """Return the group of a task that has an abbreviation; None if its groups are not separate."""
    found = _group_of(base, abbr)
    return found and found[1]


def _pattern(task: str, table: Mapping[str, Any]) -> str:
    """Return the abbreviation of a task, with a field in braces if its groups are separate data sets.

    The abbreviation of a user's task is its name, unless its base task has groups as separate data sets.
    """
    base, variant = _base(task, table)
    known = abbreviations()
    pattern = str(known["variants"].get(f"{base}:{variant}") or known["tasks"].get(base, base))
    return pattern if task == base or TEMPLATE_FIELD.search(pattern) else task


def _base(task: str, table: Mapping[str, Any]) -> tuple[str, str]:
    base = str(table.get("base") or task).split(":")
    return base[0], str(table.get("variant") or (base[1] if len(base) > 1 and "=" not in base[1] else ""))
