"""Run a program and its tests in two boxes connected by a channel, and return the verdict."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import secrets
import select
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aisb_evaluator_code._box import (
    Containment,
    Limits,
    box_command,
    containment,
    ended_by,
    ran_out_of_memory,
)
from aisb_evaluator_code._container import container
from aisb_evaluator_code._packages import folders
from aisb_evaluator_code._reasons import (
    NOT_COMPILED,
    TOO_MUCH,
    EndReason,
    first_error,
    out_of_memory,
    raised_words,
    reason,
)

__all__ = [
    "Containment",
    "Limits",
    "ProgramEnd",
    "box_command",
    "containment",
    "judged",
    "run_program",
    "run_shell",
    "run_tests",
]

PACKAGE_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class ProgramEnd:
    """One end of a trial: the command in its box, with its files and limits."""

    run: Mapping[str, Any]
    limits: Limits
    given: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


@functools.cache
def _source(name: str) -> str:
    return (PACKAGE_FOLDER / f"_{name}.py").read_text(encoding="utf-8")


def _python(name: str) -> dict[str, Any]:
    modules = {"aisb_evaluator_code": "", "aisb_evaluator_code._wire": _source("wire")}
    return {"python": _source(name), "modules": modules}


def run_tests(
    program: str,
    tests: Sequence[str],
    *,
    entry: str | None,
    prelude: str,
    limits: Limits,
    lines_before: int = 0,
) -> dict[str, Any]:
    """Run a Python program in one box and its tests in another; return the result of `judged`.

    In messages about the program, line numbers count from the line after `lines_before`.
    """
    settings = {"tests": list(tests), "entry": entry, "prelude": prelude}
    of_tests = replace(limits, memory=max(limits.memory, 1024), output=1, memory_kind="RLIMIT_AS", tree=0)
    binds, searched = folders(program)
    return judged(
        ProgramEnd(
            {**_python("program"), "binds": binds}, limits, given={"program": program, "paths": searched}
        ),
        ProgramEnd(_python("checker"), of_tests, given=settings),
        limits,
        lines_before=lines_before,
    )


def judged(
    program: ProgramEnd, tests: ProgramEnd, limits: Limits, *, lines_before: int = 0
) -> dict[str, Any]:
    """Run a program in one box and its tests in another; return `passed`, or else the `problem`.

    A channel that carries only plain values connects the two. The verdict comes from the box of the tests,
    over a pipe that the program's box does not have. `error` is the reason if there is no verdict.
    """
    tests_end, program_end = socket.socketpair()
    reading, writing = os.pipe()
    ended, found = EndReason(), None
    with tests_end, program_end, os.fdopen(reading, "rb") as verdict:
        try:
            with (
                _start(program, program_end.fileno()) as one,
                _start(tests, tests_end.fileno(), verdict=writing) as other,
            ):
                os.close(writing)
                writing = -1
                program_end.close()
                tests_end.close()
                text, late = _read(verdict.fileno(), limits.deadline, 1 << 16)
                found = _verdict(text)
                if late:  # a program waits forever for a process that the kernel has killed
                    ended = EndReason(out_of_memory=ran_out_of_memory(one))
                elif not (found and found["passed"]):
                    ended = ended_by(one, seconds=0.5)
                no_box = _no_verdict(ended, ended_by(other, seconds=1)) if not text and not late else ""
        finally:
            if writing >= 0:
                os.close(writing)
    if ended.no_box:
        return {"passed": False, "error": ended.no_box}
    if found:
        return reason(found, ended, limits, lines_before)
    if late:
        return reason({"passed": False, "problem": f"timeout after {limits.deadline:g} s"}, ended, limits)
    if text:
        return {"passed": False, "error": text.decode(errors="replace").strip()[-400:]}
    if no_box:
        return {"passed": False, "error": no_box}
    return reason({"passed": False, "problem": "the tests ended without a verdict"}, ended, limits)


def _no_verdict(program: EndReason, tests: EndReason) -> str:
    """Return what prevented the tests from running, unless it was the program."""
    if program.no_box or tests.no_box:
        return program.no_box or tests.no_box
    return f"the tests do not compile: {first_error(tests.words)}" if tests.status == NOT_COMPILED else ""


def _verdict(text: bytes) -> dict[str, Any] | None:
    """Return the verdict of the tests; a container engine may have written before it."""
    at = text.find(b'{"passed":')
    try:
        return dict(json.loads(text[at:])) if at >= 0 else None
    except ValueError:
        return None


def _start(
    end: ProgramEnd, channel: int, *, verdict: int | None = None
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Start one end of a channel in its own box or container; the tests also write a verdict."""
    if end.limits.image:
        stderr = subprocess.PIPE if verdict is None else verdict
        return container(
            end.run,
            end.limits,
            given=end.given,
            files=end.files,
            stdin=channel,
            stdout=channel,
            stderr=stderr,
        )
    written = {} if verdict is None else {"verdict": verdict}
    given = {**end.given, "channel": channel, **written}
    return box_command(end.run, end.limits, given=given, files=end.files, keep=[channel, *written.values()])


