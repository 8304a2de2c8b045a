"""A mock server in a child process, which ends with its parent even if that is killed."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

from aisb import ServiceError
from aisb_mock._options import MockOptions

if TYPE_CHECKING:
    import subprocess

LISTENING = "listening on "


class MockProcess:
    """A running mock server; as a context manager it stops at the end of the block."""

    def __init__(self, child: subprocess.Popen[str], url: str, errors: IO[bytes]) -> None:
        self._child = child
        self._errors = errors
        self.url = url

    @property
    def pid(self) -> int:
        """The id of the child process."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether the child still runs."""
        return self._child.poll() is None

    def stop(self) -> None:
        """End the child, and wait for it. Calling it again does nothing."""
        _end(self._child)
        self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_mock(options: MockOptions | None = None) -> MockProcess:
    """Start a mock server in a child process, and return when it listens.

    Raises:
        ServiceError: it did not start; the message has its error output.
    """
    import subprocess
    import tempfile

    arguments = (options or MockOptions()).arguments()
    errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the child is stopped
    # A separate process group, so that Ctrl-C reaches only the parent, which then ends this child.
    child = subprocess.Popen(  # noqa: S603 - this very Python, and flags made from options
        [sys.executable, "-P", "-m", "aisb_mock", "--parent-pipe", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        process_group=0,
    )
    assert child.stdout is not None  # noqa: S101 - asked for above
    line = child.stdout.readline().strip()
    if line.startswith(LISTENING):
        return MockProcess(child, line.removeprefix(LISTENING), errors)
    _end(child)
    errors.seek(0)
    words = errors.read().decode("utf-8", "replace").strip()
    errors.close()
    raise ServiceError(
        f"the mock server did not start: {words.removeprefix('error: ') or 'it gave no reason'}"
    )


def _end(child: subprocess.Popen[str]) -> None:
    from subprocess import TimeoutExpired

    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(timeout=5)
        except TimeoutExpired:
            child.kill()
            child.wait()
