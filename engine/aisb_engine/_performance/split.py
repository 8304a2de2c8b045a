"""Use all cores for a large log: worker processes that each compute a part.

They run `python -m aisb_engine._performance.split`, and end when their input ends, so they never outlive the
process that started them.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from aisb._errors import RunError
from aisb._report import command_on
from aisb_engine._load.connection_limits import cores

T = TypeVar("T")

LARGE = 1 << 30
"""The size of a log in bytes from which processes pay off: one starts in 0.2 s, reading this takes 3 s."""
MAX_PROCESSES = 8
"""With more processes than this, the disk limits the speed."""


class Split:
    """Worker processes that compute in parallel. Each has a `state` that is kept between calls.

    `again` is the command that computes everything again, for the error if a process ends early.
    """

    def __init__(self, count: int, again: str = "aisb run --mode perf_viz --reuse RUN") -> None:
        self.count = count
        self._again = again
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-P", "-m", "aisb_engine._performance.split"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C in a terminal must reach only the command, which ends them
            )
            for _ in range(count)
        ]

    def each(self, function: Callable[..., T], arguments: Sequence[tuple[Any, ...]]) -> list[T]:
        """Return `function(state, *arguments)` of each process: the first arguments are for the first one.

        The function must be importable.

        Raises:
            RunError: a process has ended, for example because there is too little memory.
        """
        for process, argument in zip(self._processes, arguments, strict=True):
            _put(cast("BinaryIO", process.stdin), _packed((function, argument)))
        answers = [self._answer(process) for process in self._processes]
        for _, error in answers:
            if error is not None:
                raise error
        return [found for found, _ in answers]

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.kill()
            process.communicate()

    def _answer(self, process: subprocess.Popen[bytes]) -> tuple[Any, Exception | None]:
        try:
            # The data comes from our own process.
            answer: tuple[Any, Exception | None] = pickle.load(cast("BinaryIO", process.stdout))  # noqa: S301
        except (EOFError, pickle.UnpicklingError) as error:
            code = process.wait()
            how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
            raise RunError(
                f"a process that computed a part of the log ended {how}; the log is not damaged\n"
                f"  is there enough memory? then compute it again: {self._again}"
            ) from error
        return answer


@contextmanager
def split_for(folder: Path) -> Iterator[Split | None]:
    """Yield as many processes as a log folder is worth; None if this process alone is as fast."""
    size = sum(path.stat().st_size for path in folder.glob("worker-*"))
    count = min(cores(), MAX_PROCESSES)
    if size < LARGE or count < 2:
        yield None
        return
    run = folder.parents[2]  # the log folder is log/<model>/<task> of the run
    split = Split(count, command_on(run, "aisb run --mode perf_viz --reuse"))
    try:
        yield split
    finally:
        split.close()


def _put(pipe: BinaryIO, data: bytes) -> None:
    with suppress(BrokenPipeError):  # the process has ended; reading from it reports that
        pipe.write(data)
        pipe.flush()


def _packed(value: object) -> bytes:
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def main() -> None:
    """Compute what arrives on standard input until it ends."""
    state: dict[str, Any] = {}
    while True:
        try:
            function, arguments = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that started this
        except EOFError:
            return
        try:
            answer = _packed((function(state, *arguments), None))
        except Exception as error:  # noqa: BLE001 - it is raised where the part was asked for
            answer = _packed((None, error))
        _put(sys.stdout.buffer, answer)


if __name__ == "__main__":
    main()
