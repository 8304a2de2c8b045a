"""How many connections this machine can hold at once: said before the first request, not by a failed one."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from aisb._errors import ConfigError, StorageError

SPARE_FILES = 64
"""Files of a process that are no connections: the log, pipes, libraries."""

LEAST_FILES = 32
"""Files that a process must be able to open for the smallest run: its own, a worker's pipes, a connection."""

PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


class ConnectionLimits(NamedTuple):
    """What limits connections: files a process may open (None: no limit), and local ports (None: unknown)."""

    files: int | None
    ports: int | None

    @property
    def connections(self) -> int | None:
        """How many connections a process can hold at once, by its limit of files; None: no limit."""
        return None if self.files is None else max(1, self.files - SPARE_FILES)


def room() -> ConnectionLimits:
    """Return what this process could open after `raise_limit`, and the ports there are to one service."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    ports = None
    with suppress(OSError, ValueError):
        low, high = map(int, PORTS.read_text(encoding="ascii").split())
        ports = high - low + 1
    return ConnectionLimits(None if hard == resource.RLIM_INFINITY else hard, ports)


def raise_limit() -> None:
    """Raise this process's limit of open files as far as it may be raised."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):  # some systems cap it below their own hard limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def check_files() -> None:
    """Refuse to ask where this process may open too few files for any run.

    Raises:
        StorageError: names the limit, and what raises it.
    """
    raise_limit()
    files = room().files
    if files is not None and files < LEAST_FILES:
        raise StorageError(
            f"this process may open {files} files at a time, and a run needs at least {LEAST_FILES}: "
            "raise `ulimit -Hn`"
        )


def most_files() -> int:
    """Return how many connections this process may open now."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 1_000_000 if soft == resource.RLIM_INFINITY else max(1, soft - SPARE_FILES)


def check_room(wanted: int, workers: int, has: ConnectionLimits) -> None:
    """Refuse a concurrency that this machine cannot hold.

    Raises:
        ConfigError: names the limit, the highest possible value, and what raises it.
    """
    where = "load.concurrency"
    if has.files is not None:
        most = max(1, has.files - SPARE_FILES) * workers
        if wanted > most:
            who = "a process" if workers == 1 else f"each of {workers} processes"
            raise ConfigError(
                where,
                f"{wanted:,} cannot be in flight: {who} may open {has.files:,} files, so at most {most:,}; "
                f"raise `ulimit -Hn`, or give more --workers",
            )
    if has.ports is not None and wanted > has.ports:
        raise ConfigError(
            where,
            f"{wanted:,} cannot be in flight: there are {has.ports:,} local ports, so at most {has.ports:,}; "
            "widen net.ipv4.ip_local_port_range (sysctl)",
        )


def cores() -> int:
    """Return how many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1
