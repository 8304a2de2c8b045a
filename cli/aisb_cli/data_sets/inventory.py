"""Say which data is there, how many rows it has, and whether it is what upstream published.

What upstream published stands in the file `datasets.lock` beside a family's folder of tasks: for each task
its number of rows, and the SHA-256 of its files by the layout in which they were seen.
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
"""The states that a check fails for; missing data is one only where its task was named."""


@dataclass(frozen=True, slots=True)
class Locked:
    """What `datasets.lock` says of one task: its rows, and hashes by layout."""

    rows: int | None = None
    sha256: Mapping[str, str] | None = None

    @classmethod
    def of(cls, lock: Mapping[str, Any], task: str) -> Locked:
        """Return a task's entry; an empty one where it has none.

        Raises:
            ConfigError: the entry has something else than `rows`, `asked` and `sha256`.
        """
        entry = dict(lock.get(task, {}))
        rows, sha256 = entry.pop("rows", None), entry.pop("sha256", {})
        entry.pop("asked", None)  # how many of them the task asks: for the table of all tasks
        if entry or not isinstance(sha256, Mapping) or not isinstance(rows, int | None):
            raise ConfigError(
                f"datasets.lock: {task}", "an entry has rows = N, asked = N and sha256 = { layout = hash }"
            )
        return cls(rows, sha256)


@dataclass(frozen=True, slots=True)
class Standing:
    """How the data of one task stands.

    `layout` is the path that was found, as the task writes it; of missing data the first that the task reads.
    `rows` and `sha256` are known where the data was read, and `wanted` is what the lock has.
    """

    task: str
    state: DataState
    layout: str | None = None
    paths: tuple[Path, ...] = ()
    rows: int | None = None
    sha256: str | None = None
    wanted: Locked = Locked()
    note: str = ""

    def as_table(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**asdict(self), "paths": [str(path) for path in self.paths]}


def look(task: Task, name: str, plugins: Plugins, folders: DataFolders, lock: Mapping[str, Any]) -> Standing:
    """Say whether a task's data is there, without reading it."""
    wanted = Locked.of(lock, name)
    if not _is_read(task, plugins):
        return Standing(name, "made", wanted=wanted)
    try:
        located = locate_data(task, folders)
    except DataMissing as error:
        return Standing(name, "missing", _first(task), wanted=wanted, note=str(error))
    except AisbError as error:
        return Standing(name, "wrong", wanted=wanted, note=str(error))
    if located.files is None:
        return Standing(name, "made", wanted=wanted)
    paths = tuple(file.path for file in located.files.files)
    return Standing(name, "there", located.files.layout, paths, wanted=wanted)


def check_data(
    task: Task, name: str, plugins: Plugins, folders: DataFolders, lock: Mapping[str, Any]
) -> Standing:
    """Read a task's data whole, and compare its rows and bytes with what the lock has."""
    from aisb_engine import load_samples

    found = look(task, name, plugins, folders, lock)
    if found.state != "there":
        return found
    try:
        loaded = load_samples(task, plugins, folders, selected=False)
    except AisbError as error:
        return Standing(name, "wrong", found.layout, found.paths, wanted=found.wanted, note=str(error))
    if loaded.broken:
        row = loaded.broken[0]
        note = f"sample {row.id} could not be made ready: {row.error}"
        return Standing(name, "wrong", found.layout, found.paths, wanted=found.wanted, note=note)
    state, note = _compared(found.wanted, loaded.count, loaded.sha256, found.layout or "")
    return Standing(name, state, found.layout, found.paths, loaded.count, loaded.sha256, found.wanted, note)


def _is_read(task: Task, plugins: Plugins) -> bool:
    from aisb_engine import takes_files

    return bool(task.dataset.layouts) or takes_files(plugins, task.dataset.use)


def _first(task: Task) -> str:
    """Return the first path at which a task looks for its data."""
    table = task.dataset
    way = table.path if table.path is not None else table.layouts[0].path
    called = table.layouts[0].splits if table.path is None else {}
    split = called.get(table.split or "", table.split or "{split}")
    return " + ".join(path.replace("{split}", split) for path in ([way] if isinstance(way, str) else way))


def _compared(wanted: Locked, rows: int, sha256: str, layout: str) -> tuple[DataState, str]:
    if wanted.rows is not None and rows != wanted.rows:
        return "other rows", f"{rows:,} rows, and {wanted.rows:,} were published"
    known = wanted.sha256 or {}
    if sha256 in known.values():
        return "as published", ""
    if layout in known:
        return "other bytes", f"as many rows as were published, but the bytes differ: {sha256}"
    if wanted.rows is None:
        return "not in the lock", "nothing is known of the published data"
    return "not in the lock", "as many rows as were published; the bytes of these files are not known"
