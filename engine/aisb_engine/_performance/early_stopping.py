"""Certified percentiles: upper bounds of a percentile at 99 % confidence, by the method of MLPerf LoadGen.

If each sample is slower than the percentile p with probability 1 − p, then t or fewer of n samples are slower
with a probability that can be computed. LoadGen takes the largest t for which it is below 1 − c, with
confidence c. The t-th slowest sample is then an upper bound of the percentile. Since t is at least 1, a P99
needs 662 samples.

Source: `MinPassingQueriesFinder` and `PerformanceSummary::EarlyStopping` of mlcommons/inference, loadgen/.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from math import lgamma, log, sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aisb_engine._performance.columns import Floats

CONFIDENCE = 0.99
_REACH = 12
"""The number of standard deviations below the average beyond which a binomial distribution is negligible."""


def certified(ordered: Floats, percentiles: Iterable[float]) -> dict[float, float]:
    """Return an upper bound of each percentile of sorted values; missing if there are too few values."""
    found = {}
    for percent in percentiles:
        if place := slower(len(ordered), percent):
            found[percent] = float(ordered[len(ordered) - place])
    return found


@lru_cache(maxsize=256)  # most quantities of a run have the same number of values
def slower(count: int, percent: float) -> int:
    """Return the rank of the bound among the slowest samples: 1 is the slowest; 0 if there are too few.

    It is the largest t for which the probability of t or fewer slow samples of `count` is below 1 − c.
    """
    import numpy as np

    share = percent / 100
    slow = 1 - share
    if count < 2 or not 0 < slow < 1:
        return 0
    low = max(0, int(count * slow - _REACH * sqrt(count * slow * share)))
    numbers = np.arange(low, int(count * slow) + 2)
    steps = np.log((count - numbers[:-1]) / (numbers[:-1] + 1)) + log(slow) - log(share)
    begin = lgamma(count + 1) - lgamma(low + 1) - lgamma(count - low + 1)
    begin += low * log(slow) + (count - low) * log(share)
    chances = np.exp(np.concatenate([[0.0], np.cumsum(steps)]) + begin).cumsum()
    fits = (chances < 1 - CONFIDENCE).nonzero()[0]
    return int(numbers[fits[-1]]) if len(fits) else 0
