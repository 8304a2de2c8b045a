"""Estimate the rate at which a share of requests crosses its limit: logit fit, jackknife, posterior.

The model of the share of requests over a limit is
logit(share) = logit(q) + slope * (ln rate - ln capacity) near the capacity. Requests near saturation are
strongly correlated (thousands may carry the information of thirty), so uncertainties come from the spread
between blocks, or from a beta-binomial model of segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log, sqrt
from typing import NamedTuple

import numpy as np

from aisb_analysis._capacity.loads import Floats

SLOPE, SLOPE_SD = 15.0, 8.0
"""The prior of the slope: queueing services have slopes between 7 (heavy tails) and 34 (batching, p99)."""
GRID_SLOPES: Floats = np.geomspace(3.0, 60.0, 16)
PLACE_SD = 0.3
"""The standard deviation of the prior of the capacity around the expected rate, in ln rate."""
GRID: Floats = np.linspace(-0.5, 0.5, 126)
"""The grid around the expected capacity, in ln rate."""
MAX_DISTANCE = 0.2
"""Segments whose rates differ by more than this share from the capacity carry little information, and are
omitted."""
MOST_DISPERSION = 200.0
"""The largest overdispersion: near saturation, up to 200 requests carry the information of one."""
WIDER = 1.25
"""The correction of the jackknife's half width: it is too small by this value ÷ the number of blocks."""
CONFIDENCE = 0.95


class Segment(NamedTuple):
    """The requests of a period at one rate, and the number of them over the limit. A block has one rate."""

    rate: float
    over: int
    total: int
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
    """Return the segments at rates within 20 % of a rate; all if fewer than three are."""
    found = [one for one in segments if abs(one.rate / centre - 1) <= MAX_DISTANCE]
    return found if len(found) >= 3 else list(segments)


def fit(segments: Sequence[Segment], share: float, centre: float) -> Fit:
    """Fit the crossing by quasi-likelihood on a grid, with weak priors on its place and its slope.

    A grid, because Newton's method does not move if all segments are far above the limit, where the gradient
    vanishes.
    """
    x, k, n = _columns(segments)
    places = log(centre) + GRID
    p = _shares(x, places, GRID_SLOPES, share)
    likelihood = np.sum(k * np.log(p) + (n - k) * np.log(1 - p), axis=-1)
    prior = -0.5 * ((GRID / PLACE_SD) ** 2 + ((GRID_SLOPES - SLOPE) / SLOPE_SD)[:, None] ** 2)
    dispersion = 1.0
    for _ in range(2):
        height = likelihood / dispersion + prior
        slope, place = np.unravel_index(int(np.argmax(height)), height.shape)
        expected = p[slope, place]
        residuals = (k - n * expected) ** 2 / (n * expected * (1 - expected) + 0.25)
        dispersion = min(MOST_DISPERSION, max(1.0, float(np.sum(residuals)) / max(1, len(x) - 2)))
    return Fit(_peak(places, height[slope], int(place)), float(GRID_SLOPES[slope]))


def _shares(x: Floats, places: Floats, slopes: Floats, share: float) -> Floats:
    """Return the share over the limit by slope, place and segment."""
    logit = log(share / (1 - share)) + slopes[:, None, None] * (x - places[:, None])
    shares: Floats = 1 / (1 + np.exp(-np.clip(logit, -9, 9)))
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

    blocks = sorted({one.block for one in segments})
    if len(blocks) < 3:
        return None
    places = [fit([one for one in segments if one.block != block], share, centre).place for block in blocks]
    count = len(blocks)
    error = sqrt((count - 1) / count * float(np.sum((np.array(places) - np.mean(places)) ** 2)))
    return (1 + WIDER / count) * error * float(t.ppf(0.5 + CONFIDENCE / 2, max(1, count - 2)))


def posterior_low(segments: Sequence[Segment], share: float, centre: float) -> float:
    """Return the 2.5 % quantile of the capacity under a beta-binomial model.

    It detects heavy tails that the jackknife misses.
    """
    from scipy.special import betaln
    from scipy.stats import lognorm

    x, k, n = _columns(segments)
    places = log(centre) + np.linspace(-0.35, 0.35, 71)
    slopes = lognorm.ppf((np.arange(7) + 0.5) / 7, 0.55, scale=SLOPE)
    correlations = np.geomspace(0.001, 0.2, 8)
    p = _shares(x, places, slopes, share)[:, :, None, :]
    strength = (1 / correlations - 1)[:, None]
    likelihood = np.sum(
        betaln(k + p * strength, n - k + (1 - p) * strength) - betaln(p * strength, (1 - p) * strength),
        axis=-1,
    )
    weights: Floats = np.exp(likelihood - likelihood.max()).sum(axis=(0, 2))
    cumulated = np.cumsum(weights) / np.sum(weights)
    return exp(float(np.interp((1 - CONFIDENCE) / 2, cumulated, places)))


def _columns(segments: Sequence[Segment]) -> tuple[Floats, Floats, Floats]:
    columns = np.array([(log(one.rate), one.over, one.total) for one in segments], float).T
    return columns[0], columns[1], columns[2]
