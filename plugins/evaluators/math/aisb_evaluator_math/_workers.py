"""The processes that compare answers: one that exceeds its deadline is killed and replaced."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any, cast

from aisb_evaluator_math._worker import ELAPSED

STARTING = 60.0
"""Seconds that a process may take to start, since its imports are slow on a busy machine."""

_pools: dict[int, ComparisonPool] = {}
_lock = threading.Lock()


def pool(workers: int = 0) -> ComparisonPool:
    """Return the pool of this many processes (0: one for each core), which all evaluators share."""
    count = workers or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else workers or 2
    with _lock:
        if count not in _pools:
            _pools[count] = ComparisonPool(count)
        return _pools[count]


class ComparisonPool:
    """Threads, each with its own process, which starts at the first comparison."""

    def __init__(self, count: int) -> None:
        self.threads = ThreadPoolExecutor(count, thread_name_prefix="math-verify")
        self._own = threading.local()
        self._workers: list[MathWorker] = []
        atexit.register(self.close)

    def compare(self, gold: str, answer: str, deadline: float) -> dict[str, Any]:
        """Return `right`, `vote`, and, without a verdict, `problem`; called in one of the threads."""
        worker: MathWorker | None = getattr(self._own, "worker", None)
        if worker is None or worker.ended:
            worker = self._own.worker = MathWorker()
            self._workers = [one for one in self._workers if not one.ended] + [worker]
        return worker.compare(gold, answer, deadline)

    def close(self) -> None:
        """End all processes."""
        for worker in self._workers:
            worker.end()


class MathWorker:
    """One process. It writes a line when it is ready, and a line for each pair of answers."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "aisb_evaluator_math._worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._output, selectors.EVENT_READ)
        self.ended = False
        self._ready = False

    @property
    def _output(self) -> IO[bytes]:
        return cast("IO[bytes]", self.process.stdout)

    def compare(self, gold: str, answer: str, deadline: float) -> dict[str, Any]:
        """Request one comparison; kill the process if it does not end by itself after the deadline."""
        if not self._ready:
            if self._line(STARTING) is None:
                self.end()
                return {
                    "problem": "the process that compares answers did not start: is math-verify installed?"
                }
            self._ready = True
        line = json.dumps([gold, answer, deadline]).encode() + b"\n"
        with contextlib.suppress(BrokenPipeError):
            stream = cast("IO[bytes]", self.process.stdin)
            stream.write(line)
            stream.flush()
        reply = self._line(deadline * ELAPSED + 0.5)
        if reply is None:
            self.end()
            return {"problem": f"no verdict on {answer[:60]!r} within {deadline:g} s and its memory limit"}
        return cast("dict[str, Any]", json.loads(reply))

    def end(self) -> None:
        """Kill the process."""
        if self.ended:
            return
        self.ended = True
        self._selector.close()
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self._output):
            if stream:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def _line(self, seconds: float) -> bytes | None:
        """Return the next line; None if none arrives in time, or the process has ended."""
        if not self._selector.select(seconds):
            return None
        return self._output.readline() or None
