"""The entry points of installed plugins: which distribution declares which modules, and what they import."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Collection
from typing import NamedTuple

GROUPS = ("aisb", "aisb.commands")
HEAVY = ("torch", "transformers", "pydantic", "httpx", "numpy", "pandas", "sympy", "plotly")
"""Packages that a plugin's declaration must not import, because every command loads every plugin."""


class InstalledEntry(NamedTuple):
    """One entry point of a plugin, with the name of its distribution."""

    group: str
    name: str
    module: str
    distribution: str | None


def installed_entries() -> tuple[InstalledEntry, ...]:
    """Return the entry points of all installed plugins."""
    return _read_entries(tuple(sys.path))


@functools.lru_cache(1)  # each reading opens a file of every installed distribution
def _read_entries(_path: tuple[str, ...]) -> tuple[InstalledEntry, ...]:
    from importlib.metadata import entry_points

    found = entry_points()
    return tuple(
        InstalledEntry(group, entry.name, entry.module, entry.dist.name if entry.dist is not None else None)
        for group in GROUPS
        for entry in found.select(group=group)
    )


def entry_modules(name: str) -> dict[str, str]:
    """Return the modules of a plugin's components and commands by their entry points' names.

    Raises:
        AssertionError: nothing of this name is installed.
    """
    entries = {**plugin_entries(name, "aisb.commands"), **plugin_entries(name, "aisb")}
    if not entries:
        raise AssertionError(
            f"no installed distribution or module {name!r} has an entry point in the group aisb"
            " or aisb.commands"
        )
    return entries


def plugin_entries(name: str, group: str) -> dict[str, str]:
    """Return entry-point names and modules of a distribution, or of the plugin that is this module."""
    return {
        entry.name: entry.module
        for entry in installed_entries()
        if entry.group == group and name in (entry.module, entry.module.partition(".")[0], entry.distribution)
    }


def heavy_imports(modules: Collection[str]) -> list[str]:
    """Import modules in a new process, and return the heavy packages that this imports, or the error."""
    code = f"import sys, {', '.join(modules)}; print(*(set({HEAVY!r}) & sys.modules.keys()))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603 - this very Python, and modules that are installed
    if ran.returncode:
        return [f"(it fails: {ran.stderr.strip().rpartition(chr(10))[2]})"]
    return sorted(ran.stdout.split())
