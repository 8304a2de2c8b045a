"""Check before the run that this machine can open as many connections as the load needs."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from aisb._errors import ConfigError, StorageError

SPARE_FILES = 64
"""Open files reserved for everything but connections: the log, pipes, libraries."""

MIN_FILES = 32
"""Open files that the smallest run needs: its own, the pipes of a worker, one connection."""

PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


class ConnectionLimits(NamedTuple):
    """The limits on connections: open files per process (None: no limit), local ports (None: unknown)."""

    files: int | None
    ports: int | None

    @property
    def connections(self) -> int | None:
        """The connections that one process can open within its limit of open files; None: no limit."""
        return None if self.files is None else max(1, self.files - SPARE_FILES)


def connection_limits() -> ConnectionLimits:
    """Return the limit of open files after `raise_limit`, and the number of local ports to one service."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    ports = None
    with suppress(OSError, ValueError):
        low, high = map(int, PORTS.read_text(encoding="ascii").split())
        ports = high - low + 1
    return ConnectionLimits(None if hard == resource.RLIM_INFINITY else hard, ports)


def raise_limit() -> None:
    """Raise this process's limit of open files as far as allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):  # some systems have a maximum below their hard limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def check_files() -> None:
    """Refuse to run if the limit of open files is too low for any run.

    Raises:
        StorageError: the message names the limit, and how to raise it.
    """
    raise_limit()
    files = connection_limits().files
    if files is not None and files < MIN_FILES:
        raise StorageError(
            f"this process may open {files} files at a time, and a run needs at least {MIN_FILES}: "
            "raise `ulimit -Hn`"
        )


def max_connections() -> int:
    """Return the number of connections that this process may open now."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 1_000_000 if soft == resource.RLIM_INFINITY else max(1, soft - SPARE_FILES)


def check_connections(connections: int, workers: int, limits: ConnectionLimits) -> None:
    """Refuse a concurrency that this machine does not allow.

    Raises:
        ConfigError: the message names the limit, the maximum, and how to raise it.
    """
    key = "load.concurrency"
    if limits.files is not None:
        limit = max(1, limits.files - SPARE_FILES) * workers
        if connections > limit:
            processes = "a process" if workers == 1 else f"each of {workers} processes"
            raise ConfigError(
                key,
                f"{connections:,} cannot be in flight: {processes} may open {limits.files:,} files, "
                f"so at most {limit:,}; raise `ulimit -Hn`, or give more --workers",
            )
    if limits.ports is not None and connections > limits.ports:
        raise ConfigError(
            key,
            f"{connections:,} cannot be in flight: there are {limits.ports:,} local ports, "
            f"so at most {limits.ports:,}; widen net.ipv4.ip_local_port_range (sysctl)",
        )


def cores() -> int:
    """Return the number of cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1
