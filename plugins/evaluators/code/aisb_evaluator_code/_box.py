"""Start programs in boxes: the containment on this machine, the limits, and the end of all processes."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aisb_evaluator_code import _groups as groups
from aisb_evaluator_code._leftovers import own_folder
from aisb_evaluator_code._reasons import TOO_MUCH, EndReason
from aisb_evaluator_code._stopping import ended_by_a_stop
from aisb_evaluator_code._system_calls import system_call_filter

PACKAGE_FOLDER = Path(__file__).parent
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one program; sizes in MB. `seconds` are CPU time of each process.

    The wall-clock limit is three times as long, so that a program does not fail on a busy machine. With an
    `image`, programs run in containers of it. `memory` limits one process; `tree` limits all processes of a
    box together with its files, by default to the memory of one process plus the disk. A control group
    enforces it if one can be made, unless `grouped` is off; otherwise the box watches its processes.
    """

    seconds: float = 10.0
    memory: int = 1024
    processes: int = 32
    disk: int = 64
    output: int = 1
    memory_kind: str = "RLIMIT_AS"
    image: str = ""
    tree: int = 0
    grouped: bool = True

    def __post_init__(self) -> None:
        if not self.tree:
            object.__setattr__(self, "tree", self.memory + self.disk)

    @property
    def deadline(self) -> float:
        """The wall-clock limit in seconds."""
        return 3 * self.seconds

    def table(self) -> dict[str, Any]:
        """Return the limits in the form that the box reads."""
        return {
            "cpu": math.ceil(self.seconds),
            "memory": self.memory << 20,
            "memory_kind": self.memory_kind,
            "processes": self.processes,
            "disk": self.disk << 20,
            "file": self.disk << 20,
        }


@dataclass(frozen=True, slots=True)
class Containment:
    """The containment on this machine: `namespaces`, the uid of nobody, or limits only."""

    namespaces: bool
    unprivileged: bool
    reason: str = ""
    filtered: bool = True

    @property
    def box(self) -> str:
        """The name of the containment, for the results."""
        found = groups.usable()
        user = "unprivileged user" if self.unprivileged else "same user"
        memory = f"control group v{found.version}" if found else "watched memory"
        calls = "system call filter" if self.filtered else "no system call filter"
        return f"{'namespaces' if self.namespaces else user}, {calls}, {memory}"

    @property
    def open(self) -> str:
        """Return what is not contained; empty if everything is."""
        if self.namespaces:
            return ""
        files = "files that anyone may read" if self.unprivileged else "your files, to read and to write"
        return f"the network, {files}, and processes that leave their session"


@functools.cache
def containment() -> Containment:
    """Determine the containment on this machine by making a box."""
    if sys.platform != "linux":
        return Containment(False, False, f"{sys.platform} has no namespaces")
    problem = b""
    for filtered in (True, False):
        attempt = Containment(True, True, filtered=filtered)
        with box_command({"argv": ["/bin/true"]}, Limits(), contained=attempt) as process:
            _, problem = process.communicate(timeout=30)
            if process.returncode == 0:
                return attempt
        if b"filtered" not in problem:
            break
    reason = problem.decode(errors="replace").strip()[:200]
    return Containment(False, os.geteuid() == 0, reason, filtered=_can_filter())


def _can_filter() -> bool:
    if system_call_filter(os.uname().machine) is None:
        return False
    with box_command({"argv": ["/bin/true"]}, Limits(), contained=Containment(False, False)) as process:
        return process.wait(timeout=30) == 0


@contextlib.contextmanager
def box_command(
    run: Mapping[str, Any],
    limits: Limits,
    *,
    given: Mapping[str, Any] | None = None,
    keep: Sequence[int] = (),
    files: Mapping[str, str] | None = None,
    stdin: int | None = None,
    stdout: int = subprocess.DEVNULL,
    contained: Containment | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command in a box, and kill everything in the box at the end of the block."""
    found = contained or containment()
    home = own_folder(os.getpid())
    number = next(_numbers)
    folder = Path(tempfile.mkdtemp(prefix="box-", dir=home))
    uid = 20_000 + (os.getpid() * 61 + number) % 40_000 if os.geteuid() == 0 else None
    descriptors = [*keep, *([stdin] if stdin is not None else [])]
    calls = system_call_filter(os.uname().machine) if found.filtered else None
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        where = groups.usable() if limits.grouped else None
        group = None
        if where:
            name = f"{home.name}-{number}"
            group = stack.enter_context(groups.group(where, name, limits.tree << 20, limits.processes))
        table: dict[str, Any] = {
            "run": dict(run),
            "given": dict(given or {}),
            "limits": limits.table(),
            "binds": _binds(run),
            "files": dict(files or {}),
            "folder": str(folder),
            "namespaces": found.namespaces,
            "keep": list(keep),
            "uid": uid,
            "filter": calls.hex() if calls else "",
            "watch": 0 if group else limits.tree << 20,
        }
        if stdin is not None:
            table["stdin"] = stdin
        process = SandboxBox(
            [sys.executable, "-I", "-S", str(PACKAGE_FOLDER / "_contain.py")],
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=subprocess.PIPE,
            pass_fds=descriptors,
            start_new_session=True,
            env={"PATH": "/usr/bin:/bin"},
        )
        process.group = group
        try:
            if group:
                group.add(process.pid)  # the box waits for its table, so nothing runs outside the group
            assert process.stdin  # noqa: S101 - it was asked for
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps(table).encode())
                process.stdin.close()
            process.stdin = None
            with ended_by_a_stop(lambda: _kill_session(process)):
                yield process
        finally:
            _end(process, None if found.namespaces else uid)


class SandboxBox(subprocess.Popen[bytes]):
    """The process that makes a box and ends with it, and the control group that limits it."""

    group: groups.Group | None = None


def _end(process: subprocess.Popen[bytes], uid: int | None) -> None:
    """Kill the process, its session and, if it has its own user, all processes of that user."""
    _kill_session(process)
    process.wait()
    if uid is not None:
        subprocess.run(["/bin/sh", "-c", "kill -9 -1"], user=uid, check=False, stderr=subprocess.DEVNULL)
    for stream in (process.stdout, process.stderr):
        if stream:
            stream.close()


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def _binds(run: Mapping[str, Any]) -> list[str]:
    """Return the folders that the command needs besides those of the system."""
    if "argv" not in run:
        return sorted({sys.base_prefix, sys.base_exec_prefix, *run.get("binds", ())} - {"/usr", "/"})
    return [*map(str, Path("/etc").glob("java*")), *run.get("binds", ())]


def ended_by(process: subprocess.Popen[bytes], *, seconds: float) -> EndReason:
    """Return how a box ended, if it ends within `seconds`."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        status = process.wait(timeout=seconds)
        words = process.stderr.read(2000).decode(errors="replace") if process.stderr else ""
        return EndReason(status, words, ran_out_of_memory(process, status))
    return EndReason(out_of_memory=ran_out_of_memory(process))


def ran_out_of_memory(process: subprocess.Popen[bytes], status: int | None = None) -> bool:
    """Return whether a process of a box was killed for lack of memory; the box may still run."""
    group = process.group if isinstance(process, SandboxBox) else None
    return status == TOO_MUCH or bool(group and group.out_of_memory)
