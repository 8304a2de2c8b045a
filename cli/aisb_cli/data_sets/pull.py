"""Download the files of a task from the Hugging Face hub or ModelScope, with the library of the hub."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from aisb import DataError, PluginError, ServiceError, UsageError

if TYPE_CHECKING:
    from aisb_engine import PullTable, Task

Hub = Literal["huggingface", "modelscope"]
HUBS: tuple[Hub, ...] = ("huggingface", "modelscope")
SMALL_BYTES = 100_000_000
"""An archive may unpack to so much, whatever its own size."""
MAX_RATIO = 100
"""The largest ratio of unpacked to packed size. Texts reach about 10, and an archive made to harm 1,000."""
FILE_OVERHEAD_BYTES = 4096
"""Approximate disk space of a file in addition to its content."""
Fetch = Callable[["PullTable", str, Path], None]


def pull(task: Task, folder: Path, hub: Hub | None = None) -> Path:
    """Download the files of a task into a folder, and return the folder with them.

    `hub` None selects the first hub that the task names. Existing files are not downloaded again.

    Raises:
        UsageError: no hub is known to have the data; the message tells which files to place where.
        PluginError: the hub's library is not installed.
        ServiceError: the hub cannot be reached, or refuses; the message tells which files to place where.
    """
    table = task.pull
    offered: dict[Hub, str] = {name: repo for name in HUBS if table and (repo := getattr(table, name))}
    if table is None or not offered or (hub and hub not in offered):
        where = f"{task.name} is {f'not known to be on {HUB_NAMES[hub]}' if hub else 'on no hub'}"
        others = [f"--from {name}" for name in offered]
        more = f"; it is available with {' or '.join(others)}" if others else ""
        raise UsageError(f"{where}{more}\n{by_hand(task, folder)}")
    chosen = hub if hub is not None else next(iter(offered))
    into = folder / table.into
    into.mkdir(parents=True, exist_ok=True)
    try:
        FETCH[chosen](table, offered[chosen], into)
    except PluginError:
        raise
    except Exception as error:  # each library and version raises other exceptions
        failed = f"{offered[chosen]} cannot be downloaded from {HUB_NAMES[chosen]}: {_words(error)}"
        raise ServiceError(f"{failed}\n{by_hand(task, folder)}") from error
    for packed in sorted(into.glob("*.zip")):
        _unpack(packed)
    return into


def by_hand(task: Task, folder: Path) -> str:
    """Return lines that tell which files to place where."""
    table = task.dataset
    ways = [table.path] if table.path is not None else [layout.path for layout in table.layouts]
    lines = [f"  by hand: the data comes from {task.source or 'no source that the task names'}"]
    if task.pull:
        repos = [f"{getattr(task.pull, hub)} ({HUB_NAMES[hub]})" for hub in HUBS if getattr(task.pull, hub)]
        lines.append(f"  or the files {', '.join(task.pull.files)} of {' or '.join(repos)}")
        lines.append(f"    under {folder / task.pull.into}")
    lines.append(f"  place it below {folder} as" + (" one of these:" if len(ways) > 1 else ":"))
    for layout in ways:
        paths = [layout] if isinstance(layout, str) else layout
        lines.append(
            "    " + " and ".join(path.replace("{split}", table.split or "{split}") for path in paths)
        )
    return "\n".join(lines)


def _from_huggingface(table: PullTable, repo: str, into: Path) -> None:
    library = _library("huggingface_hub", "hub")
    library.snapshot_download(
        repo,
        repo_type="dataset",
        revision=table.revision,
        allow_patterns=table.files,
        local_dir=into,
    )


def _from_modelscope(table: PullTable, repo: str, into: Path) -> None:
    _library("modelscope", "modelscope")
    snapshots = import_module("modelscope.hub.snapshot_download")
    snapshots.dataset_snapshot_download(
        repo, revision=table.revision, local_dir=str(into), allow_patterns=table.files
    )


def _library(name: str, extra: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise PluginError(
            f"{HUB_NAMES['huggingface' if extra == 'hub' else 'modelscope']} is read with {name}: "
            f"pip install 'aisb[{extra}]'"
        ) from error


def _unpack(packed: Path) -> None:
    """Unpack an archive in its folder, unless it would fill the disk.

    Raises:
        DataError: it is damaged, much larger unpacked than packed, or larger than the free space.
    """
    try:
        with zipfile.ZipFile(packed) as archive:
            # `zipfile` reads no more of a member than the size that the archive states for it.
            unpacked, files = sum(one.file_size for one in archive.infolist()), len(archive.infolist())
            _check_size(packed, unpacked, files)
            archive.extractall(packed.parent)
    # A RuntimeError is a password or an unknown compression.
    except (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, EOFError, ValueError) as error:
        raise DataError(f"{packed}: cannot be unpacked: {error}; remove it and pull again") from error


def _check_size(packed: Path, unpacked: int, files: int) -> None:
    size, free = packed.stat().st_size, shutil.disk_usage(packed.parent).free
    needed = unpacked + files * FILE_OVERHEAD_BYTES
    takes = f"{packed}: its {files:,} files would take {needed / 1e6:,.0f} MB"
    if needed > SMALL_BYTES and needed > MAX_RATIO * size:
        raise DataError(
            f"{takes}, more than {MAX_RATIO} times its own size: it is not unpacked; "
            "unpack it by hand if you trust it, or remove it"
        )
    if needed > free:
        raise DataError(
            f"{takes}, and {free / 1e6:,.0f} MB are free: it is not unpacked; make room and pull again"
        )


def _words(error: BaseException) -> str:
    """Return the first line of a library's message, and of its cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    return text if len(text) <= 200 else f"{text[:197]}…"


HUB_NAMES: Mapping[Hub, str] = {"huggingface": "the Hugging Face hub", "modelscope": "ModelScope"}
FETCH: Mapping[Hub, Fetch] = {"huggingface": _from_huggingface, "modelscope": _from_modelscope}
