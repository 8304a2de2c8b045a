"""Fork the Python processes that a forked command starts, as `forked.py` forks the command itself.

A mock server, a worker and the process that compares formulas import for 0.2 s to 1 s of a core, and tests start
hundreds.
In a forked command, `start_by_fork` makes `subprocess.Popen` fork the command instead of executing Python, where
the child would be this Python with a module that is imported already. The child gets the arguments, folder,
environment, process group and files that `Popen` asked for. Its parent and its end are as usual.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures.thread
import contextlib
import contextvars
import gc
import io
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

MODULES = ("aisb_mock", "aisb_evaluator_math._worker", "aisb_engine._performance.split")
"""What is started with `python -P -m`, and reads its own standard streams."""
WORKER = "aisb_engine._load.worker"
"""What is started with `python -m` by an event loop."""

_kept: list[Any] = []
"""Objects of the parent. They would close files of the child if they were deleted."""


def start_by_fork(
    run_module: Callable[[str], NoReturn], fixed: Sequence[str], *, workers: bool = False
) -> None:
    """Fork children of this process from now on; `fixed` are variables that act when Python starts."""
    execute = subprocess._fork_exec  # type: ignore[attr-defined]

    def fork_or_execute(*given: Any) -> int:
        words = [os.fsdecode(word) for word in given[0]]
        begins = words[:3] == [sys.executable, "-P", "-m"] and words[3] in MODULES
        begins = begins or (workers and words == [sys.executable, "-m", WORKER])
        if not begins or not _is_plain(given, fixed):
            return execute(*given)
        if (process := os.fork()) == 0:
            try:
                _take_over(words, given)
                contextvars.Context().run(run_module, words[words.index("-m") + 1])
            except BaseException:  # noqa: BLE001 - nothing may return into the parent's code
                traceback.print_exc()
            finally:
                os._exit(255)
        return process

    subprocess._fork_exec = fork_or_execute  # type: ignore[attr-defined]
    if workers:
        _start_workers_with_popen()


def _start_workers_with_popen() -> None:
    """Let event loops start workers by `Popen`, which can be forked; uvloop's own way always executes Python."""
    execute = asyncio.create_subprocess_exec

    async def start(*words: Any, limit: int = 2**16, **more: Any) -> asyncio.subprocess.Process:
        if words != (sys.executable, "-m", WORKER):
            return await execute(*words, limit=limit, **more)
        loop = asyncio.get_running_loop()
        protocol = asyncio.subprocess.SubprocessStreamProtocol(limit, loop)
        ready = loop.create_future()
        transport: Any = asyncio.unix_events._UnixSubprocessTransport(  # type: ignore[attr-defined]
            loop, protocol, words, False, more.pop("stdin"), more.pop("stdout"), more.pop("stderr"), 0,
            waiter=ready, **more,
        )  # fmt: skip
        ending = os.pidfd_open(transport.get_pid())

        def tell_end() -> None:
            loop.remove_reader(ending)
            os.close(ending)
            transport._process_exited(transport._proc.wait())

        loop.add_reader(ending, tell_end)
        await ready
        return asyncio.subprocess.Process(transport, protocol, loop)

    asyncio.create_subprocess_exec = start


def _is_plain(given: Sequence[Any], fixed: Sequence[str]) -> bool:
    """Return whether a child asks for nothing that only a new Python has."""
    environment, owner = given[5], given[17:22]
    if any(one not in (None, -1) for one in owner):
        return False
    if environment is None:
        return True
    wanted = dict(os.fsdecode(line).split("=", 1) for line in environment)
    return all(wanted.get(name) == os.environ.get(name) for name in ("PYTHONPATH", *fixed))


def _take_over(words: list[str], given: Sequence[Any]) -> None:
    """Make this fork what a new Python would be: its files, signals, folder, environment and arguments."""
    close_others, passed, cwd, environment = given[2:6]
    stdin, to_child, from_child, stdout, errors, stderr, error_pipe, error_end = given[6:14]
    is_session, group = given[15:17]
    gc.freeze()
    atexit._clear()
    concurrent.futures.thread._threads_queues.clear()  # the threads of the parent do not exist here
    for one in (to_child, from_child, errors, error_pipe):
        if one != -1:
            os.close(one)
    _place_streams(stdin, stdout, stderr)
    os.close(error_end)  # as a successful exec does
    kept = set(passed) - {error_end}
    for one in _open_files() if close_others else []:
        if one > 2 and one not in kept:
            with contextlib.suppress(OSError):
                os.close(one)
    for one in kept:
        os.set_inheritable(one, True)
    if cwd is not None:
        os.chdir(cwd)
    if is_session:
        os.setsid()
    if group != -1:
        os.setpgid(0, group)
    if environment is not None:
        os.environ.clear()
        os.environ.update(dict(os.fsdecode(line).split("=", 1) for line in environment))
    _reset_signals()
    _open_streams()
    sys.argv = ["-m", *words[words.index("-m") + 2 :]]


def _place_streams(stdin: int, stdout: int, stderr: int) -> None:
    """Move the given files to 0, 1 and 2; all are moved out of the way first."""
    moved = [
        (number, os.dup(one)) for number, one in enumerate((stdin, stdout, stderr)) if one not in (-1, number)
    ]
    for number, one in moved:
        os.dup2(one, number)
        os.close(one)


def _open_files() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 - a fork has little time


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for one in signal.valid_signals():
        with contextlib.suppress(OSError, ValueError):
            if callable(signal.getsignal(one)):
                signal.signal(one, signal.default_int_handler if one == signal.SIGINT else signal.SIG_DFL)


def _open_streams() -> None:
    """Replace the standard streams, whose buffers may hold what the parent is about to write."""
    unbuffered = bool(getattr(sys.stdout, "write_through", False))
    _kept.extend((sys.stdin, sys.stdout, sys.stderr, sys.__stdin__, sys.__stdout__, sys.__stderr__))
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - kept to the end
    sys.stdout = sys.__stdout__ = _writer(1, "strict", unbuffered)
    sys.stderr = sys.__stderr__ = _writer(2, "backslashreplace", unbuffered)


def _writer(number: int, errors: str, unbuffered: bool) -> io.TextIOWrapper:
    buffer = open(number, "wb", closefd=False)  # noqa: SIM115 - kept to the end
    return io.TextIOWrapper(buffer, "utf-8", errors, line_buffering=number == 2, write_through=unbuffered)
