"""Whether the user allows aisb to run code that a model or a data set brings."""

from __future__ import annotations

import os

from aisb import UsageError

ALLOW_CODE = "AISB_ALLOW_CODE_EXECUTION"
"""The variable that allows it; `--allow-code-execution` sets it."""


def is_set(name: str) -> bool:
    """Return whether an environment variable is set to something other than 0, false or no."""
    return os.environ.get(name, "").strip().lower() not in ("", "0", "false", "no")


def check_code_allowed(what: str) -> None:
    """Refuse to run code unless the user allows it; `what` says which code, as a whole clause.

    Raises:
        UsageError: the user does not.
    """
    if not is_set(ALLOW_CODE):
        raise UsageError(f"{what}, which is off by default\n  to allow it, add --allow-code-execution")
