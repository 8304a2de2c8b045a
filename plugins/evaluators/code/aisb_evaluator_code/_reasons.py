"""Say why a program did not pass: an assertion, an exception, its time, its memory, its compiler."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aisb_evaluator_code._box import Limits

SPENT = (128 + signal.SIGKILL, 128 + signal.SIGXCPU)
NOT_COMPILED = 97
"""The status with which a box ends whose compiler refused the program."""
NO_BOX = 125
"""The status of a box that could not be made."""
TOO_MUCH = 124
"""The status of a box whose processes took more memory than they may together."""

EARLY = "the program ended before the tests did"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program's box ended: its status (None: not yet), what it said, and whether for lack of memory."""

    status: int | None = None
    words: str = ""
    out_of_memory: bool = False


def reason(found: Mapping[str, Any], ended: Ended, limits: Limits) -> dict[str, Any]:
    """Return a verdict with the problem that the program's own end explains best."""
    if found["passed"]:
        return {"passed": True}
    told = {"passed": False, "problem": str(found.get("problem") or "")}
    if found.get("test"):
        told["test"] = str(found["test"])
    if ended.out_of_memory:
        told["problem"] = f"out of memory: the program may take {limits.tree} MB with all that it starts"
    elif ended.status in SPENT:
        told["problem"] = f"killed: it took {limits.seconds:g} s of processor time, or what else it may take"
    elif ended.status == NOT_COMPILED:
        told["problem"] = f"the program does not compile: {first_error(ended.words)}"
    elif found.get("closed") and ended.status not in (None, 0, 1):
        told["problem"] += f" ({_words_of(ended.status or 0)})"
    return told


def first_error(words: str) -> str:
    """Return the line of a compiler's output that says what is wrong."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[0] if lines else "no reason given")


def _words_of(status: int) -> str:
    try:
        return signal.Signals(status - 128).name
    except ValueError:
        return f"status {status}"
