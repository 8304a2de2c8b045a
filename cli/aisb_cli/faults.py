"""What a plugin or this program did wrong: one line for the user, the traceback in a file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aisb_engine import DeclaredCommand

DEFECT_EXIT_CODE = 70
"""The exit code of a defect of this program; that of a plugin's is 1."""


class CommandFault(Exception):  # noqa: N818 - it is printed, with the line of an error
    """A command raised what is no error of a user. The message says whose fault it is, and where to look."""

    def __init__(self, error: Exception, command: DeclaredCommand | None) -> None:
        from aisb_cli.index import is_ours

        ours = command is None or is_ours(command.distribution)
        who = f"the command {command.command.name} of plugin {command.plugin}" if command else "aisb"
        what = "failed, which is a defect of aisb" if ours else "failed"
        super().__init__(f"{who} {what}: {one_line(error)}\n{traceback_note(error)}")
        self.exit_code = DEFECT_EXIT_CODE if ours else 1


def is_interrupt(error: BaseException) -> bool:
    """Whether an exception is Ctrl-C in disguise.

    Where Ctrl-C comes while pydantic builds a class, its compiled part raises a SchemaError in its place.
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
    """Return what went wrong, and where, in one line."""
    from aisb_engine import error_words

    return error_words(error)


def traceback_note(error: BaseException) -> str:
    """Write a traceback to a file, and return the line that says where; with AISB_DEBUG, the traceback."""
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
