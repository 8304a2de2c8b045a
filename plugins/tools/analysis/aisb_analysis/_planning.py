"""Compute the samples, repeats and minutes that detect a difference, from a pilot run.

The variance of a paired difference has two parts: samples differ from each other, and the answer to one
sample varies from repeat to repeat. More samples reduce both, repeats only the second:

    variance of the mean difference = (between + within / repeats) / samples

Pure functions. Differences are shares, not points. The power is 80 %, the level of the two-sided test
5 %. Source: Miller, "Adding error bars to evals" (2024), sections 3 and 5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from statistics import fmean, variance

from aisb_analysis._paired import detectable_errors, standard_error
from aisb_engine import Grade

CORRELATION = 0.5
"""The assumed correlation between two models' scores of a sample, if the pilot has only one side."""
REPEATS = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True)
class Pilot:
    """A pilot's estimates for one task: the variances of a sample's difference, and its time on both sides.

    `within` is None without repeats; `between` then includes it. `seconds` is None if the times are unknown.
    `size` is the number of samples of the task, None if the pilot used only some of them. `assumed_share` is
    the share of answers that is assumed to change (with one side: to have the other grade) if none does.
    """

    task: str
    samples: int
    between: float
    within: float | None
    seconds: float | None
    size: int | None
    is_assumed: bool = False
    assumed_share: float | None = None


@dataclass(frozen=True, slots=True)
class Need:
    """What it takes to detect a difference. `fits` is false if the task is known to have fewer samples."""

    difference: float
    repeats: int
    samples: int
    requests: int
    minutes: float | None
    fits: bool


def pilot_of(
    task: str,
    a: Mapping[str, Sequence[Grade]],
    b: Mapping[str, Sequence[Grade]] | None,
    *,
    seconds: float | None,
    size: int | None,
    noise: float | None = None,
) -> Pilot:
    """Estimate a pilot from the grades of one or two sides; `noise` is the share of random flips.

    With one side, the other is assumed to have the same score and the correlation `CORRELATION`.
    """
    keys = [key for key in a if b is None or key in b]
    values = [[[_value(grade) for grade in side[key]] for key in keys] for side in (a, b) if side is not None]
    repeats = [min(len(sample) for sample in side) for side in values]
    means = [[fmean(sample) for sample in side] for side in values]
    within = None
    if min(repeats) > 1:
        within = sum(fmean(variance(sample) for sample in side) for side in values) * (2 if b is None else 1)
    units = len(keys)
    if b is None:
        total = 2 * (1 - CORRELATION) * variance(means[0])
    else:
        changes = [right - left for left, right in zip(*means, strict=True)]
        clusters = [a[key][0].cluster or f"\0{key}" for key in keys]
        shared = clusters if len(set(clusters)) < len(clusters) else None
        units = len(set(clusters))
        total = len(changes) * standard_error(changes, shared) ** 2
    assumed_share = None
    if total == 0 and not within:
        # No sample changed in the pilot: at most this share does, with 95 % confidence. Its variance is p.
        total = assumed_share = 1 - 0.05 ** (1 / units)
    if within is None and noise is not None:
        within = min(noise, total)
        repeats = [1]
    between = total if within is None else max(0.0, total - within / min(repeats))
    return Pilot(task, len(keys), between, within, seconds, size, b is None, assumed_share)


def _value(grade: Grade) -> float:
    return grade.value if 0 < grade.value < 1 else float(grade.outcome == "correct")


def needed(pilot: Pilot, difference: float, repeats: int = 1) -> Need:
    """Return what it takes to detect a difference with this number of repeats on both sides."""
    samples = max(2, ceil(detectable_errors() ** 2 * _variance(pilot, repeats) / difference**2 - 1e-9))
    minutes = None if pilot.seconds is None else samples * repeats * pilot.seconds / 60
    fits = pilot.size is None or samples <= pilot.size
    return Need(difference, repeats, samples, 2 * samples * repeats, minutes, fits)


def least_need(pilot: Pilot, difference: float) -> Need:
    """Return the plan with the fewest requests; repeats help if the task has too few samples."""
    repeats = REPEATS if pilot.within is not None else (1,)
    needs = [needed(pilot, difference, number) for number in repeats]
    return min(needs, key=lambda need: (not need.fits, need.requests))


def detectable(pilot: Pilot, samples: float, repeats: int = 1) -> float:
    """Return the minimum detectable difference of a number of samples and repeats."""
    return detectable_errors() * sqrt(_variance(pilot, repeats) / samples)


def within_budget(pilot: Pilot, seconds: float) -> tuple[int, int, float] | None:
    """Return the samples and repeats that detect the smallest difference in a time, and that difference.

    None if the times are unknown, or nothing fits.
    """
    if not pilot.seconds:
        return None
    found = []
    for repeats in REPEATS if pilot.within is not None else (1,):
        samples = min(int(seconds / pilot.seconds / repeats), pilot.size or 10**9)
        if samples > 1:
            found.append((samples, repeats, detectable(pilot, samples, repeats)))
    return min(found, key=lambda one: one[2], default=None)


def _variance(pilot: Pilot, repeats: int) -> float:
    return pilot.between + (pilot.within or 0.0) / repeats
