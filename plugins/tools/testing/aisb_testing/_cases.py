"""The named checks of the conformance kit, with their reasons and results."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

ExpectedFailures = Mapping[str, str]
"""Names of checks that may fail, each with the reason why that is correct for this component."""
NONE_EXPECTED: ExpectedFailures = MappingProxyType({})


class CheckedCase(NamedTuple):
    """The result of one check of a component.

    `name` identifies it within its component, `reason` is its purpose. `problems` is empty if the
    component passes, and has a line for each thing that is wrong otherwise.
    """

    name: str
    reason: str
    problems: tuple[str, ...] = ()


def exception_line(error: Exception) -> str:
    """Return an exception, and the innermost line outside of Python's standard library that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    place = next((frame for frame in reversed(frames) if not _is_standard(frame.filename)), None)
    line = f"it raises {type(error).__name__}: {error}"
    return f"{line} ({Path(place.filename).name}, line {place.lineno})" if place else line


def _is_standard(file: str) -> bool:
    paths = sysconfig.get_paths()
    installed = (paths["purelib"], paths["platlib"])
    return file.startswith(("<", paths["stdlib"])) and not file.startswith(installed)


def exception_case(error: Exception) -> CheckedCase:
    """Return the failed check of a component that raised outside of its own checks."""
    reason = "an exception ends the checks of its component, so that later ones were not made"
    return CheckedCase("raises no exception", reason, (exception_line(error),))


def require(kind: str, cases: Iterable[CheckedCase], expected_failures: ExpectedFailures) -> list[str]:
    """Return the names of the checks, if all results are as expected.

    Raises:
        AssertionError: a check failed unexpectedly, or an expected failure passed. The message has a line for
            each problem, and the reason of each failed check.
    """
    cases = list(cases)
    lines = [line for case in cases for line in _unexpected(case, expected_failures)]
    names = [case.name for case in cases]
    lines += [
        f"{name}: it is expected to fail, but there is no such check; the checks are {', '.join(names)}"
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
