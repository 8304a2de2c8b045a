"""Estimate the rate at which a share of requests crosses its limit: logit fit, jackknife, posterior.

The model of the share of requests over a limit is
logit(share) = logit(q) + slope * (ln rate - ln capacity + ratio * excess) near the capacity. The excess is
ln(requests that arrived / requests expected) in a segment: the number of Poisson arrivals varies by some
percent, and the fit removes the noise that this explains. Requests near saturation are strongly correlated
(thousands may carry the information of thirty), so uncertainties come from the spread between blocks, or from
a beta-binomial model of blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log, sqrt
from typing import NamedTuple

import numpy as np

from aisb_analysis._capacity.loads import Flags, Floats

SLOPE, SLOPE_SD = 15.0, 8.0
"""The prior of the slope: queueing services have slopes between 7 (heavy tails) and 34 (batching, p99)."""
GRID_SLOPES: Floats = np.geomspace(3.0, 60.0, 14)
RATIO, RATIO_SD = 0.8, 0.4
"""The prior of the effect of an excess of arrivals, as a part of the effect of the rate."""
GRID_RATIOS: Floats = np.array([0.0, 0.4, 0.8, 1.2])
PLACE_SD = 0.3
"""The standard deviation of the prior of the capacity around the expected rate, in ln rate."""
GRID: Floats = np.linspace(-0.5, 0.5, 101)
"""The grid around the expected capacity, in ln rate."""
MAX_DISTANCE = 0.2
"""Segments whose rates are lower than the capacity by more than this share carry little information, and are
omitted."""
OVERLOADED = 0.4
"""Larger shares over a limit count as this one: in an overload they depend on the time more than the rate."""
MAX_DISPERSION = 200.0
"""The largest overdispersion: near saturation, up to 200 requests carry the information of one."""
WIDER = 1.25
"""The correction of the jackknife's half width: it is too small by this value ÷ the number of blocks."""
CONFIDENCE = 0.95
FEW_BLOCKS, FEW_CONFIDENCE = 12, 0.99
"""The confidence of the posterior of fewer blocks than these, which may have seen no extreme request."""


class Segment(NamedTuple):
    """The requests of a period at one rate, and the number of them over the limit. A block has one rate.

    `expected` is the number of requests that the rate gives on average.
    """

    rate: float
    over: int
    total: int
    expected: float
    block: int


class Fit(NamedTuple):
    """The fitted crossing of a limit: its place in ln rate, and the slope there."""

    place: float
    slope: float

    @property
    def rate(self) -> float:
        """The rate at which the share crosses its limit."""
        return exp(self.place)


def segments_near(segments: Sequence[Segment], centre: float) -> list[Segment]:
    """Return the segments at rates that are not far below a rate; all if fewer than three are."""
    far = _far_below(segments, centre)
    return [one for one, is_far in zip(segments, far, strict=True) if not is_far]


def _far_below(segments: Sequence[Segment], centre: float) -> Flags:
    far: Flags = np.array([one.rate / centre - 1 < -MAX_DISTANCE for one in segments])
    return far if np.count_nonzero(~far) >= 3 else np.zeros(len(segments), bool)


def fit(segments: Sequence[Segment], share: float, centre: float) -> Fit:
    """Fit the crossing by quasi-likelihood on a grid, with weak priors on its parameters.

    A grid, because Newton's method does not move if all segments are far above the limit, where the gradient
    vanishes. Segments far below the crossing that the first fit finds are left out of the second.
    """
    table = _Table(segments, share, centre)
    return table.fit(_far_below(segments, table.fit().rate))


class _Table:
    """The likelihood of each segment at each slope, ratio and place, from which parts can be fitted."""

    def __init__(self, segments: Sequence[Segment], share: float, centre: float) -> None:
        x, self._over, self._total, excess, expected = _columns(segments)
        self._places = log(centre) + GRID
        levels = _levels(share, expected, GRID_SLOPES, GRID_RATIOS)[:, :, None, None]
        distance = x - self._places[:, None]
        slopes = GRID_SLOPES[:, None, None, None]
        logit = levels + slopes * (distance + GRID_RATIOS[:, None, None] * excess)
        self._shares = _capped(logit)
        self._likelihood = self._over * np.log(self._shares) + (self._total - self._over) * np.log1p(
            -self._shares
        )
        self._prior = -0.5 * (
            (((GRID_SLOPES - SLOPE) / SLOPE_SD) ** 2)[:, None, None]
            + (((GRID_RATIOS - RATIO) / RATIO_SD) ** 2)[:, None]
            + (GRID / PLACE_SD) ** 2
        )

    def fit(self, left_out: Flags | None = None) -> Fit:
        """Return the best fit of all segments but those left out."""
        kept = np.ones(len(self._total), bool) if left_out is None else ~left_out
        over, total = self._over[kept], self._total[kept]
        likelihood = self._likelihood @ kept.astype(float)
        dispersion = 1.0
        for _ in range(2):
            height = likelihood / dispersion + self._prior
            slope, ratio, place = np.unravel_index(int(np.argmax(height)), height.shape)
            expected = self._shares[slope, ratio, place][kept]
            residuals = (over - total * expected) ** 2 / (total * expected * (1 - expected) + 0.25)
            dispersion = float(np.sum(residuals)) / max(1, len(total) - 2)
            dispersion = min(MAX_DISPERSION, max(1.0, dispersion))
        return Fit(_peak(self._places, height[slope, ratio], int(place)), float(GRID_SLOPES[slope]))


