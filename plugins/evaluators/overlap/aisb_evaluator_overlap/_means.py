"""Summarize partial credit: the mean of each figure with its interval, over all samples and by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum

from aisb import Metric, Score
from aisb.helpers import mean_interval


def figures(score: Score) -> Mapping[str, float]:
    """Return the figures in a score; empty for a sample without an answer."""
    found = score.details.get("figures")
    return found if isinstance(found, Mapping) else {}


def mean_metrics(scores: Sequence[Score], names: Sequence[str]) -> list[Metric]:
    """Return the mean of each figure in percent, the first of them also for each group and over the groups.

    A figure is a share from 0 to 1 in `details["figures"]` of the score. A sample without an answer counts as
    0. Repeats of a sample, and samples that share a passage or the like, form a cluster for the interval.
    """
    if not scores:
        return []
    groups: dict[str, list[Score]] = {}
    for score in scores:
        if score.group is not None:
            groups.setdefault(score.group, []).append(score)
    metrics = [_mean(name, scores, None) for name in names]
    group_metrics = [_mean(names[0], of, group) for group, of in groups.items()]
    if not group_metrics:
        return metrics
    naive = fsum(metric.value or 0.0 for metric in group_metrics) / len(group_metrics)
    grouped = [score for of in groups.values() for score in of]
    weighted = _mean(names[0], grouped, None)
    return [
        *metrics,
        *group_metrics,
        Metric("naive_average", naive, unit="%", count=len(grouped)),
        Metric("weighted_average", weighted.value, weighted.low, weighted.high, "%", len(grouped)),
    ]


def _mean(name: str, scores: Sequence[Score], group: str | None) -> Metric:
    values = [100 * figures(score).get(name, 0.0) for score in scores]
    clusters = [score.cluster or f"\0{score.sample_id}" for score in scores]
    interval = mean_interval(values, clusters) or (None, None)
    low, high = (None if end is None else min(100.0, max(0.0, end)) for end in interval)
    return Metric(name, fsum(values) / len(values), low, high, "%", len(values), group)
