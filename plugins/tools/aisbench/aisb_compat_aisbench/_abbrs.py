"""The abbreviations under which AISBench writes the data sets of a task: one for each of its groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aisb_compat_aisbench._known import known_datasets

GROUP = "{group}"
ENCODED = "base64_"
"""Begins the group of a data set whose images are sent as base64, which they always are here."""


def pattern_of(task: str, table: Mapping[str, Any]) -> str:
    """Return the abbreviation of a task, with `{group}` where its groups stand apart.

    `table` is the task's table of a resolved run. A task that a user named has its name for an abbreviation,
    unless the task that it is laid over has groups that stand apart.
    """
    base, variant = _base(task, table)
    known = known_datasets()
    pattern = known["variants"].get(f"{base}:{variant}") or known["tasks"].get(base, base)
    return str(pattern) if task == base or GROUP in pattern else task


def abbr_of(task: str, table: Mapping[str, Any], group: str | None, given: Any = None) -> str:
    """Return the abbreviation of a group of a task, or of the whole task where its groups do not stand apart.

    `given` is what a config file said: an abbreviation, or one for each group.
    """
    if isinstance(given, str):
        return given
    if isinstance(given, Mapping) and group in given:
        return str(given[group])
    pattern = pattern_of(task, table)
    if GROUP not in pattern:
        return pattern
    if group is None:
        return task
    base, _ = _base(task, table)
    return pattern.replace(GROUP, str(known_datasets()["groups"].get(base, {}).get(group, group)))


def group_of(base: str, abbr: str) -> str | None:
    """Return the group of a task that has an abbreviation; None where its groups do not stand apart."""
    known = known_datasets()
    pattern = str(known["tasks"].get(base, base))
    if GROUP not in pattern:
        return None
    before, _, after = pattern.partition(GROUP)
    if not abbr.startswith(before) or not abbr.endswith(after):
        return None
    name = abbr[len(before) : len(abbr) - len(after)].removeprefix(ENCODED)
    renamed = {there: here for here, there in known["groups"].get(base, {}).items()}
    return str(renamed.get(name, name))


def _base(task: str, table: Mapping[str, Any]) -> tuple[str, str]:
    base = str(table.get("base") or task).split(":")
    return base[0], str(table.get("variant") or (base[1] if len(base) > 1 and "=" not in base[1] else ""))
