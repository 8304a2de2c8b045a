"""Metrics over n repeats of a sample: maj@k and g-pass@k; and the interval of a mean over groups."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, comb, fsum, sqrt

from aisb._stats import Interval, check_repeats


def mean_of_shares(shares: Sequence[tuple[float, Interval]]) -> Interval:
    """Return the interval of the unweighted mean of independent shares, each with its own interval.

    p ± sqrt(Σ (distance of each share to its own limit)²) / G. It uses the limits, so a group at 0 or 100 %
    still adds uncertainty. Source: Zou, Huang & Zhang, Comput. Stat. Data Anal. 53 (2009) 1080 (MOVER).
    """
    if not shares:
        return (0.0, 1.0)
    mean = fsum(share for share, _ in shares) / len(shares)
    down = sqrt(fsum((share - low) ** 2 for share, (low, _) in shares)) / len(shares)
    up = sqrt(fsum((high - share) ** 2 for share, (_, high) in shares)) / len(shares)
    return (max(0.0, mean - down), min(1.0, mean + up))


def g_pass_at_k(repeats: int, right: int, k: int, threshold: float) -> float:
    """Return the probability that at least ⌈threshold · k⌉ of `k` repeats, drawn as above, are right.

    Σ_{j≥⌈τk⌉} C(c, j)·C(n−c, k−j) / C(n, k). At least one must be right, so a small threshold gives pass@k.
    Source: Liu et al., "Are your LLMs capable of stable reasoning?" (2024), equation 3.
    """
    check_repeats(repeats, right, k)
    # Decimal arithmetic: 0.07 · 100 must be 7, and not slightly more.
    required = max(1, ceil(Fraction(str(threshold)) * k))
    ways = sum(comb(right, j) * comb(repeats - right, k - j) for j in range(required, min(right, k) + 1))
    return ways / comb(repeats, k)


def maj_at_k(right: int, others: Sequence[int], silent: int, k: int) -> float:
    """Return the probability that the most common answer of `k` repeats, drawn without replacement, is right.

    `right` repeats gave the right answer, `others` are the counts of each other answer, and `silent` repeats
    gave none, which is not a vote. A tie counts as the right answer's share of it (1 of 2, 1 of 3, …).
    Source: Wang et al., "Self-consistency improves chain of thought reasoning" (2023), as the expectation
    over all subsets.
    """
    n = right + sum(others) + silent
    check_repeats(n, right, k)
    total = 0.0
    for votes in range(1, min(right, k) + 1):
        # ways[(drawn, tied)]: the number of subsets of other answers in which none has more than `votes`.
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
    """Extend subsets by 0 to `votes` repeats of another answer that `count` repeats gave."""
    wider: dict[tuple[int, int], int] = {}
    for (drawn, tied), number in ways.items():
        for taken in range(min(count, votes, room - drawn) + 1):
            key = (drawn + taken, tied + (taken == votes))
            wider[key] = wider.get(key, 0) + number * comb(count, taken)
    return wider
