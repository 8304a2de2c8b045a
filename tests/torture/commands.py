"""One command of aisb in a process of its own, forked from this one: real files, sockets and signals, no start-up."""

from __future__ import annotations

import datetime as dt
import os
import pkgutil
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from aisb import AisbError
from aisb_engine import Plugins, RunCommand, RunInput, execute_run

DEFECT = 70


def import_everything() -> None:
    """Import what a run needs, so that a forked process begins at once."""
    for package in ("aisb_engine", "aisb_backend_openai", "aisb_backend_vllm", "aisb_reporter_performance"):
        module = import_module(package)
        for found in pkgutil.walk_packages(module.__path__, f"{package}."):
            if not found.name.endswith((".worker", ".__main__")):
                import_module(found.name)
    for name in ("numpy", "httpx", "uvloop", "aisb_evaluator_text"):
        with suppress(ImportError):
            import_module(name)


def spawn(work: Callable[[], int], log: Path) -> int:
    """Start work in a forked process; its output goes to a file, its result is its exit code."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = DEFECT
    try:
        os.setsid()
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(file, 1)
        os.dup2(file, 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code = work()
    except KeyboardInterrupt:
        code = 130
    except BaseException:  # noqa: BLE001 - the process ends here, and says why
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def ended(pid: int, seconds: float) -> int | None:
    """Wait for a process; return its exit code, negative for a signal, or None where it still runs."""
    until = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        left = until - time.monotonic()
        if left <= 0:
            return None
        time.sleep(min(0.002, left))


def run_command(
    plugins: Plugins,
    work: Path,
    *,
    mode: str,
    url: str,
    reuse: str | None,
    load: dict[str, Any],
    params: dict[str, Any],
    file_size: int | None = None,
    clock: random.Random | None = None,
) -> int:
    """Do what `aisb run` does, and return its exit code. `clock` makes the wall clock jump at each look."""
    if file_size is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, resource.RLIM_INFINITY))
    if clock is not None:
        _jumping(clock)
    asked = RunInput()
    if reuse is None:
        asked = RunInput(
            models=["vllm_api_stream_chat"],
            datasets=["demo_gsm8k"],
            options={"url": url},
            load=load,
            params=params,
            run={"reporters": ["performance"] if mode == "perf" else [], "max_failures": 0},
            tables={"run": {"reporter_options": {"performance": {"show": False}}}} if mode == "perf" else {},
        )
    command = RunCommand(asked, mode=mode, reuse=reuse, work_dir=work, words=["torture"])  # type: ignore[arg-type]
    try:
        return execute_run(command, plugins).exit_code
    except AisbError as error:
        print(f"error: {error}", flush=True)
        return error.exit_code


def _jumping(draw: random.Random) -> None:
    """Let the wall clock jump by up to ten years at each look; the monotonic clock goes on."""

    def jump() -> float:
        return draw.choice((0, 0, 1, -1)) * draw.uniform(0, 10 * 365 * 86_400)

    real_time, real_ns, real = time.time, time.time_ns, dt.datetime

    class Jumping(real):  # type: ignore[misc,valid-type]
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:
            return real.now(tz) + dt.timedelta(seconds=jump())

    time.time = lambda: real_time() + jump()
    time.time_ns = lambda: real_ns() + int(jump() * 1e9)
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("aisb") and getattr(module, "datetime", None) is real:
            module.datetime = Jumping  # type: ignore[attr-defined]
