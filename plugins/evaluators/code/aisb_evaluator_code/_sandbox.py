"""Start things in boxes: what contains them here, how long they may run, and the end of all they started."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aisb_evaluator_code._container import container

HERE = Path(__file__).parent
SPENT = (128 + signal.SIGKILL, 128 + signal.SIGXCPU)
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may take; sizes in MB. `seconds` are of processor time, for each process.

    By the clock it is three times as much, so that a busy machine does not fail a program. With an `image`,
    programs run in containers of it.
    """

    seconds: float = 10.0
    memory: int = 1024
    processes: int = 32
    disk: int = 64
    output: int = 1
    memory_kind: str = "RLIMIT_AS"
    image: str = ""

    @property
    def deadline(self) -> float:
        """Seconds by the clock."""
        return 3 * self.seconds

    def table(self) -> dict[str, Any]:
        """Return them as the box wants them."""
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
    """What contains a program on this machine: `namespaces`, or the uid of nobody, or limits alone."""

    namespaces: bool
    unprivileged: bool
    reason: str = ""

    @property
    def open(self) -> str:
        """Say what is not contained; empty where everything is."""
        if self.namespaces:
            return ""
        files = "files that anyone may read" if self.unprivileged else "your files, to read and to write"
        return f"the network, {files}, and processes that leave their session"


@functools.cache
def containment() -> Containment:
    """Find out, by making a box, what contains a program here."""
    if sys.platform != "linux":
        return Containment(False, False, f"{sys.platform} has no namespaces")
    root = os.geteuid() == 0
    with box({"argv": ["/bin/true"]}, Limits(), namespaces=True) as process:
        _, problem = process.communicate(timeout=30)
        if process.returncode == 0:
            return Containment(True, True)
    return Containment(False, root, problem.decode(errors="replace").strip()[:200])


@contextlib.contextmanager
def box(
    run: Mapping[str, Any],
    limits: Limits,
    *,
    given: Mapping[str, Any] | None = None,
    keep: Sequence[int] = (),
    files: Mapping[str, str] | None = None,
    stdin: int | None = None,
    stdout: int = subprocess.DEVNULL,
    namespaces: bool | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start something in a box, and end everything in it in the end."""
    inside = containment().namespaces if namespaces is None else namespaces
    folder = Path(tempfile.mkdtemp(prefix="aisb-box-"))
    uid = 20_000 + (os.getpid() * 61 + next(_numbers)) % 40_000 if os.geteuid() == 0 else None
    kept = [*keep, *([stdin] if stdin is not None else [])]
    table: dict[str, Any] = {
        "run": dict(run),
        "given": dict(given or {}),
        "limits": limits.table(),
        "binds": _binds(run),
        "files": dict(files or {}),
        "folder": str(folder),
        "namespaces": inside,
        "keep": list(keep),
        "uid": uid,
    }
    if stdin is not None:
        table["stdin"] = stdin
    process = subprocess.Popen(  # noqa: S603 - this is what the box is for
        [sys.executable, "-I", "-S", str(HERE / "_contain.py")],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.PIPE,
        pass_fds=kept,
        start_new_session=True,
        env={"PATH": "/usr/bin:/bin"},
    )
    try:
        assert process.stdin  # noqa: S101 - it was asked for
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(table).encode())
            process.stdin.close()
        process.stdin = None
        yield process
    finally:
        _end(process, None if inside else uid)
        shutil.rmtree(folder, ignore_errors=True)


def _end(process: subprocess.Popen[bytes], uid: int | None) -> None:
    """Kill the process, its session, and, where it had a user of its own, all of that user's."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
    if uid is not None:
        subprocess.run(["/bin/sh", "-c", "kill -9 -1"], user=uid, check=False, stderr=subprocess.DEVNULL)
    for stream in (process.stdout, process.stderr):
        if stream:
            stream.close()


def _binds(run: Mapping[str, Any]) -> list[str]:
    """Return the folders that what is run needs besides the system's."""
    if "argv" not in run:
        return sorted({sys.base_prefix, sys.base_exec_prefix} - {"/usr", "/"})
    return [*map(str, Path("/etc").glob("java*")), *run.get("binds", ())]


@functools.cache
def _source(name: str) -> str:
    return (HERE / f"_{name}.py").read_text(encoding="utf-8")


def _python(name: str) -> dict[str, Any]:
    modules = {"aisb_evaluator_code": "", "aisb_evaluator_code._wire": _source("wire")}
    return {"python": _source(name), "modules": modules}


def run_tests(
    program: str, tests: Sequence[str], *, entry: str | None, prelude: str, limits: Limits
) -> dict[str, Any]:
    """Run a Python program in one box and its tests in another; return `passed`, and else the `problem`.

    The two are joined by a channel over which only plain values travel. The verdict comes from the box of the
    tests, over a pipe that the other one does not have. `error` says why there is no verdict.
    """
    ours, theirs = socket.socketpair()
    reading, writing = os.pipe()
    spent = False
    with ours, theirs, os.fdopen(reading, "rb") as verdict:
        given = {"program": program}
        asked = {"tests": list(tests), "entry": entry, "prelude": prelude}
        try:
            with _two(limits, given, asked, theirs=theirs.fileno(), ours=ours.fileno(), verdict=writing) as (
                one,
                other,
            ):
                os.close(writing)
                writing = -1
                theirs.close()
                ours.close()
                text, late = _read(verdict.fileno(), limits.deadline, 1 << 16)
                problems = [_words(process) for process in (one, other)] if not text else []
                with contextlib.suppress(subprocess.TimeoutExpired):
                    spent = one.wait(timeout=0.2) in SPENT
        finally:
            if writing >= 0:
                os.close(writing)
    at = text.find(b'{"passed": ')  # an engine of containers may have had its say before
    if at < 0 and text and not late:
        return {"passed": False, "error": text.decode(errors="replace").strip()[-400:]}
    if at >= 0:
        found = dict(json.loads(text[at:]))
        if spent and not found["passed"]:
            found["problem"] = (
                f"killed: it took {limits.seconds:g} s of processor time, or what else it may take"
            )
        return found
    if late:
        return {"passed": False, "problem": f"no end within {limits.deadline:g} s"}
    if any(problems):
        return {"passed": False, "error": "; ".join(filter(None, problems))}
    return {"passed": False, "problem": "the tests ended without a verdict"}


@contextlib.contextmanager
def _two(
    limits: Limits, given: dict[str, Any], asked: dict[str, Any], *, theirs: int, ours: int, verdict: int
) -> Iterator[tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]]:
    """Start a program and its tests, each in a box or a container of its own, joined by a channel."""
    of_tests = replace(limits, memory=max(limits.memory, 1024), output=1, memory_kind="RLIMIT_AS")
    program, checker = _python("program"), _python("checker")
    if limits.image:
        with (
            container(program, limits, given=given, stdin=theirs, stdout=theirs) as one,
            container(checker, of_tests, given=asked, stdin=ours, stdout=ours, stderr=verdict) as other,
        ):
            yield one, other
        return
    given = {**given, "channel": theirs}
    asked = {**asked, "channel": ours, "verdict": verdict}
    with (
        box(program, limits, given=given, keep=[theirs]) as one,
        box(checker, of_tests, given=asked, keep=[ours, verdict]) as other,
    ):
        yield one, other


