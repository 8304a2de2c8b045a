"""Check which data exists, how many rows it has, and whether it equals the published data.

The published data is described in the file `datasets.lock` of each family of tasks: for each task the number
of rows, and the SHA-256 of its files by layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from aisb import AisbError, ConfigError, DataMissing
from aisb_engine import locate_data

if TYPE_CHECKING:
    from aisb_engine import DataFolders, Plugins, Task

DataState = Literal[
    "there", "as published", "other rows", "other bytes", "not in the lock", "missing", "made", "wrong"
]
FAILING_STATES: frozenset[DataState] = frozenset(("other rows", "other bytes", "wrong"))
"""The states for which a check fails; missing data fails only if its task was named."""


@dataclass(frozen=True, slots=True)
class Locked:
    """The entry of one task in `datasets.lock`: rows, and hashes by layout."""

    rows: int | None = None
    sha256: Mapping[str, str] | None = None

    @classmethod
    def of(cls, lock: Mapping[str, Any], task: str) -> Locked:
        """Return a task's entry; an empty one if there is none.

        Raises:
            ConfigError: the entry has other keys than `rows`, `asked`, `tested_on` and `sha256`.
        """
        entry = dict(lock.get(task, {}))
        rows, sha256 = entry.pop("rows", None), entry.pop("sha256", {})
        for key in ("asked", "tested_on"):  # for the table of all tasks
            entry.pop(key, None)
        if entry or not isinstance(sha256, Mapping) or not isinstance(rows, int | None):
            raise ConfigError(
                f"datasets.lock: {task}",
                'an entry has rows = N, asked = N, tested_on = "…" and sha256 = { layout = hash }',
            )
        return cls(rows, sha256)


@dataclass(frozen=True, slots=True)
class DataStatus:
    """The state of one task's data.

    `layout` is the path pattern of the task that matched; for missing data its first pattern. `rows` and
    `sha256` are set if the data was read; `locked` is the entry in the lock.
    """

    task: str
    state: DataState
    layout: str | None = None
    paths: tuple[Path, ...] = ()
    rows: int | None = None
    sha256: str | None = None
    locked: Locked = Locked()
    note: str = ""

    def as_table(self) -> dict[str, Any]:
        """Return it in the form of `--json`."""
        table = asdict(self)
        locked = table.pop("locked")
        return {**table, "wanted": locked, "paths": [str(path) for path in self.paths]}


def locate(
    task: Task, name: str, plugins: Plugins, folders: DataFolders, lock: Mapping[str, Any]
) -> DataStatus:
    """Check whether a task's data exists, without reading it."""
    entry = Locked.of(lock, name)
    if not _is_read(task, plugins):
        return DataStatus(name, "made", locked=entry)
    try:
        located = locate_data(task, folders)
    except DataMissing as error:
        return DataStatus(name, "missing", _first(task), locked=entry, note=str(error))
    except AisbError as error:
        return DataStatus(name, "wrong", locked=entry, note=str(error))
    if located.files is None:
        return DataStatus(name, "made", locked=entry)
    paths = tuple(file.path for file in located.files.files)
    return DataStatus(name, "there", located.files.layout, paths, locked=entry)


def check_data(
    task: Task, name: str, plugins: Plugins, folders: DataFolders, lock: Mapping[str, Any]
) -> DataStatus:
    """Read all of a task's data, and compare its rows and bytes with the lock."""
    from aisb_engine import load_samples

    status = locate(task, name, plugins, folders, lock)
    if status.state != "there":
        return status
    try:
        loaded = load_samples(task, plugins, folders, selected=False)
    except AisbError as error:
        return DataStatus(name, "wrong", status.layout, status.paths, locked=status.locked, note=str(error))
    if loaded.broken:
        row = loaded.broken[0]
        note = f"sample {row.id} could not be prepared: {row.error}"
        return DataStatus(name, "wrong", status.layout, status.paths, locked=status.locked, note=note)
    state, note = _compared(status.locked, loaded.count, loaded.sha256, status.layout or "")
    return DataStatus(
        name, state, status.layout, status.paths, loaded.count, loaded.sha256, status.locked, note
    )


def _is_read(task: Task, plugins: Plugins) -> bool:
    from aisb_engine import reads_files

    return bool(task.dataset.layouts) or reads_files(plugins, task.dataset.use)


def _first(task: Task) -> str:
    """Return the first path at which a task searches its data."""
    table = task.dataset
    path_ = table.path if table.path is not None else table.layouts[0].path
    split_names = table.layouts[0].splits if table.path is None else {}
    split = split_names.get(table.split or "", table.split or "{split}")
    return " + ".join(
        path.replace("{split}", split) for path in ([path_] if isinstance(path_, str) else path_)
    )


def _compared(entry: Locked, rows: int, sha256: str, layout: str) -> tuple[DataState, str]:
    if entry.rows is not None and rows != entry.rows:
        return "other rows", f"{rows:,} rows, but {entry.rows:,} were published"
    hashes = entry.sha256 or {}
    if sha256 in hashes.values():
        return "as published", ""
    if layout in hashes:
        return "other bytes", f"the number of rows is as published, but the bytes differ: {sha256}"
    if entry.rows is None:
        return "not in the lock", "nothing is known of the published data"
    return "not in the lock", "the number of rows is as published; the hash of these files is not known"
