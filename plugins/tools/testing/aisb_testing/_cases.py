"""The named checks of the conformance kit: what each looks at, why, and what it found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

ExpectedFailures = Mapping[str, str]
"""Names of checks that may fail, each with the reason why that is right for this component."""
NONE_EXPECTED: ExpectedFailures = MappingProxyType({})


class CheckedCase(NamedTuple):
    """One check of a component, after it was made.

    `name` identifies it within its component, `reason` says why it is made. `problems` is empty if the
    component passes, and has a line for each thing that is wrong otherwise.
    """

    name: str
    reason: str
    problems: tuple[str, ...] = ()


def require(kind: str, cases: Iterable[CheckedCase], expected_failures: ExpectedFailures) -> list[str]:
    """Return the names of the checks that were made.

    Raises:
        AssertionError: a check failed that was not expected to, or did not fail and was expected to. The
            message has a line for each problem, and the reason of each check that failed.
    """
    cases = list(cases)
    lines = [line for case in cases for line in _unexpected(case, expected_failures)]
    names = [case.name for case in cases]
    lines += [
        f"{name}: it is expected to fail, and there is no such check; the checks are {', '.join(names)}"
        for name in expected_failures
        if name not in names
    ]
    if lines:
        raise AssertionError("\n".join([f"the {kind} does not keep the contract:", *lines]))
    return names


def _unexpected(case: CheckedCase, expected_failures: ExpectedFailures) -> list[str]:
    if case.name in expected_failures:
        if case.problems:
            return []
        return [f"{case.name}: it is expected to fail ({expected_failures[case.name]}), and it passes"]
    lines = [f"{case.name}: {problem}" for problem in case.problems]
    return [*lines, f"  why: {case.reason}"] if lines else []
