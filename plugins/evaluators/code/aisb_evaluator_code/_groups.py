"""Limit the memory and the number of processes of a box by a control group, if one can be made.

Both versions of the kernel's interface are supported, whichever has the memory controller. The group is made
below that of this process. Version 2 requires that the parent delegates the memory controller; otherwise the
box itself watches its processes.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
OVERHEAD_BYTES = 32 << 20
"""The memory of the processes that make a box."""


@dataclass(frozen=True, slots=True)
class Parents:
    """Where groups can be made: the memory folder, its version, and the folder of the pids controller."""

    memory: Path
    version: int
    pids: Path | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """The control group of one box."""

    memory: Path
    version: int
    pids: Path | None

    def add(self, pid: int) -> None:
        """Add a process to the group, with all that it starts from now on."""
        for folder in {self.memory, self.pids or self.memory}:
            (folder / "cgroup.procs").write_text(str(pid))

    @property
    def out_of_memory(self) -> bool:
        """Whether the kernel killed one of its processes for lack of memory."""
        name = "memory.events" if self.version == 2 else "memory.oom_control"
        with contextlib.suppress(OSError, ValueError):
            words = (line.split() for line in (self.memory / name).read_text().splitlines())
            return any(word[0] == "oom_kill" and int(word[1]) > 0 for word in words)
        return False


def parents(root: Path = ROOT, own: Path = Path("/proc/self/cgroup")) -> Parents | None:
    """Return where this process can make groups that bound memory; None if it cannot."""
    places: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            places |= dict.fromkeys(controllers.split(",") if controllers else ["unified"], path)
    if "memory" in places:
        memory, pids = _folder(root / "memory", places["memory"]), None
        if "pids" in places:
            pids = _folder(root / "pids", places["pids"])
        return Parents(memory, 1, pids if pids and _writable(pids) else None) if _writable(memory) else None
    for mounted in (root, root / "unified"):
        here = _folder(mounted, places.get("unified", ""))
        # A group with processes cannot delegate controllers, except the root, but its parent may. That is
        # not allowed if the group has its own limit, which would not apply to a sibling.
        for folder in (here, here.parent if here != mounted and _is_unlimited(here) else here):
            passed_on = _words(folder / "cgroup.subtree_control")
            if "memory" in passed_on and _writable(folder):
                return Parents(folder, 2, folder if "pids" in passed_on else None)
    return None


def _folder(mounted: Path, path: str) -> Path:
    """Return a group's folder; in a container, the path may be that of the host."""
    inside = mounted / path.lstrip("/")
    return inside if inside.is_dir() else mounted


def _writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK)


def _is_unlimited(folder: Path) -> bool:
    return _words(folder / "memory.max") in ([], ["max"])


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


@functools.cache
def usable() -> Parents | None:
    """Return where groups can be made, after a trial."""
    found = parents()
    if found is None:
        return None
    try:
        with group(found, f"aisb-box-{os.getpid()}-try", 64 << 20, 8):
            return found
    except OSError:
        return None


@contextlib.contextmanager
def group(where: Parents, name: str, memory: int, processes: int) -> Iterator[Group]:
    """Make a group with limits; remove it after the block, when its processes have ended."""
    created = Group(where.memory / name, where.version, where.pids / name if where.pids else None)
    folders = sorted({created.memory, created.pids or created.memory})
    try:
        for folder in folders:
            folder.mkdir()
        memory += OVERHEAD_BYTES
        if created.version == 2:
            (created.memory / "memory.max").write_text(str(memory))
            _write(created.memory / "memory.swap.max", "0")
            _write(created.memory / "memory.oom.group", "1")
        else:
            (created.memory / "memory.limit_in_bytes").write_text(str(memory))
            _write(created.memory / "memory.memsw.limit_in_bytes", str(memory))
        if created.pids:
            (created.pids / "pids.max").write_text(str(processes + 4))  # includes the box's own processes
        yield created
    finally:
        for folder in folders:
            remove_group(folder)


def _write(file: Path, text: str) -> None:
    with contextlib.suppress(OSError):  # missing in some kernels
        file.write_text(text)


def remove_group(folder: Path, seconds: float = 2.0) -> None:
    """Remove a group as soon as its last process has ended."""
    ends = time.monotonic() + seconds
    while folder.is_dir():
        with contextlib.suppress(OSError):
            folder.rmdir()
            return
        if time.monotonic() > ends:
            return
        time.sleep(0.005)
