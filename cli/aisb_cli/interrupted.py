"""End a command that Ctrl-C or SIGTERM interrupted."""

from __future__ import annotations

import os
import sys
import threading
import time

import click

INTERRUPTED = 130
THREADS_END_WITHIN = 2.0
"""Seconds that threads of plugins have to end. Python would wait for them as long as they work."""


def end_interrupted(error: BaseException | None) -> int:
    """Print that the command was interrupted, and what it kept; return the exit code.

    The process ends within `THREADS_END_WITHIN`, even if threads of plugins still work.
    """
    # CPython remembers an interrupt in the middle of `exec(text)`, which makes a dataclass for example, and
    # `python -m` would end with SIGINT for it; the next `exec` clears that.
    exec("")  # noqa: S102 - no text
    click.echo("\n".join(["interrupted", *getattr(error, "__notes__", ())]), err=True)
    threading.Thread(target=_exit_soon, daemon=True).start()
    return INTERRUPTED


def _exit_soon() -> None:
    time.sleep(THREADS_END_WITHIN)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(INTERRUPTED)
