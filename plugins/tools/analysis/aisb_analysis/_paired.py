"""Whether two sides differ that answered the same samples, how sure that is, and what it would take to know.

Pure functions. Shares and differences are fractions, not percent. A side is never said to be better for what
chance does in one of twenty comparisons of equals; over several comparisons `holm` keeps it at that.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import atan, ceil, cos, exp, fsum, isfinite, lgamma, pi, sqrt
from math import log as ln
from statistics import NormalDist, fmean, variance
from typing import NamedTuple, TypeAlias

from aisb._stats import Interval

LEVEL = 0.05
"""How often two equals may be called different."""

POWER = 0.8
"""How often a difference is to be found that is there, where sizes are computed."""

DRAWS = 10_000
_DENSE = 64
"""Up to how many different values a resample is drawn as counts of each, which costs no memory per sample."""


Clusters: TypeAlias = Sequence[Hashable] | None
"""What each sample belongs to, where some are not independent; None where all are."""


class Resampled(NamedTuple):
    """The mean of paired differences, its 95 % interval, and how often chance makes one as large."""

    mean: float
    low: float
    high: float
    p: float


def mcnemar(only_a: int, only_b: int) -> float:
    """Return the exact two-sided p of McNemar's test: of samples that one side alone got right.

    2·Σ_{i≤min(b,c)} C(b+c, i) / 2^(b+c), at most 1. Source: McNemar, Psychometrika 12 (1947) 153, with the
    binomial distribution in place of its approximation.
    """
    flipped = only_a + only_b
    tail = ways = 1
    for i in range(1, min(only_a, only_b) + 1):
        ways = ways * (flipped - i + 1) // i
        tail += ways
    return min(1.0, 2 * tail / (1 << flipped))


def bootstrap(
    differences: Sequence[float],
    clusters: Clusters = None,
    *,
    seed: int = 0,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> Resampled:
    """Resample paired differences, a sample each, and return their mean with its percentile interval.

    Samples of one of `clusters` are drawn together. p is twice the share of resampled means on the smaller
    side of 0, ties counted half; it is never below one draw. Sources: Efron & Tibshirani, An Introduction to
    the Bootstrap (1993), chapters 13 and 16; for clusters Field & Welsh, J. R. Statist. Soc. B 69 (2007) 369.
    """
    import numpy as np

    if not differences:
        return Resampled(0.0, 0.0, 0.0, 1.0)
    given = np.asarray(_units(differences, clusters), float)  # (sum, number of samples) of what is drawn
    mean = float(fsum(differences) / len(differences))
    random = np.random.default_rng(seed)
    count = len(given)
    values, counts = np.unique(given, axis=0, return_counts=True)
    if len(values) == 1:
        return Resampled(mean, mean, mean, 1 / draws if mean else 1.0)
    if len(values) <= _DENSE:
        sums, sizes = (random.multinomial(count, counts / count, size=draws) @ values).T
        means = sums / sizes
    else:
        means = np.empty(draws)
        step = max(1, 2_000_000 // count)
        for start in range(0, draws, step):
            rows = min(step, draws - start)
            sums, sizes = given[random.integers(0, count, (rows, count))].sum(axis=1).T
            means[start : start + rows] = sums / sizes
    # A sum of thirds is not 0 to the last bit where it should be.
    below, above = float((means < -1e-12).mean()), float((means > 1e-12).mean())
    ties = 1 - below - above
    p = 2 * min(below + ties / 2, above + ties / 2)
    low, high = np.quantile(means, [level / 2, 1 - level / 2])
    return Resampled(mean, float(low), float(high), min(1.0, max(p, 1 / draws)))


def paired_t(differences: Sequence[float], clusters: Clusters = None) -> float:
    """Return the two-sided p of a paired t test, which few samples need: a bootstrap of them is too sure.

    With `clusters` it is over those, with the cluster-robust error of the mean.
    """
    count = len(_units(differences, clusters))
    if count < 2:
        return 1.0
    mean, error = fmean(differences), standard_error(differences, clusters)
    if error < 1e-12:
        return 2.0 ** (1 - count) if abs(mean) > 1e-12 else 1.0
    return min(1.0, max(0.0, 2 * (1 - t_share(abs(mean) / error, count - 1))))


def standard_error(differences: Sequence[float], clusters: Clusters = None) -> float:
    """Return the standard error of the mean of two or more differences.

    sqrt(G/(G−1) · Σ_g (Σ_i (d_gi − mean))²) / N over G clusters, which for samples by themselves is s / √N.
    Source: Miller, "Adding error bars to evals" (2024), section 2.2.
    """
    units = _units(differences, clusters)
    mean = fmean(differences)
    squares = fsum((total - mean * size) ** 2 for total, size in units)
    return sqrt(squares * len(units) / (len(units) - 1)) / len(differences)


def _units(differences: Sequence[float], clusters: Clusters) -> list[tuple[float, int]]:
    """Return the (sum, number of samples) of what is independent: each cluster, else each sample."""
    if clusters is None:
        return [(difference, 1) for difference in differences]
    groups: dict[Hashable, list[float]] = {}
    for difference, cluster in zip(differences, clusters, strict=True):
        groups.setdefault(cluster, []).append(difference)
    return [(fsum(group), len(group)) for group in groups.values()]


def holm(ps: Sequence[float]) -> list[float]:
    """Return p values corrected for there being several, in the order given.

    The i-th smallest of m is multiplied by m − i + 1 and is at least as large as those before it.
    Source: Holm, Scand. J. Statist. 6 (1979) 65.
    """
    corrected = [1.0] * len(ps)
    most = 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        most = max(most, min(1.0, (len(ps) - rank) * ps[place]))
        corrected[place] = most
    return corrected


def smallest_difference(
    differences: Sequence[float], clusters: Clusters = None, *, tests: int = 1, whole: bool = True
) -> float | None:
    """Return the smallest true difference that so many samples would show, four times of five.

    (z_{1−α/2m} + z_{0.8}) times the standard error of the mean. `whole` says that they are
    −1, 0 or 1, and then it is no less than what the exact test could call a difference at all. None where
    nothing could have been shown.
    """
    if len(_units(differences, clusters)) < 2:
        return None
    shown = _reach(tests) * standard_error(differences, clusters)
    if whole:
        shown = max(shown, _fewest_flips(tests) / len(differences))
    return shown if 0 < shown <= 1 else None


def samples_needed(
    differences: Sequence[float], clusters: Clusters = None, *, tests: int = 1, whole: bool = True
) -> int | None:
    """Return how many samples like these, in clusters like these, would show the difference seen.

    n · ((z_{1−α/2m} + z_{0.8}) · standard error / d)²: four times of five. None where no difference was seen.
    """
    count = len(differences)
    seen = abs(fmean(differences)) if count else 0.0
    if len(_units(differences, clusters)) < 2 or seen < 1e-12:
        return None
    needed = count * (_reach(tests) * standard_error(differences, clusters) / seen) ** 2
    return ceil(max(needed, _fewest_flips(tests) / seen if whole else 2) - 1e-9)


def _reach(tests: int) -> float:
    normal = NormalDist()
    return normal.inv_cdf(1 - LEVEL / tests / 2) + normal.inv_cdf(POWER)


def _fewest_flips(tests: int) -> int:
    """How many samples must flip, all to one side, before McNemar's exact test says so."""
    flips = 1
    while mcnemar(0, flips) > LEVEL / tests:
        flips += 1
    return flips


