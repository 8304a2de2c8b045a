"""Non-inferiority tests: whether a worsening is significantly above an allowance, below it, or neither.

Pure functions. A worsening is positive where B is worse. Accuracy is measured in points (percent of samples),
speed as the logarithm of how many times slower B is. Every bound is one-sided at 5 %: a row whose true
worsening equals the allowance fails in 5 % of comparisons.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import fsum, log, sqrt
from statistics import fmean, variance
from typing import Literal, NamedTuple

from aisb_analysis._paired import POWER, SIGNIFICANCE, holm, scipy_stats

MarginVerdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]
_LEAST_ERROR = 1e-9


class Worsening(NamedTuple):
    """A measured worsening: estimate, center of its interval, standard error, and degrees of freedom of t."""

    estimate: float
    center: float
    standard_error: float
    degrees_of_freedom: float

    def interval(self) -> tuple[float, float]:
        """Return the two one-sided 95 % bounds, which form a 90 % interval."""
        half_width = (
            float(scipy_stats().t.ppf(1 - SIGNIFICANCE, self.degrees_of_freedom)) * self.standard_error
        )
        return self.center - half_width, self.center + half_width

    def p_beyond(self, allowance: float) -> float:
        """Return the one-sided p-value of the hypothesis that the true worsening is within the allowance."""
        return float(
            scipy_stats().t.sf((self.center - allowance) / self.standard_error, self.degrees_of_freedom)
        )

    def detectable(self, allowance: float, guard: float = 0.0) -> float:
        """Return the minimum detectable worsening at 80 % power."""
        stats = scipy_stats()
        level, power = (
            float(stats.t.ppf(share, self.degrees_of_freedom)) for share in (1 - SIGNIFICANCE, POWER)
        )
        return max(allowance + (level + power) * self.standard_error, guard + power * self.standard_error)


class Allowance(NamedTuple):
    """The tolerated true worsening `margin`; an estimate of at most `guard` never fails."""

    margin: float
    guard: float = 0.0


def worsening_of(
    differences: Sequence[float], clusters: Sequence[Hashable] | None = None
) -> Worsening | None:
    """Return the drop of a score, from paired differences (B less A) of values between 0 and 1.

    Pseudo-samples are added, so that a few samples without a flip do not look certain: half a sample that
    only A answered correctly, half a sample for B, and one without a difference. Samples of one cluster count
    together. None without samples. Source: Agresti & Min, Statistics in Medicine 24 (2005) 729.
    """
    groups: dict[Hashable, list[float]] = {}
    for place, difference in enumerate(differences):
        groups.setdefault(clusters[place] if clusters else place, []).append(-difference)
    if not groups:
        return None
    count = len(differences) + 2
    total = fsum(-difference for difference in differences)
    mean = total / count
    squares = fsum((fsum(group) - mean * len(group)) ** 2 for group in groups.values())
    squares += ((1 - mean) ** 2 + (1 + mean) ** 2) / 2 + mean**2
    return Worsening(total / len(differences), mean, sqrt(squares) / count, len(groups) + 1)


def slowdown(a: Sequence[float], b: Sequence[float], better: Literal["higher", "lower"]) -> Worsening | None:
    """Return the logarithm of the slowdown of B, from repeats of one number, by Welch's t.

    None unless each side has at least two positive values.
    """
    if min(len(a), len(b)) < 2 or any(value <= 0 for value in (*a, *b)):
        return None
    left, right = [log(value) for value in a], [log(value) for value in b]
    change = fmean(right) - fmean(left)
    estimate = -change if better == "higher" else change
    parts = [variance(side) / len(side) for side in (left, right)]
    error = max(sqrt(sum(parts)), _LEAST_ERROR)
    weights = fsum(part**2 / (len(side) - 1) for part, side in zip(parts, (left, right), strict=True))
    freedom = sum(parts) ** 2 / weights if weights else len(left) + len(right) - 2
    return Worsening(estimate, estimate, error, freedom)


def judge(rows: Sequence[tuple[Worsening, Allowance]]) -> list[MarginVerdict]:
    """Return the verdict of each row.

    FAIL: the worsening exceeds the margin, with p corrected over the rows by Holm's method, and the estimate
    exceeds the guard.
    PASS: the interval is below the larger of the two. This needs no correction, since all rows must pass.
    """
    corrected = holm([worsening.p_beyond(allowed.margin) for worsening, allowed in rows])
    return [_verdict(*row, p) for row, p in zip(rows, corrected, strict=True)]


def _verdict(worsening: Worsening, allowed: Allowance, p: float) -> MarginVerdict:
    limit = max(allowed)
    if p < SIGNIFICANCE and worsening.estimate > limit:
        return "FAIL"
    return "PASS" if worsening.interval()[1] <= limit else "INCONCLUSIVE"
