"""The process that compares answers: it reads one pair from each line of its input, and writes its verdict.

An exception ends a comparison at its deadline. If the exception is not raised, because a single instruction
computes for long, the process exits soon after.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

MEMORY = 4 << 30
"""The limit of a process's address space in bytes: 10^(10^10) must not use up the machine's memory."""


ELAPSED = 8
"""The limit of elapsed time, in multiples of the deadline, which is CPU time."""


class _DeadlinePassed(BaseException):
    """The deadline has passed. Not an `Exception`, since libraries catch those."""


def main() -> None:
    """Compare pairs until the input ends."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    logging.disable(logging.CRITICAL)
    output = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # output of libraries must not mix with verdicts
    _use_relative_errors()
    _parsed("1")
    output.write(b"ready\n")
    for line in sys.stdin.buffer:
        gold, answer, deadline = json.loads(line)
        try:
            with _within(deadline):
                reply = compare_answers(gold, answer)
        except _DeadlinePassed:
            reply = {"problem": f"no verdict on {answer[:60]!r} within {deadline:g} s"}
        except (Exception, RecursionError, MemoryError) as error:  # noqa: BLE001 - it is this answer's verdict
            reply = {"problem": f"{type(error).__name__} on {answer[:60]!r}"}
        output.write(json.dumps(reply).encode() + b"\n")


def compare_answers(gold: str, answer: str) -> dict[str, Any]:
    """Return whether an answer equals the gold answer, and its form in a majority vote."""
    from math_verify import verify

    gold_parsed, answer_parsed = _parsed(gold), _parsed(answer)
    if not answer_parsed:
        return {"right": False, "vote": ""}
    right = verify(list(gold_parsed), list(answer_parsed), timeout_seconds=None)
    if right:
        return {"right": True}
    vote = answer
    with contextlib.suppress(Exception):  # an answer that cannot be evaluated or written votes as its text
        vote = str(answer_parsed[0])
        vote = str(answer_parsed[0].doit())
    return {"right": False, "vote": vote[:200]}


def _use_relative_errors() -> None:
    """Make math-verify compare numbers with `numbers_equal` in this process.

    All its comparisons (of sets, intervals, matrices, relations) call this one function, and it has no
    setting for relative errors.
    """
    from math_verify import grader

    from aisb_evaluator_math._numeric import numbers_equal

    grader.sympy_numeric_eq = numbers_equal


@lru_cache(maxsize=4096)
def _parsed(text: str) -> tuple[Any, ...]:
    from math_verify import LatexExtractionConfig, parse
    from math_verify.parser import NormalizationConfig

    # The parser takes the content of a box as a whole, but searches bare LaTeX for a number. Units are
    # removed earlier, since math-verify takes the t of 2t for one.
    forms = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="all"
    )
    how = [LatexExtractionConfig(boxed_match_priority=0, normalization_config=forms)]
    return tuple(parse(rf"\boxed{{{text}}}", extraction_config=how, parsing_timeout=None))


@contextlib.contextmanager
def _within(seconds: float) -> Iterator[None]:
    if not hasattr(signal, "setitimer"):
        yield
        return

    def late(_number: int, _frame: object) -> None:
        raise _DeadlinePassed

    # CPU time, so that a verdict does not depend on what else the machine does.
    timers = (
        (signal.ITIMER_PROF, signal.SIGPROF, late, seconds),
        (signal.ITIMER_REAL, signal.SIGALRM, late, seconds * ELAPSED),
        (signal.ITIMER_VIRTUAL, signal.SIGVTALRM, signal.SIG_DFL, seconds + 0.5),
    )
    for timer, number, handler, limit in timers:
        signal.signal(number, handler)
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for timer, *_ in timers:
            signal.setitimer(timer, 0)


if __name__ == "__main__":
    main()
