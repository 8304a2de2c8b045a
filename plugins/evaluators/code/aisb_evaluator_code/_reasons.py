"""Explain why a program did not pass: an assertion, an exception, its time, its memory, its compiler."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aisb_evaluator_code._box import Limits

SPENT = (128 + signal.SIGKILL, 128 + signal.SIGXCPU)
NOT_COMPILED = 97
"""The exit status of a box whose compiler rejected the program."""
NO_BOX = 125
"""The exit status of a box that could not be made."""
TOO_MUCH = 124
"""The exit status of a box whose processes exceeded their common memory limit."""

THIRD_PARTY = ("numpy",)
"""Third-party packages that programs may import if they are installed."""
_ABSENT = re.compile(r"No module named '(\w+)")


@dataclass(frozen=True, slots=True)
class EndReason:
    """How a program's box ended: exit status (None: still running), output, and whether memory ran out."""

    status: int | None = None
    words: str = ""
    out_of_memory: bool = False

    @property
    def no_box(self) -> str:
        """Why the box could not be made; empty if it was, whatever status the program chose."""
        is_made = self.status != NO_BOX or not self.words.startswith("box:")
        return "" if is_made else self.words.strip()


def reason(
    found: Mapping[str, Any], ended: EndReason, limits: Limits, lines_before: int = 0
) -> dict[str, Any]:
    """Return a verdict with the problem that best explains the end of the program.

    Line numbers count from the first line of the answer, which follows `lines_before` other lines.
    """
    if found["passed"]:
        return {"passed": True}
    problem = str(found.get("problem") or "")
    if isinstance(found.get("line"), int) and found["line"] > lines_before:
        problem += f" (line {found['line'] - lines_before} of the program)"
    problem = with_absence(problem)
    if ended.out_of_memory:
        problem = out_of_memory(limits)
    elif ended.status in SPENT:
        problem = f"killed: it reached the limit of {limits.seconds:g} s of CPU time (timeout)"
    elif ended.status == NOT_COMPILED:
        problem = f"the program does not compile: {first_error(ended.words)}"
    elif found.get("closed") and ended.status not in (None, 0, 1):
        problem += f" ({_words_of(ended.status or 0)})"
    result = {"passed": False, "problem": problem}
    return {**result, "test": str(found["test"])} if found.get("test") else result


def out_of_memory(limits: Limits) -> str:
    """Return the problem of a program that was killed for lack of memory."""
    return f"out of memory: the limit of the program and its processes is {limits.tree} MB"


def first_error(words: str) -> str:
    """Return the line with the error in a compiler's output."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[0] if lines else "no reason given")


def raised_words(traceback: str) -> str:
    """Return the exception at the end of a traceback, and its line in the program."""
    lines = [line.strip() for line in traceback.splitlines() if line.strip()]
    places = re.findall(r'main\.py", line (\d+)', traceback)
    words = with_absence(lines[-1] if lines else "")
    return f"{words} (line {places[-1]} of the program)" if places else words


def with_absence(words: str) -> str:
    """Add to a message that a supported package is not installed."""
    absent = _ABSENT.search(words)
    is_known = absent is not None and absent[1] in THIRD_PARTY
    return f"{words} ({absent[1]} is not installed where aisb runs)" if absent and is_known else words


def _words_of(status: int) -> str:
    try:
        return signal.Signals(status - 128).name
    except ValueError:
        return f"status {status}"
