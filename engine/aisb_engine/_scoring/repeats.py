"""What n repeats of a sample say beside pass@k and cons@k: maj@k, g-pass@k; and the mean over groups."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, comb, fsum, sqrt

from aisb._stats import Interval, check_repeats


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


def g_pass_at_k(repeats: int, right: int, k: int, threshold: float) -> float:
    """Return the chance that at least ⌈threshold · k⌉ of `k` repeats, drawn without replacement, are right.

    Σ_{j≥⌈τk⌉} C(c, j)·C(n−c, k−j) / C(n, k); at least one must be right, so that a small threshold is pass@k.
    Source: Liu et al., "Are your LLMs capable of stable reasoning?" (2024), equation 3.
    """
    check_repeats(repeats, right, k)
    # As written: 0.07 · 100 is 7, and not a little more.
    least = max(1, ceil(Fraction(str(threshold)) * k))
    ways = sum(comb(right, j) * comb(repeats - right, k - j) for j in range(least, min(right, k) + 1))
    return ways / comb(repeats, k)


def maj_at_k(right: int, others: Sequence[int], silent: int, k: int) -> float:
    """Return the chance that the commonest answer among `k` repeats, drawn without replacement, is right.

    `right` repeats gave the right answer, `others` are the counts of each other answer, and `silent` repeats
    gave none, which is no vote. A tie counts as the right answer's share of it (1 of 2, 1 of 3, …).
    Source: Wang et al., "Self-consistency improves chain of thought reasoning" (2023), with the expectation
    taken over all subsets.
    """
    n = right + sum(others) + silent
    check_repeats(n, right, k)
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
