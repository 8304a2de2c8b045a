"""Find models and tasks by name: the files of plugins, their aliases, and the user's own files.

Names are file stems and aliases. A file is parsed when it is selected.
"""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from aisb._errors import ConfigError, UnknownName, did_you_mean
from aisb._plugins import Plugins

What = Literal["model", "task"]
USER_TABLES = ("run", "load", "params", "models", "tasks", "subtasks", "judge", "launcher")
"""The tables of an `aisb.toml`, and of the saved configuration of a run."""


class Selection(NamedTuple):
    """A name on the command line with its parts: `NAME[:variant][:field=v1+v2]`."""

    name: str
    variant: str | None = None
    select: Mapping[str, list[str]] = {}

    @classmethod
    def parse(cls, text: str) -> Selection:
        """Parse a selection; raise ConfigError if it has two variants or an empty part."""
        name, *rest = text.split(":")
        variant: str | None = None
        select: dict[str, list[str]] = {}
        for part in rest:
            field, equals, values = part.partition("=")
            if equals and field and values:
                select[field] = values.split("+")
            elif part and not equals and variant is None:
                variant = part
            else:
                raise ConfigError(text, "a selection is NAME[:variant][:field=value+value]")
        return cls(name, variant, select)

    def __str__(self) -> str:
        parts = [self.name, *([self.variant] if self.variant else [])]
        return ":".join(parts + [f"{field}={'+'.join(values)}" for field, values in self.select.items()])


class CatalogEntry(NamedTuple):
    """A file in the catalog and the plugin that it belongs to."""

    name: str
    path: Path
    plugin: str


class Catalog:
    """All model and task files of the loaded plugins."""

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins
        self._entries: dict[What, dict[str, list[CatalogEntry]]] = {}

    @cached_property
    def _folders(self) -> list[tuple[str, Path]]:
        return self._plugins.config_folders()

    def entries(self, what: What) -> list[CatalogEntry]:
        """Return the files of one kind, sorted by name, without parsing them."""
        return [entry for same_name in self._by_name(what).values() for entry in same_name]

    def has(self, what: What, name: str) -> bool:
        """Return whether there is a file with this name."""
        return name in self._by_name(what)

    def _by_name(self, what: What) -> dict[str, list[CatalogEntry]]:
        """Return the files of one kind by name, sorted; the folders are read once."""
        if what not in self._entries:
            found = [
                CatalogEntry(path.stem, path, plugin)
                for plugin, folder in self._folders
                for path in sorted((folder / f"{what}s").glob("*.toml"))
            ]
            by_name: dict[str, list[CatalogEntry]] = {}
            for entry in sorted(found, key=lambda entry: entry.name):
                by_name.setdefault(entry.name, []).append(entry)
            self._entries[what] = by_name
        return self._entries[what]

    @cached_property
    def aliases(self) -> dict[str, str]:
        """Aliases of models and tasks: alias to `NAME[:variant]`."""
        found: dict[str, str] = {}
        for _, folder in self._folders:
            path = folder / "aliases.toml"
            if path.is_file():
                found.update({str(alias): str(target) for alias, target in read_toml(path).items()})
        return found

    @cached_property
    def lock(self) -> dict[str, Any]:
        """The facts on published data, by task: the `datasets.lock` files of all plugins."""
        found: dict[str, Any] = {}
        for _, folder in self._folders:
            path = folder / "datasets.lock"
            if path.is_file():
                found.update(read_toml(path))
        return found

    @cached_property
    def gradings(self) -> dict[str, Any]:
        """The gradings of answers by kind: the `grading.toml` of all plugins."""
        tables: dict[str, Any] = {}
        for _, folder in self._folders:
            path = folder / "grading.toml"
            if path.is_file():
                tables.update(read_toml(path))
        return tables

    def grading(self, kind: str) -> dict[str, Any]:
        """Return the grading of a kind of answer: the tables `postprocess` and `evaluate` of a task.

        The kinds are `choice`, `number` and `text`; `grading.toml` in the folder of a plugin's tasks defines
        them.

        Raises:
            UnknownName: no plugin defines it.
        """
        tables = self.gradings
        if kind not in tables:
            notes = ["a plugin defines it in its grading.toml; `aisb plugins list` shows what is installed"]
            notes += self._plugins.why_missing("grading.toml")
            raise UnknownName("grading of answers", kind, tables, notes)
        return dict(tables[kind])

    def find(
        self, what: What, selection: Selection, own: Iterable[str] = ()
    ) -> tuple[Selection, CatalogEntry | None]:
        """Return the selection under its own name, and its file; None if only the user's table defines it.

        A task's name that ends with `.toml` is the path of a task file.

        Raises:
            UnknownName: nothing has this name, or two plugins have a file with this name.
            ConfigError: there is no such task file.
        """
        own = set(own)
        if what == "task" and selection.name.endswith(".toml"):
            return _task_file(selection, own)
        by_name = self._by_name(what)
        if selection.name not in by_name and selection.name not in own and selection.name in self.aliases:
            meant = Selection.parse(self.aliases[selection.name])
            selection = Selection(
                meant.name, selection.variant or meant.variant, {**meant.select, **selection.select}
            )
        if selection.name not in by_name:
            if selection.name in own:
                return selection, None
            if what == "task":
                _refuse_path(selection.name)
            known = own | set(by_name) | (set(self._plugins.names("backend")) if what == "model" else set())
            raise UnknownName(what, selection.name, known, self._plugins.why_missing(selection.name))
        first, *others = by_name[selection.name]
        if others:
            plugins = ", ".join(entry.plugin for entry in (first, *others))
            raise ConfigError(
                selection.name,
                f"the plugins {plugins} all have a {what} with this name; block all but one (--block)",
            )
        return selection, first


def _task_file(selection: Selection, own: set[str]) -> tuple[Selection, CatalogEntry | None]:
    """Return a task file by its path; None if it no longer exists and the run has the resolved task."""
    path = Path(selection.name).expanduser().resolve()
    found = selection._replace(name=str(path))
    if path.is_file():
        return found, CatalogEntry(path.stem, path, "")
    if selection.name in own:
        return found, None
    raise ConfigError(selection.name, f"there is no task file {path}")


def _refuse_path(name: str) -> None:
    """Refuse the name of a task that is a path of another file than a task file."""
    if "/" in name or Path(name).is_file():
        quoted = shlex.quote(name)
        raise ConfigError(
            name,
            "this is neither a task file (.toml) nor a data file that can be a task here\n"
            f"  aisb run --datasets {quoted} takes a .jsonl, .json, .csv or .parquet file, and "
            f"aisb tasks new {quoted} writes a task file for it",
        )


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file.

    Raises:
        ConfigError: the file is missing, not UTF-8, or not TOML; the message has the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(str(path), f"is not a TOML file: {error}") from error


def read_user_file(path: Path) -> dict[str, Any]:
    """Read an `aisb.toml`, or the saved configuration of a run.

    Raises:
        ConfigError: it cannot be read, or has an unknown table.
    """
    table = read_toml(path)
    for key in table:
        if key not in USER_TABLES:
            raise ConfigError(
                f"{path}: {key}",
                f"there is no such table{did_you_mean(key, USER_TABLES)}\n  known: {', '.join(USER_TABLES)}",
            )
    return table
