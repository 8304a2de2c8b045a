"""Calibration: how well the stated confidence of answers agrees with their accuracy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from math import fsum, sqrt

from aisb import Score, UsageError

BIN = 100
"""The number of answers in a bin, in the order of confidence."""

UNSTATED = 100.0
"""The confidence assumed for an answer that states none."""


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile the pattern of a confidence.

    Raises:
        UsageError: it is not a regular expression with exactly one group.
    """
    try:
        compiled_pattern = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"confidence = {pattern!r} is not a regular expression: {error}") from error
    if compiled_pattern.groups != 1:
        raise UsageError(f"confidence = {pattern!r} must have one group, which holds the percent")
    return compiled_pattern


def stated_confidence(pattern: re.Pattern[str], answer: str) -> float:
    """Return the last confidence that an answer states, in percent from 0 to 100."""
    found = pattern.findall(answer)
    try:
        value = float(found[-1]) if found else UNSTATED
    except ValueError:
        value = UNSTATED
    return min(100.0, max(0.0, value))


def has_confidence(score: Score) -> bool:
    """Return whether an answer has both a verdict and a confidence."""
    return score.details.get("verdict") is not None and "confidence" in score.details


def calibration_error(answers: Sequence[tuple[float, float]]) -> float:
    """Return the root mean square of confidence minus accuracy over bins, in percent.

    `answers` are pairs of confidence in percent and value from 0 to 1. The last bin also takes the remainder.
    Source: the evaluation of Humanity's Last Exam, https://github.com/centerforaisafety/hle, whose sum omits
    the last bin.
    """
    if not answers:
        return 0.0
    ordered = sorted(answers, key=lambda answer: answer[0])
    count = max(1, len(ordered) // BIN)
    edges = [at * BIN for at in range(count)] + [len(ordered)]
    squares = []
    for begin, end in pairwise(edges):
        members = ordered[begin:end]
        gap = fsum(confidence - 100 * value for confidence, value in members) / len(members)
        squares.append(len(members) / len(ordered) * gap * gap)
    return sqrt(fsum(squares))
