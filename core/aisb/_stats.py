"""How sure a share is, and what n repeats of a sample say: intervals, pass@k, cons@k, maj@k.

Pure functions over the standard library. Shares are 0 to 1; an interval is (low, high) and covers 95 % unless
`z` says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import comb, fsum, sqrt

Z95 = 1.959963984540054
"""The 97.5 % point of the normal distribution."""

Interval = tuple[float, float]


def wilson(share: float, n: float, z: float = Z95) -> Interval:
    """Return the Wilson score interval of a share seen in `n` independent trials; `n` may be a fraction.

    centre ± half, with centre = (p + z²/2n) / (1 + z²/n) and half = z·sqrt(p(1−p)/n + z²/4n²) / (1 + z²/n).
    Source: Wilson, JASA 22 (1927) 209; recommended by Brown, Cai & DasGupta, Statist. Sci. 16 (2001) 101.
    With no trials nothing is known: (0, 1).
    """
    if not 0 <= share <= 1 or n < 0:
        raise ValueError(
            f"a share of {share} in {n} trials: the share must be 0 to 1, and the trials not negative"
        )
    if n == 0:
        return (0.0, 1.0)
    scale = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / scale
    # At 0 and 1 the formula gives the end itself; rounding must not move it inside.
    return (0.0 if share == 0 else max(0.0, centre - half), 1.0 if share == 1 else min(1.0, centre + half))


def clustered(clusters: Iterable[Sequence[float]], *, trials: int | None = None, z: float = Z95) -> Interval:
    """Return the interval of the mean of values in 0 to 1 that come in clusters (repeats of a sample).

    The Wilson interval with an effective number of trials p(1−p)/V, where V = Σ_g (Σ_i (x_gi − p))² / N² is
    the cluster-robust variance of the mean. It is Wilson's own for clusters of one, and Wilson's over the
    number of clusters when all values of a cluster agree. The effective number is at most `trials` (default:
    the number of values), and the number of clusters where V is 0 and so tells nothing.
    Sources: Miller, "Adding error bars to evals" (2024), section 2.2, for V; Dean & Pagano, J. Surv. Stat.
    Methodol. 3 (2015) 484, for Wilson with an effective, truncated size.
    """
    kept = [cluster for cluster in clusters if len(cluster)]
    total = sum(len(cluster) for cluster in kept)
    if not total:
        return (0.0, 1.0)
    mean = min(1.0, max(0.0, fsum(value for cluster in kept for value in cluster) / total))
    variance = fsum((fsum(cluster) - mean * len(cluster)) ** 2 for cluster in kept) / total**2
    most = total if trials is None else trials
    spread = mean * (1 - mean)
    # Rounding leaves about 1e-32 where the variance is exactly 0.
    flat = len(kept) == 1 or spread == 0 or variance < spread * 1e-18
    effective = len(kept) if flat else min(most, spread / variance)
    return wilson(mean, effective, z)


def mean_interval(
    values: Sequence[float], clusters: Sequence[object] = (), z: float = Z95
) -> Interval | None:
    """Return the interval of a mean of values of any size (F1, ROUGE), clustered where `clusters` says so.

    mean ± z·sqrt(G/(G−1) · Σ_g (Σ_i (x_gi − mean))²) / N over G clusters; each value is its own where none
    are given. None with fewer than two clusters. Source: Miller, "Adding error bars to evals" (2024).
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


def mean_of_shares(shares: Sequence[tuple[float, Interval]]) -> Interval:
    """Return the interval of the unweighted mean of independent shares, each given with its own interval.

    p ± sqrt(Σ (distance of each share to its own limit)²) / G: the limits are kept, so a group at 0 or 100 %
    still adds its doubt. Source: Zou, Huang & Zhang, Comput. Stat. Data Anal. 53 (2009) 1080 (MOVER).
    """
    if not shares:
        return (0.0, 1.0)
    mean = fsum(share for share, _ in shares) / len(shares)
    down = sqrt(fsum((share - low) ** 2 for share, (low, _) in shares)) / len(shares)
    up = sqrt(fsum((high - share) ** 2 for share, (_, high) in shares)) / len(shares)
    return (max(0.0, mean - down), min(1.0, mean + up))


def avg_at_n(n: int, right: int) -> float:
    """Return the share of a sample's `n` repeats that are right."""
    _check(n, right, n)
    return right / n


def pass_at_k(n: int, right: int, k: int) -> float:
    """Return the chance that at least one of `k` repeats, drawn without replacement from `n`, is right.

    1 − C(n−c,k)/C(n,k) as the product 1 − Π_{i=n−c+1..n} (1 − k/i).
    Source: Chen et al., "Evaluating large language models trained on code" (2021), section 2.1.
    """
    _check(n, right, k)
    if n - right < k:
        return 1.0
    none_right = 1.0
    for i in range(n - right + 1, n + 1):
        none_right *= 1 - k / i
    return 1 - none_right


def cons_at_k(n: int, right: int, k: int) -> float:
    """Return the chance that more than half of `k` repeats, drawn without replacement from `n`, are right.

    Σ_{j>k/2} C(c,j)·C(n−c,k−j) / C(n,k). For k = n it is 1 or 0: whether more than half are right.
    """
    _check(n, right, k)
    ways = sum(comb(right, j) * comb(n - right, k - j) for j in range(k // 2 + 1, min(right, k) + 1))
    return ways / comb(n, k)


def maj_at_k(right: int, others: Sequence[int], silent: int, k: int) -> float:
    """Return the chance that the commonest answer among `k` repeats, drawn without replacement, is right.

    `right` repeats gave the right answer, `others` are the counts of each other answer, and `silent` repeats
    gave none, which is no vote. A tie counts as the right answer's share of it (1 of 2, 1 of 3, …).
    Source: Wang et al., "Self-consistency improves chain of thought reasoning" (2023), with the expectation
    taken over all subsets.
    """
    n = right + sum(others) + silent
    _check(n, right, k)
    total = 0.0
    for votes in range(1, min(right, k) + 1):
        # ways[(drawn, tied)]: subsets of the other answers in which none has more than `votes`.
        ways: dict[tuple[int, int], int] = {(0, 0): 1}
        for count in others:
            ways = _with_answer(ways, count, votes, k - votes)
        for (drawn, tied), number in ways.items():
            rest = k - votes - drawn
            if rest <= silent:
                total += comb(right, votes) * number * comb(silent, rest) / (tied + 1) / comb(n, k)
    return min(1.0, total)


def _with_answer(
    ways: dict[tuple[int, int], int], count: int, votes: int, room: int
) -> dict[tuple[int, int], int]:
    """Extend subsets by 0 to `votes` repeats of one more answer that `count` repeats gave."""
    wider: dict[tuple[int, int], int] = {}
    for (drawn, tied), number in ways.items():
        for taken in range(min(count, votes, room - drawn) + 1):
            key = (drawn + taken, tied + (taken == votes))
            wider[key] = wider.get(key, 0) + number * comb(count, taken)
    return wider


def _check(n: int, right: int, k: int) -> None:
    if not 0 <= right <= n:
        raise ValueError(f"{right} right of {n} repeats: it must be 0 to {n}")
    if not 1 <= k <= n:
        raise ValueError(
            f"k = {k} of {n} repeats: k must be 1 to {n}, since a subset cannot be larger than the whole"
        )