def _levels(share: float, expected: Floats, slopes: Floats, ratios: Floats) -> Floats:
    """Return the logit at the capacity without an excess, by slope and ratio.

    It is lower than that of the share: over the excesses of Poisson arrivals the shares average to `share`.
    """
    spread = slopes[:, None] * ratios * sqrt(1 / float(np.mean(expected)))
    levels = np.full(spread.shape, log(share / (1 - share)))
    for _ in range(4):  # Newton's method; three points and weights of Gauss and Hermite
        shares = [1 / (1 + np.exp(-levels - point * spread)) for point in (-sqrt(3), 0.0, sqrt(3))]
        low, middle, high = shares
        mean = low / 6 + 2 * middle / 3 + high / 6
        bend = low * (1 - low) / 6 + 2 * middle * (1 - middle) / 3 + high * (1 - high) / 6
        levels = levels - np.clip((mean - share) / bend, -1.0, 1.0)
    return levels


def _capped(logit: Floats) -> Floats:
    shares: Floats = np.minimum(1 / (1 + np.exp(-np.clip(logit, -9, 9))), OVERLOADED)
    return shares


def _peak(places: Floats, height: Floats, top: int) -> float:
    """Return the position of a curve's maximum, by the parabola through its three highest points."""
    if not 0 < top < len(places) - 1:
        return float(places[top])
    left, middle, right = height[top - 1 : top + 2]
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / bend if bend < 0 else 0.0
    return float(places[top] + shift * (places[1] - places[0]))


def jackknife(segments: Sequence[Segment], share: float, centre: float) -> float | None:
    """Return the jackknife half width of the interval in ln rate; None for fewer than three blocks."""
    from scipy.stats import t

    of_segment = np.array([one.block for one in segments])
    blocks = np.unique(of_segment)
    if len(blocks) < 3:
        return None
    table = _Table(segments, share, centre)
    places = np.array([table.fit(of_segment == block).place for block in blocks])
    count = len(blocks)
    error = sqrt((count - 1) / count * float(np.sum((places - np.mean(places)) ** 2)))
    return (1 + WIDER / count) * error * float(t.ppf(0.5 + CONFIDENCE / 2, max(1, count - 2)))


def posterior_low(segments: Sequence[Segment], share: float, centre: float) -> float:
    """Return the 2.5 % quantile of the capacity under a beta-binomial model of blocks; 0.5 % of few blocks.

    It detects heavy tails that the jackknife misses.
    """
    from scipy.special import betaln
    from scipy.stats import lognorm

    x, k, n, excess, expected = _columns(_whole_blocks(segments))
    places = log(centre) + np.linspace(-0.35, 0.35, 71)
    slopes = lognorm.ppf((np.arange(7) + 0.5) / 7, 0.55, scale=SLOPE)
    correlations = np.geomspace(0.001, 0.2, 8)
    levels = _levels(share, expected, slopes, np.array([RATIO]))[:, :, None]
    logit = levels + slopes[:, None, None] * (x - places[:, None] + RATIO * excess)
    p = _capped(logit)[:, :, None, :]
    strength = (1 / correlations - 1)[:, None]
    likelihood = np.sum(
        betaln(k + p * strength, n - k + (1 - p) * strength) - betaln(p * strength, (1 - p) * strength),
        axis=-1,
    )
    weights: Floats = np.exp(likelihood - likelihood.max()).sum(axis=(0, 2))
    cumulated = np.cumsum(weights) / np.sum(weights)
    confidence = CONFIDENCE if len(x) >= FEW_BLOCKS else FEW_CONFIDENCE
    return exp(float(np.interp((1 - confidence) / 2, cumulated, places)))


def _whole_blocks(segments: Sequence[Segment]) -> list[Segment]:
    """Return a segment for each block, since the segments of one block are not independent."""
    found: dict[int, Segment] = {}
    for one in segments:
        same = found.get(one.block)
        found[one.block] = one if same is None else _joined(same, one)
    return list(found.values())


def _joined(a: Segment, b: Segment) -> Segment:
    return a._replace(over=a.over + b.over, total=a.total + b.total, expected=a.expected + b.expected)


def _columns(segments: Sequence[Segment]) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Return ln rate, requests over the limit, requests, ln excess, and expected requests."""
    rate, over, total, expected, _ = np.array(segments, float).T
    return np.log(rate), np.minimum(over, OVERLOADED * total), total, np.log(total / expected), expected