def run_command(
    command: str, files: Mapping[str, str], limits: Limits, *, stdin: str = "", binds: Sequence[str] = ()
) -> tuple[int | None, str]:
    """Run a shell command in a box; return its status (None: too long, or too much output) and its output."""
    given, write = os.pipe()
    os.set_blocking(write, False)
    with contextlib.suppress(BlockingIOError):
        os.write(write, stdin.encode())
    os.close(write)
    try:
        run = {"argv": ["/bin/sh", "-c", f"exec 2>&1; {command}"], "binds": list(binds)}
        start = container if limits.image else box
        with start(run, limits, files=files, stdin=given, stdout=subprocess.PIPE) as process:
            assert process.stdout  # noqa: S101 - it was asked for
            most = limits.output << 20
            text, late = _read(process.stdout.fileno(), limits.deadline, most + 1)
            shown = text[:most].decode(errors="replace")
            if late or len(text) > most:
                return None, shown
            return process.wait(timeout=5), shown
    except subprocess.TimeoutExpired:
        return None, shown
    finally:
        os.close(given)


def _read(descriptor: int, seconds: float, most: int) -> tuple[bytes, bool]:
    """Return what comes until the end, `most` bytes, or the deadline, and whether it was the deadline."""
    import select

    ends = time.monotonic() + seconds
    pieces = bytearray()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN | select.POLLHUP)
    while len(pieces) < most:
        left = ends - time.monotonic()
        if left <= 0 or not poll.poll(1000 * left):
            return bytes(pieces), True
        piece = os.read(descriptor, 1 << 16)
        if not piece:
            break
        pieces += piece
    return bytes(pieces), False


def _words(process: subprocess.Popen[bytes]) -> str:
    """Return what a box said about itself, if it could not be made."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    if process.returncode == 125 and process.stderr:
        return process.stderr.read(500).decode(errors="replace").strip()
    return ""


def run_program(program: str, given: str, limits: Limits) -> tuple[int | None, str]:
    """Run a Python program with this input; return what `run_command` does."""
    here = f"{sys.base_prefix}/bin/python{sys.version_info[0]}.{sys.version_info[1]}"
    python = "python3" if limits.image else here
    files = {"main.py": program, "input": given}
    binds = sorted({sys.base_prefix, sys.base_exec_prefix} - {"/usr", "/"})
    return run_command(f"exec {python} -I main.py <input 2>/dev/null", files, limits, binds=binds)
