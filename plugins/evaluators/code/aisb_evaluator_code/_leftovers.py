"""The folder of a process's boxes, and the removal of folders that killed processes left behind.

Each process keeps a file in its folder locked as long as it runs, so that other processes can tell whether it
is alive, even from another container. The control groups of its boxes have the folder's name.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import os
import shutil
import tempfile
import time
from pathlib import Path

from aisb_evaluator_code import _groups as groups

PREFIX = "aisb-boxes-"
_LOCK = "in-use"
_NEW = 60.0
"""Seconds during which a new folder may not be locked yet."""


@functools.cache
def own_folder(pid: int) -> Path:
    """Return the folder for this process's boxes, and remove those of processes that have ended."""
    remove_left_over(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    folder.chmod(0o711)  # boxes of other users have their folders in here
    atexit.register(_remove_own, folder, pid)
    return folder


def _remove_own(folder: Path, pid: int) -> None:
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)


def remove_left_over(where: Path) -> None:
    """Remove the folders and groups of processes that ended without removing them."""
    removed = set()
    for folder in where.glob(f"{PREFIX}*"):
        if not _is_in_use(folder):
            shutil.rmtree(folder, ignore_errors=True)
            removed.add(folder.name)
    found = groups.usable()
    for parent in {found.memory, found.pids or found.memory} if found else ():
        for one in parent.glob(f"{PREFIX}*"):
            # A group without a folder here belongs to a process with another temporary folder.
            if one.name.rpartition("-")[0] in removed or _is_old(one):
                groups.remove_group(one, seconds=1.0)  # its processes are still ending


def _is_old(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return time.time() - path.stat().st_mtime > _NEW
    return False


def _is_in_use(folder: Path) -> bool:
    """Return whether the process that made a folder still runs, or is not ours to judge."""
    try:
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            return True
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return not _is_old(folder)
    except OSError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False
