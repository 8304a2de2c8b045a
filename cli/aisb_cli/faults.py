"""Report unexpected exceptions of plugins and of aisb: a line for the user, the traceback in a file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aisb_engine import DeclaredCommand

DEFECT_EXIT_CODE = 70
"""The exit code for a defect of aisb; for a defect of another plugin it is 1."""


class CommandFault(Exception):  # noqa: N818 - "error" is the word for mistakes of users
    """A command raised an unexpected exception. The message names who has to fix it, and the traceback."""

    def __init__(self, error: Exception, command: DeclaredCommand | None) -> None:
        from aisb_cli.index import is_ours

        is_of_aisb = command is None or is_ours(command.distribution)
        who = f"the command {command.command.name} of plugin {command.plugin}" if command else "aisb"
        what = "failed, which is a defect of aisb" if is_of_aisb else "failed"
        super().__init__(f"{who} {what}: {one_line(error)}\n{traceback_note(error)}")
        self.exit_code = DEFECT_EXIT_CODE if is_of_aisb else 1


def is_interrupt(error: BaseException) -> bool:
    """Return whether Ctrl-C caused an exception.

    If Ctrl-C comes while pydantic builds a class, its compiled part raises a SchemaError instead.
    """
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        if isinstance(at, KeyboardInterrupt) or str(at).rstrip().endswith("KeyboardInterrupt"):
            return True
        seen.add(id(at))
        at = at.__cause__ or at.__context__
    return False


def one_line(error: BaseException) -> str:
    """Return an exception's message and place in one line."""
    from aisb_engine import error_words

    return error_words(error)


def traceback_note(error: BaseException) -> str:
    """Write a traceback to a file, and return a line with its path; with AISB_DEBUG, return the traceback."""
    import tempfile
    import traceback

    from aisb_engine import mask_secrets

    text = mask_secrets("".join(traceback.format_exception(error)))
    if os.environ.get("AISB_DEBUG"):
        return text.rstrip()
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", prefix="aisb-traceback-", suffix=".txt", delete=False
    ) as file:
        file.write(text)
    return f"  its traceback is in {file.name}"