class Ratio(NamedTuple):
    """How many times as large one side is: with an interval and p where repeats tell them."""

    ratio: float
    low: float | None = None
    high: float | None = None
    p: float | None = None


def ratio(a: Sequence[float], b: Sequence[float]) -> Ratio | None:
    """Return B ÷ A of a number that each side measured once or several times, all above 0.

    Geometric means; the interval and p are Welch's t on the logarithms, and None unless each side has at
    least two repeats. None where a side has none. Source: Welch, Biometrika 34 (1947) 28.
    """
    if not a or not b or any(value <= 0 or not isfinite(value) for value in (*a, *b)):
        return None
    left, right = [ln(value) for value in a], [ln(value) for value in b]
    difference = fmean(right) - fmean(left)
    if len(left) < 2 or len(right) < 2:
        return Ratio(exp(difference))
    parts = [variance(side) / len(side) for side in (left, right)]
    error = sqrt(fsum(parts))
    if error < 1e-12:
        return Ratio(
            exp(difference), exp(difference), exp(difference), 1.0 if abs(difference) < 1e-12 else 0.0
        )
    weights = fsum(part**2 / (len(side) - 1) for part, side in zip(parts, (left, right), strict=True))
    freedom = fsum(parts) ** 2 / weights
    reach = _t_point(1 - LEVEL / 2, freedom) * error
    p = 2 * (1 - t_share(abs(difference) / error, freedom))
    low, high = _around(difference, reach)
    return Ratio(exp(difference), low, high, min(1.0, max(0.0, p)))


def _around(middle: float, reach: float) -> Interval:
    return (exp(middle - reach), exp(min(middle + reach, 700.0)))


def t_share(t: float, freedom: float) -> float:
    """Return the share of Student's distribution below `t` ≥ 0, by Simpson's rule over the angle.

    With t = √ν·tan θ the density becomes cos^(ν−1) θ, which is smooth on a finite range.
    """
    steps = 200
    end = atan(t / sqrt(freedom))
    width = end / steps
    total = fsum(
        (1 if i in {0, steps} else 4 if i % 2 else 2) * cos(i * width) ** (freedom - 1)
        for i in range(steps + 1)
    )
    scale = exp(lgamma((freedom + 1) / 2) - lgamma(freedom / 2)) / sqrt(pi)
    return 0.5 + scale * total * width / 3


def _t_point(share: float, freedom: float) -> float:
    """Return the t below which a share of Student's distribution lies, by halving."""
    low, high = 0.0, 1.0
    while t_share(high, freedom) < share and high < 1e6:
        high *= 2
    for _ in range(45):
        middle = (low + high) / 2
        low, high = (middle, high) if t_share(middle, freedom) < share else (low, middle)
    return high
