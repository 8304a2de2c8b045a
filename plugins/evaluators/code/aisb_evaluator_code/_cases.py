"""Run programs that read standard input, once for each case, and compare their output."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aisb_evaluator_code._sandbox import Limits, run_program


def run_cases(answer: str, fields: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """Run a program that reads standard input, once for each case, and compare its output.

    `cases` is a list (or its JSON) of `{"input": …, "output": …}`. White space at the ends of lines and empty
    lines at the end do not count, and numbers are equal by value.
    """
    cases = fields["cases"]
    cases = json.loads(cases) if isinstance(cases, str) else cases
    for number, case in enumerate(cases, start=1):
        status, output = run_program(answer, str(case["input"]), limits)
        if status is None:
            return {"passed": False, "problem": f"case {number}: timeout after {limits.deadline:g} s"}
        if status != 0:
            return {
                "passed": False,
                "problem": f"case {number}: {output[:300] or f'the program ended with status {status}'}",
            }
        if not same_output(output, str(case["output"])):
            return {
                "passed": False,
                "problem": f"case {number}: wrote {output[:100]!r}, expected {str(case['output'])[:100]!r}",
            }
    return {"passed": True}


def same_output(output: str, expected: str) -> bool:
    """Return whether two outputs are the same, line by line, with numbers compared by value."""
    from decimal import Decimal, InvalidOperation

    pairs = [output.rstrip().split("\n"), expected.rstrip().split("\n")]
    lines, others = ([line.split() for line in one] for one in pairs)
    if len(lines) != len(others):
        return False
    for line, other in zip(lines, others, strict=True):
        if line == other:
            continue
        try:
            if [Decimal(word) for word in line] != [Decimal(word) for word in other]:
                return False
        except InvalidOperation:
            return False
    return True
