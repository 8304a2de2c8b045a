"""Certified percentiles are those of MLPerf LoadGen's early stopping."""

from __future__ import annotations

from math import ceil, exp, lgamma, log

import numpy as np
import pytest

from aisb_engine._performance.early_stopping import certified, slower

# (percentile, samples): which of the slowest is the estimate, as LoadGen 5.1, compiled, has it; 0 is none.
LOADGEN = {
    (50, 30): 8, (50, 44): 13, (50, 45): 14, (50, 1000): 462, (50, 24576): 12105,
    (75, 30): 1, (75, 100): 14, (75, 662): 139, (75, 24576): 5985,
    (90, 63): 0, (90, 64): 1, (90, 100): 3, (90, 1000): 78, (90, 24576): 2348,
    (95, 100): 0, (95, 130): 1, (95, 661): 20, (95, 6636): 290, (95, 24576): 1149,
    (97, 500): 6, (97, 662): 9, (97, 5000): 122, (97, 24576): 675,
    (99, 661): 0, (99, 662): 1, (99, 1000): 2, (99, 1324): 5, (99, 6636): 47, (99, 24576): 209,
    (99.9, 6635): 0, (99.9, 6636): 1, (99.9, 10000): 2, (99.9, 24576): 13,
}  # fmt: skip


@pytest.mark.parametrize(("percent", "count"), LOADGEN)
def test_the_estimate_is_the_sample_that_loadgen_takes(percent, count):
    assert slower(count, percent) == LOADGEN[percent, count]


def odds(passing: int, slow: int, share: float) -> float:
    """LoadGen's chance of so few slow queries: a regularized beta function by a hypergeometric series."""
    first, second, at = passing, 1 + slow, share / (share - 1)
    term = result = 1.0
    number = 0
    while abs(term) > 2.0**-33:
        term *= (1 - second + number) * at / (1 + first + number)
        result += term
        number += 1
    beta = lgamma(first) + lgamma(second) - lgamma(first + second)
    return exp(first * log(share) + (second - 1) * log(1 - share) - beta) / first * result


def least_passing(slow: int, share: float) -> int:
    """LoadGen's `MinPassingQueriesFinder`, without its memory: the fewest queries that have to be in time."""
    low, high = 0, ceil(log(1 - 0.99) / log(share)) * (slow + 1) + slow * ceil(share / (1 - share)) + 1
    while low < high:
        middle = (low + high) // 2
        if odds(middle, slow, share) < 1 - 0.99 if middle else False:
            high = middle
        else:
            low = middle + 1
    return low


@pytest.mark.parametrize("percent", [90, 95, 99])
@pytest.mark.parametrize("slow", [1, 2, 3, 7, 20])
def test_it_begins_to_discard_where_the_published_function_does(percent, slow):
    enough = least_passing(slow, percent / 100) + slow
    assert slower(enough, percent) == slow
    assert slower(enough - 1, percent) == slow - 1


def test_values_too_few_have_no_bound_and_the_bound_is_above_the_percentile():
    values = np.sort(np.random.default_rng(0).exponential(100, 700))
    bounds = certified(values, [50, 90, 99, 99.9])
    assert list(bounds) == [50, 90, 99]
    assert bounds[99] == values[-1]
    assert all(bound >= np.percentile(values, percent) for percent, bound in bounds.items())
    assert certified(values[:1], [50]) == {}


def test_a_bound_is_above_the_true_percentile_99_times_of_100():
    draw = np.random.default_rng(1)
    true = -np.log(0.1)
    below = sum(certified(np.sort(draw.exponential(1, 300)), [90])[90] < true for _ in range(2000))
    assert below <= 0.01 * 2000 + 3 * np.sqrt(20)
