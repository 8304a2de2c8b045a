"""Confidence intervals of shares and means, and metrics over repeats of a sample: pass@k, cons@k.

Shares are 0 to 1. An interval is (low, high), at 95 % confidence unless `z` is set.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import comb, fsum, prod, sqrt

Z95 = 1.959963984540054
"""The 97.5 % point of the normal distribution."""

Interval = tuple[float, float]


def wilson(share: float, n: float, z: float = Z95) -> Interval:
    """Return the Wilson score interval of a share observed in `n` independent trials; `n` may be a fraction.

    centre ± half, with centre = (p + z²/2n) / (1 + z²/n) and half = z·sqrt(p(1−p)/n + z²/4n²) / (1 + z²/n).
    Source: Wilson, JASA 22 (1927) 209; recommended by Brown, Cai & DasGupta, Statist. Sci. 16 (2001) 101.
    Without trials it is (0, 1).
    """
    if not 0 <= share <= 1 or n < 0:
        raise ValueError(f"a share of {share} in {n} trials: the share must be 0 to 1, trials not negative")
    if n == 0:
        return (0.0, 1.0)
    scale = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / scale
    # At 0 and 1 the formula gives exactly 0 and 1, but rounding errors would move the end inside.
    return (0.0 if share == 0 else max(0.0, centre - half), 1.0 if share == 1 else min(1.0, centre + half))


def clustered(clusters: Iterable[Sequence[float]], *, trials: int | None = None, z: float = Z95) -> Interval:
    """Return the interval of the mean of values in 0 to 1 that come in clusters (repeats of a sample).

    The Wilson interval with an effective number of trials p(1−p)/V, where V = Σ_g (Σ_i (x_gi − p))² / N² is
    the cluster-robust variance of the mean. With clusters of one value it equals the plain Wilson interval;
    if all values of a cluster agree, it equals Wilson's with one trial per cluster. The effective number is
    at most `trials` (default: the number of values), and the number of clusters if V is 0.
    Sources: Miller, "Adding error bars to evals" (2024), section 2.2, for V; Dean & Pagano, J. Surv. Stat.
    Methodol. 3 (2015) 484, for Wilson with an effective, truncated size.
    """
    nonempty = [cluster for cluster in clusters if len(cluster)]
    if not (total := sum(len(cluster) for cluster in nonempty)):
        return (0.0, 1.0)
    mean = min(1.0, max(0.0, fsum(value for cluster in nonempty for value in cluster) / total))
    variance = fsum((fsum(cluster) - mean * len(cluster)) ** 2 for cluster in nonempty) / total**2
    limit = total if trials is None else trials
    bernoulli_variance = mean * (1 - mean)
    # A variance of 0 comes out as about 1e-32, because of rounding errors.
    is_zero = len(nonempty) == 1 or bernoulli_variance == 0 or variance < bernoulli_variance * 1e-18
    effective = len(nonempty) if is_zero else min(limit, bernoulli_variance / variance)
    return wilson(mean, effective, z)


def mean_interval(
    values: Sequence[float], clusters: Sequence[object] = (), z: float = Z95
) -> Interval | None:
    """Return the interval of the mean of any numbers (F1, ROUGE); None with fewer than two clusters.

    mean ± z·sqrt(G/(G−1) · Σ_g (Σ_i (x_gi − mean))²) / N over G clusters. `clusters` has the cluster of each
    value; without it, each value is its own cluster. Source: Miller, "Adding error bars to evals" (2024).
    """
    sums: dict[object, list[float]] = {}
    for position, value in enumerate(values):
        sums.setdefault(clusters[position] if clusters else position, []).append(value)
    if len(sums) < 2:
        return None
    mean = fsum(values) / len(values)
    squares = fsum((fsum(group) - mean * len(group)) ** 2 for group in sums.values())
    half = z * sqrt(squares * len(sums) / (len(sums) - 1)) / len(values)
    return (mean - half, mean + half)


def pass_at_k(n: int, right: int, k: int) -> float:
    """Return the probability that at least one of `k` repeats, drawn without replacement from `n`, is right.

    1 − C(n−c,k)/C(n,k) as the product 1 − Π_{i=n−c+1..n} (1 − k/i).
    Source: Chen et al., "Evaluating large language models trained on code" (2021), section 2.1.
    """
    check_repeats(n, right, k)
    # With fewer than k wrong repeats, the factor of i = k is 0, so that the result is 1.
    return 1 - prod(1 - k / i for i in range(n - right + 1, n + 1))


def cons_at_k(n: int, right: int, k: int) -> float:
    """Return the probability that more than half of `k` repeats, drawn from `n` as above, are right.

    Σ_{j>k/2} C(c,j)·C(n−c,k−j) / C(n,k). For k = n it is 1 or 0: whether more than half are right.
    """
    check_repeats(n, right, k)
    ways = sum(comb(right, j) * comb(n - right, k - j) for j in range(k // 2 + 1, min(right, k) + 1))
    return ways / comb(n, k)


def check_repeats(n: int, right: int, k: int) -> None:
    if not 0 <= right <= n:
        raise ValueError(f"{right} right of {n} repeats: it must be 0 to {n}")
    if not 1 <= k <= n:
        raise ValueError(f"k = {k} of {n} repeats: k must be 1 to {n}, the number of repeats")
