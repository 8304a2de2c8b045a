"""Whether two sides differ that answered the same samples, how sure that is, and what it would take to know.

Pure functions. Shares and differences are fractions, not percent. A side is never said to be better for what
chance does in one of twenty comparisons of equals; over several comparisons `holm` keeps it at that.

Student's t, Welch's test, the binomial test and the bootstrap are scipy's, which the extra `[stats]` brings.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import ceil, exp, fsum, isfinite, sqrt
from math import log as ln
from statistics import NormalDist, fmean
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from warnings import catch_warnings, simplefilter

from aisb import UsageError

if TYPE_CHECKING:
    import numpy as np

SIGNIFICANCE = 0.05
"""How often two equals may be called different."""

POWER = 0.8
"""How often a difference is to be found that is there, where sizes are computed."""

DRAWS = 10_000
_AT_ONCE = 2_000_000
"""How many values the bootstrap holds in memory at a time."""

Clusters: TypeAlias = Sequence[Hashable] | None
"""What each sample belongs to, where some are not independent; None if all are."""


class Resampled(NamedTuple):
    """The mean of paired differences, its 95 % interval, and its two-sided p-value."""

    mean: float
    low: float
    high: float
    p: float


def scipy_stats() -> ModuleType:
    """Import the statistics of scipy, which is large and so an extra.

    Raises:
        UsageError: scipy is not installed; the message says how to install it.
    """
    try:
        from scipy import stats
    except ImportError as error:
        raise UsageError(
            f"comparing runs needs the statistics of scipy, and it cannot be imported: {error}\n"
            "  install it, in the folder of the repository: pip install './plugins/tools/analysis[stats]'"
        ) from error
    module: ModuleType = stats
    return module


def mcnemar(only_a: int, only_b: int) -> float:
    """Return the exact two-sided p of McNemar's test: of samples that one side alone got right.

    Source: McNemar, Psychometrika 12 (1947) 153, with the binomial distribution, not its approximation.
    """
    flipped = only_a + only_b
    return float(scipy_stats().binomtest(only_a, flipped).pvalue) if flipped else 1.0


def bootstrap(
    differences: Sequence[float],
    clusters: Clusters = None,
    *,
    seed: int = 0,
    draws: int = DRAWS,
    level: float = SIGNIFICANCE,
) -> Resampled:
    """Resample paired differences, a sample each, and return their mean with its percentile interval.

    Samples of one of `clusters` are drawn together. p is twice the share of resampled means on the smaller
    side of 0, ties counted half; it is never below one draw. Sources: Efron & Tibshirani, An Introduction to
    the Bootstrap (1993), chapters 13 and 16; for clusters Field & Welsh, J. R. Statist. Soc. B 69 (2007) 369.
    """
    if not differences:
        return Resampled(0.0, 0.0, 0.0, 1.0)
    units = _units(differences, clusters)
    mean = fsum(differences) / len(differences)
    if len(set(units)) == 1:
        return Resampled(mean, mean, mean, 1 / draws if mean else 1.0)
    found = scipy_stats().bootstrap(
        tuple(zip(*units, strict=True)),
        _mean_of_units,
        paired=True,  # the sum and the size of a cluster are drawn together
        vectorized=True,
        n_resamples=draws,
        batch=max(1, _AT_ONCE // len(units)),
        confidence_level=1 - level,
        method="percentile",
        rng=seed,
    )
    means = found.bootstrap_distribution
    # A sum of thirds is not 0 to the last bit where it should be.
    below, above = float((means < -1e-12).mean()), float((means > 1e-12).mean())
    ties = 1 - below - above
    p = 2 * min(below + ties / 2, above + ties / 2)
    low, high = found.confidence_interval
    return Resampled(mean, float(low), float(high), min(1.0, max(p, 1 / draws)))


def _mean_of_units(sums: np.ndarray, sizes: np.ndarray, axis: int) -> np.ndarray:
    means: np.ndarray = sums.sum(axis=axis) / sizes.sum(axis=axis)
    return means


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
    return float(2 * scipy_stats().t.sf(abs(mean) / error, count - 1))


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


def holm(ps: Sequence[float], weights: Sequence[float] | None = None) -> list[float]:
    """Return p values corrected for there being several, in the order given.

    The i-th smallest of m is multiplied by m − i + 1 and is at least as large as those before it. With
    weights, the order is that of p ÷ weight, and the factor is the weight of all that are left ÷ its own.
    Source: Holm, Scand. J. Statist. 6 (1979) 65.
    """
    weights = weights or [1.0] * len(ps)
    corrected = [1.0] * len(ps)
    most, left = 0.0, fsum(weights)
    for place in sorted(range(len(ps)), key=lambda place: ps[place] / weights[place]):
        most = max(most, min(1.0, left / weights[place] * ps[place]))
        corrected[place] = most
        left -= weights[place]
    return corrected


def smallest_difference(
    differences: Sequence[float], clusters: Clusters = None, *, tests: float = 1, whole: bool = True
) -> float | None:
    """Return the smallest true difference that so many samples would show, four times of five.

    (z_{1−α/2m} + z_{0.8}) times the standard error of the mean. `whole` says that they are
    −1, 0 or 1, and then it is no less than what the exact test could call a difference at all. None where
    nothing could have been shown.
    """
    if len(_units(differences, clusters)) < 2:
        return None
    shown = reach(tests) * standard_error(differences, clusters)
    if whole:
        shown = max(shown, _fewest_flips(tests) / len(differences))
    return shown if 0 < shown <= 1 else None


def samples_needed(
    differences: Sequence[float], clusters: Clusters = None, *, tests: float = 1, whole: bool = True
) -> int | None:
    """Return how many samples like these, in clusters like these, would show the difference seen.

    n · ((z_{1−α/2m} + z_{0.8}) · standard error / d)²: four times of five. None if no difference was seen.
    """
    count = len(differences)
    seen = abs(fmean(differences)) if count else 0.0
    if len(_units(differences, clusters)) < 2 or seen < 1e-12:
        return None
    needed = count * (reach(tests) * standard_error(differences, clusters) / seen) ** 2
    return ceil(max(needed, _fewest_flips(tests) / seen if whole else 2) - 1e-9)


def reach(tests: float = 1) -> float:
    """Return how many standard errors a true difference must measure to be found at 80 % power."""
    normal = NormalDist()
    return normal.inv_cdf(1 - SIGNIFICANCE / tests / 2) + normal.inv_cdf(POWER)


def _fewest_flips(tests: float) -> int:
    """How many samples must flip, all to one side, before McNemar's exact test says so."""
    flips = 1
    while mcnemar(0, flips) > SIGNIFICANCE / tests:
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
    least two repeats. None if a side has none. Source: Welch, Biometrika 34 (1947) 28.
    """
    if not a or not b or any(value <= 0 or not isfinite(value) for value in (*a, *b)):
        return None
    left, right = [ln(value) for value in a], [ln(value) for value in b]
    difference = fmean(right) - fmean(left)
    if len(left) < 2 or len(right) < 2:
        return Ratio(exp(difference))
    if max(left) - min(left) < 1e-12 and max(right) - min(right) < 1e-12:
        same = exp(difference)
        return Ratio(same, same, same, 1.0 if abs(difference) < 1e-12 else 0.0)
    with catch_warnings():
        simplefilter("ignore", RuntimeWarning)  # of a side whose repeats are all alike, which is no fault
        found = scipy_stats().ttest_ind(right, left, equal_var=False)
    low, high = found.confidence_interval(1 - SIGNIFICANCE)
    # Two repeats can leave an interval that is wider than a float.
    return Ratio(exp(difference), exp(low), exp(min(high, 700.0)), float(found.pvalue))