def run_shell(
    command: str, files: Mapping[str, str], limits: Limits, *, stdin: str = "", binds: Sequence[str] = ()
) -> tuple[int | None, str]:
    """Run a shell command in a box; return its status (None: timeout, or too much output) and its output.

    If a process was killed for lack of memory and the command failed, the output says so.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        os.write(writing, stdin.encode())
    os.close(writing)
    try:
        run = {"argv": ["/bin/sh", "-c", f"exec 2>&1; {command}"], "binds": list(binds)}
        start = container if limits.image else box_command
        with start(run, limits, files=files, stdin=reading, stdout=subprocess.PIPE) as process:
            assert process.stdout  # noqa: S101 - it was asked for
            limit = limits.output << 20
            text, late = _read(process.stdout.fileno(), limits.deadline, limit + 1)
            output = text[:limit].decode(errors="replace")
            status = None if late or len(text) > limit else process.wait(timeout=5)
            if status != 0 and ran_out_of_memory(process, status):
                return TOO_MUCH, out_of_memory(limits)
            return status, output
    except subprocess.TimeoutExpired:
        return None, output
    finally:
        os.close(reading)


def _read(descriptor: int, seconds: float, limit: int) -> tuple[bytes, bool]:
    """Read until the end, `limit` bytes, or the deadline; return the bytes, and whether time ran out."""
    ends = time.monotonic() + seconds
    pieces = bytearray()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN | select.POLLHUP)
    while len(pieces) < limit:
        left = ends - time.monotonic()
        if left <= 0 or not poll.poll(1000 * left):
            return bytes(pieces), True
        piece = os.read(descriptor, 1 << 16)
        if not piece:
            break
        pieces += piece
    return bytes(pieces), False


def run_program(program: str, text: str, limits: Limits) -> tuple[int | None, str]:
    """Run a Python program with this input; return what `run_shell` does, or why it ended with a status."""
    here = f"{sys.base_prefix}/bin/python{sys.version_info[0]}.{sys.version_info[1]}"
    python = "python3" if limits.image else here
    visible, searched = folders(program)
    files = {"main.py": program, "input": text, "start.py": _START.format(paths=searched)}
    binds = sorted({sys.base_prefix, sys.base_exec_prefix, *visible} - {"/usr", "/"})
    mark = secrets.token_hex(8)
    failed = f"{{ status=$?; printf %s {mark}; tail -c 2000 errors; exit $status; }}"
    command = f"{python} -I start.py <input 2>errors || {failed}"
    status, output = run_shell(command, files, limits, binds=binds)
    return status, raised_words(output.rpartition(mark)[2]) if status and mark in output else output


_START = """
import runpy, sys
sys.path += {paths!r}
runpy.run_path("main.py", run_name="__main__")
"""
