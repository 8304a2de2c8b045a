"""Statistics of two sides that answered the same samples: tests, intervals, power and sample sizes.

Pure functions. Shares and differences are fractions, not percent. Tests are at the
5 % level; `holm` keeps this level over several comparisons.

Student's t, Welch's test, the binomial distribution and the bootstrap are those of scipy, which the extra
`[stats]` installs.
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
"""The significance level: the accepted rate of false positives."""

POWER = 0.8
"""The power in computations of sample sizes."""

DRAWS = 10_000
_BATCH_VALUES = 2_000_000
"""The number of values that the bootstrap holds in memory at a time."""

Clusters: TypeAlias = Sequence[Hashable] | None
"""The cluster of each sample, if some samples are not independent; None if all are."""


class Resampled(NamedTuple):
    """The mean of paired differences, its 95 % interval, and its two-sided p-value."""

    mean: float
    low: float
    high: float
    p: float


def scipy_stats() -> ModuleType:
    """Import the statistics of scipy, which is an extra because of its size.

    Raises:
        UsageError: scipy is not installed; the message says how to install it.
    """
    try:
        from scipy import stats
    except ImportError as error:
        raise UsageError(
            f"comparing runs needs scipy, which cannot be imported: {error}\n"
            "  install it, in the folder of the repository: pip install './plugins/tools/analysis[stats]'"
        ) from error
    module: ModuleType = stats
    return module


def mcnemar(only_a: int, only_b: int) -> float:
    """Return the exact two-sided p-value of McNemar's test, from samples that only one side got right.

    Source: McNemar, Psychometrika 12 (1947) 153, with the binomial distribution instead of its approximation.
    """
    if only_a == only_b:
        return 1.0
    # The distribution is symmetrical: both tails are twice one. scipy's binomtest searches for the second.
    return min(1.0, 2 * _binomial_tail(min(only_a, only_b), only_a + only_b))


def _binomial_tail(most: int, flips: int) -> float:
    """Return the probability of at most `most` heads in `flips` of a fair coin."""
    scipy_stats()  # its error says what to install
    from scipy.special import bdtr

    return float(bdtr(most, flips, 0.5))


def bootstrap(
    differences: Sequence[float],
    clusters: Clusters = None,
    *,
    seed: int = 0,
    draws: int = DRAWS,
    level: float = SIGNIFICANCE,
) -> Resampled:
    """Return the mean of paired differences with its percentile interval, by the bootstrap.

    Samples of a cluster are drawn together. p is twice the share of resampled means on the smaller side of 0,
    with ties counted half; its minimum is one draw. Sources: Efron & Tibshirani, An Introduction to
    the Bootstrap (1993), chapters 13 and 16; for clusters Field & Welsh, J. R. Statist. Soc. B 69 (2007) 369.
    """
    if not differences:
        return Resampled(0.0, 0.0, 0.0, 1.0)
    units = _units(differences, clusters)
    mean = fsum(differences) / len(differences)
    if len(set(units)) == 1:
        return Resampled(mean, mean, mean, 1 / draws if mean else 1.0)
    sums, sizes = zip(*units, strict=True)
    alone = clusters is None
    found = scipy_stats().bootstrap(
        (sums,) if alone else (sums, sizes),
        _mean if alone else _mean_of_units,
        paired=not alone,  # draw the sum and the size of a cluster together
        vectorized=True,
        n_resamples=draws,
        batch=max(1, _BATCH_VALUES // len(units)),
        confidence_level=1 - level,
        method="percentile",
        rng=seed,
    )
    means = found.bootstrap_distribution
    # Rounding: a sum of thirds that should be 0 can differ from it in the last bit.
    below, above = float((means < -1e-12).mean()), float((means > 1e-12).mean())
    ties = 1 - below - above
    p = 2 * min(below + ties / 2, above + ties / 2)
    low, high = found.confidence_interval
    return Resampled(mean, float(low), float(high), min(1.0, max(p, 1 / draws)))


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    means: np.ndarray = values.sum(axis=axis) / values.shape[axis]
    return means


def _mean_of_units(sums: np.ndarray, sizes: np.ndarray, axis: int) -> np.ndarray:
    means: np.ndarray = sums.sum(axis=axis) / sizes.sum(axis=axis)
    return means


def paired_t(differences: Sequence[float], clusters: Clusters = None) -> float:
    """Return the two-sided p-value of a paired t test, for few samples, where the bootstrap is overconfident.

    With `clusters`, the standard error is cluster-robust.
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

    sqrt(G/(G−1) · Σ_g (Σ_i (d_gi − mean))²) / N over G clusters, which is s / √N without clusters.
    Source: Miller, "Adding error bars to evals" (2024), section 2.2.
    """
    units = _units(differences, clusters)
    mean = fmean(differences)
    squares = fsum((total - mean * size) ** 2 for total, size in units)
    return sqrt(squares * len(units) / (len(units) - 1)) / len(differences)


def _units(differences: Sequence[float], clusters: Clusters) -> list[tuple[float, int]]:
    """Return (sum, number of samples) of each independent unit: a cluster, or a sample."""
    if clusters is None:
        return [(difference, 1) for difference in differences]
    groups: dict[Hashable, list[float]] = {}
    for difference, cluster in zip(differences, clusters, strict=True):
        groups.setdefault(cluster, []).append(difference)
    return [(fsum(group), len(group)) for group in groups.values()]


def holm(ps: Sequence[float], weights: Sequence[float] | None = None) -> list[float]:
    """Return p-values corrected for multiple comparisons by Holm's method, in the given order.

    The i-th smallest of m is multiplied by m − i + 1 and is at least as large as those before it. With
    weights, the order is that of p ÷ weight, and the factor is the sum of the remaining weights ÷ its own.
    Source: Holm, Scand. J. Statist. 6 (1979) 65.
    """
    weights = weights or [1.0] * len(ps)
    corrected = [1.0] * len(ps)
    largest, left = 0.0, fsum(weights)
    for place in sorted(range(len(ps)), key=lambda place: ps[place] / weights[place]):
        largest = max(largest, min(1.0, left / weights[place] * ps[place]))
        corrected[place] = largest
        left -= weights[place]
    return corrected


def detectable_difference(
    differences: Sequence[float], clusters: Clusters = None, *, tests: float = 1, binary: bool = True
) -> float | None:
    """Return the minimum detectable difference at 80 % power.

    (z_{1−α/2m} + z_{0.8}) times the standard error of the mean. With `binary`, differences are
    −1, 0 or 1, and the result is at least the smallest difference that the exact test can detect. None if no
    difference is detectable.
    """
    if len(_units(differences, clusters)) < 2:
        return None
    detectable = detectable_errors(tests) * standard_error(differences, clusters)
    if binary:
        detectable = max(detectable, _fewest_flips(tests) / len(differences))
    return detectable if 0 < detectable <= 1 else None


def samples_needed(
    differences: Sequence[float], clusters: Clusters = None, *, tests: float = 1, binary: bool = True
) -> int | None:
    """Return the number of samples, clustered like these, that detect the observed difference.

    n · ((z_{1−α/2m} + z_{0.8}) · standard error / d)², at 80 % power. None without a difference.
    """
    count = len(differences)
    observed = abs(fmean(differences)) if count else 0.0
    if len(_units(differences, clusters)) < 2 or observed < 1e-12:
        return None
    needed = count * (detectable_errors(tests) * standard_error(differences, clusters) / observed) ** 2
    return ceil(max(needed, _fewest_flips(tests) / observed if binary else 2) - 1e-9)


def detectable_errors(tests: float = 1) -> float:
    """Return the true difference, in standard errors, that is detected at 80 % power."""
    normal = NormalDist()
    return normal.inv_cdf(1 - SIGNIFICANCE / tests / 2) + normal.inv_cdf(POWER)


def _fewest_flips(tests: float) -> int:
    """Return the number of flips, all to one side, from which McNemar's exact test is significant."""
    flips = 1
    while mcnemar(0, flips) > SIGNIFICANCE / tests:
        flips += 1
    return flips


class Ratio(NamedTuple):
    """The ratio of two sides; `low`, `high` and `p` are None without repeats."""

    ratio: float
    low: float | None = None
    high: float | None = None
    p: float | None = None


def ratio(a: Sequence[float], b: Sequence[float]) -> Ratio | None:
    """Return B ÷ A of a positive number that each side measured once or several times.

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
        simplefilter("ignore", RuntimeWarning)  # scipy warns if all repeats of a side are equal
        found = scipy_stats().ttest_ind(right, left, equal_var=False)
    low, high = found.confidence_interval(1 - SIGNIFICANCE)
    # With two repeats the interval can exceed the range of a float.
    return Ratio(exp(difference), exp(low), exp(min(high, 700.0)), float(found.pvalue))
