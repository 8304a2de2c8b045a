"""Find the files of a task; if there are none, name the variants of it whose files exist."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from aisb._errors import AisbError, DataMissing
from aisb_engine._data.datafiles import DataFolders

if TYPE_CHECKING:
    from aisb_engine._data.datafiles import Located
    from aisb_engine._spec import Task


def locate(task: Task, folders: DataFolders, split: str | None = None) -> Located:
    """Find the files of a task.

    Raises:
        DataMissing: there are none; the message lists the places that were searched, and variants of the task
            whose data exists.
        ConfigError: the path or the split does not determine the files.
    """
    if task.file:
        folders = DataFolders(folders.roots, task.file.parent)
    try:
        return folders.locate(task.dataset, split=split, task=task.name, source=task.source)
    except DataMissing as error:
        if available := _available_variants(task, folders):
            raise DataMissing(f"{error}\n  there is data for {', '.join(available)}") from None
        raise


def _available_variants(task: Task, folders: DataFolders) -> list[str]:
    """Return the variants of a task with data of their own that exists."""
    from aisb_engine._resolve.catalog import read_toml
    from aisb_engine._resolve.tables import overlay, validate
    from aisb_engine._spec import DatasetTable

    if task.file is None or task.base is None:
        return []
    file, name = read_toml(task.file), task.base.partition(":")[0]
    available = []
    for variant, table in file.get("variants", {}).items():
        changes = table.get("dataset", {})
        if variant == task.variant or not changes.keys() & {"path", "split", "layouts"}:
            continue
        with suppress(AisbError):
            folders.locate(
                validate(DatasetTable, overlay(file.get("dataset", {}), changes), f"{name}:{variant}")
            )
            available.append(f"{name}:{variant}")
    return available
