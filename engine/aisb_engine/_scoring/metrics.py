"""Aggregate scores: accuracy with its confidence interval, metrics of repeats and groups, unclear outcomes.

All shares are percentages. Any outcome but `correct` counts as not correct; n is the number of samples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import fsum
from typing import NamedTuple

from aisb._deprecated import Renamed
from aisb._stats import Interval, clustered, cons_at_k, pass_at_k, wilson
from aisb._types import OUTCOMES, Metric, Outcome, Score
from aisb_engine._scoring.repeats import g_pass_at_k, maj_at_k, mean_of_shares

UNCLEAR_WARNING = 2.0
"""The percentage of unclear outcomes above which a result gets a warning."""


class _RepeatMetrics(NamedTuple):
    """The k and the thresholds of the metrics over repeats."""

    k: Sequence[int]
    thresholds: Sequence[float]


def summarize(
    scores: Sequence[Score],
    *,
    k: Sequence[int] = (),
    thresholds: Sequence[float] = (),
    clusters: Mapping[str, str] | None = None,
) -> list[Metric]:
    """Return the metrics of scores that are right or wrong, the headline first.

    Without repeats: `accuracy`. With n repeats: `accuracy (n runs average)`, `avg@n`; `pass@k`, `cons@k` and
    `maj@k` for each k (default n); and `g-pass@k_t` for each of `thresholds`. With groups: also each of these
    for every group, `naive_average` (the mean over groups) and `weighted_average` (over all samples).

    Intervals are Wilson's. They are clustered by sample if there are repeats, and by shared material, such as
    a passage: `clusters` maps sample ids to it, by default from the scores.

    Raises:
        ValueError: a k is less than 1 or more than the number of repeats.
    """
    if not scores:
        return []
    repeats = max(score.repeat for score in scores) + 1
    if any(not 1 <= wanted <= repeats for wanted in k):
        raise ValueError(
            f"repeats.k = {list(k)}: each k must be 1 to {repeats}, the number of repeats of a sample"
        )
    wanted = _RepeatMetrics(tuple(dict.fromkeys(k)) or (repeats,), tuple(dict.fromkeys(thresholds)))
    if clusters is None:
        clusters = {score.sample_id: score.cluster for score in scores if score.cluster is not None}

    def measured(of: Sequence[Score], group: str | None) -> list[Metric]:
        return _measures(of, repeats, wanted, clusters or {}, group)

    overall = measured(scores, None)
    groups: dict[str, list[Score]] = {}
    for score in scores:
        if score.group is not None:
            groups.setdefault(score.group, []).append(score)
    if not groups:
        return overall
    each = [measured(of, group) for group, of in groups.items()]
    return [
        *overall,
        *(metric for metrics in each for metric in metrics),
        *_averages(overall[0], [m[0] for m in each]),
    ]


@dataclass(frozen=True, slots=True)
class OutcomeCounts:
    """The number of predictions with each outcome; the counts add up to `total`."""

    counts: Mapping[Outcome, int]

    @property
    def total(self) -> int:
        """The number of predictions."""
        return sum(self.counts.values())

    asked = Renamed("total")

    @property
    def unclear(self) -> int:
        """The number of predictions that are neither correct nor wrong."""
        return self.total - self.counts["correct"] - self.counts["wrong"]

    @property
    def unclear_share(self) -> float:
        """The percentage of predictions that are neither correct nor wrong."""
        return 100 * self.unclear / self.total if self.total else 0.0

    @property
    def doubtful(self) -> bool:
        """Whether the headline needs a warning because so many outcomes are unclear."""
        return self.unclear_share > UNCLEAR_WARNING

    @property
    def bounds(self) -> Interval | None:
        """The headline if all unclear outcomes are counted as wrong, and if they are left out.

        (0, 100) if all outcomes are unclear; None if there are no predictions.
        """
        if not self.total:
            return None
        right, clear = self.counts["correct"], self.total - self.unclear
        return (100 * right / self.total, 100 * right / clear if clear else 100.0)


def count_outcomes(scores: Sequence[Score]) -> OutcomeCounts:
    """Count the outcomes of scores."""
    counts = Counter(score.outcome for score in scores)
    if counts[None]:
        raise ValueError(f"{counts[None]} scores have no outcome; the engine must set one for each")
    return OutcomeCounts({name: counts[name] for name in OUTCOMES})


def outcomes(scores: Sequence[Score]) -> dict[Outcome, int]:
    """Return the number of scores for each of the six outcomes."""
    return dict(count_outcomes(scores).counts)


def bounds(scores: Sequence[Score]) -> Interval | None:
    """Return the headline in percent if unclear outcomes are wrong, and if they are left out."""
    return count_outcomes(scores).bounds


@dataclass(slots=True)
class _Votes:
    """The outcomes of the repeats of one sample."""

    right: int = 0
    count: int = 0
    others: Counter[str] | None = None

    def add(self, score: Score) -> None:
        self.count += 1
        if score.outcome == "correct":
            self.right += 1
        elif score.answer is not None:
            # An evaluator sets `vote` if it knows that two texts, such as "70,000" and "70000", are equal.
            self.others = self.others or Counter()
            self.others[str(score.details.get("vote", score.answer))] += 1

    def majority(self, n: int, k: int) -> float:
        others = list(self.others.values()) if self.others else []
        return maj_at_k(self.right, others, n - self.right - sum(others), k)


def _measures(
    scores: Sequence[Score],
    repeats: int,
    requested: _RepeatMetrics,
    clusters: Mapping[str, str],
    group: str | None,
) -> list[Metric]:
    samples: dict[str, _Votes] = {}
    for score in scores:
        samples.setdefault(score.sample_id, _Votes()).add(score)
    total = repeats * len(samples)
    if any(votes.count > repeats for votes in samples.values()):
        raise ValueError("a sample has more scores than repeats; pass the scores of one evaluator only")

    def metric(name: str, share: float, interval: Interval, count: int) -> Metric:
        low, high = interval
        return Metric(name, 100 * share, 100 * low, 100 * high, "%", count, group)

    # A missing repeat counts as not correct, so every sample has `repeats` values.
    shared: dict[str, list[float]] = {}
    for sample_id, votes in samples.items():
        values = [1.0] * votes.right + [0.0] * (repeats - votes.right)
        shared.setdefault(clusters.get(sample_id, f"\0{sample_id}"), []).extend(values)
    right = sum(votes.right for votes in samples.values())
    plain = repeats == 1 and len(shared) == len(samples)
    interval = wilson(right / total, total) if plain else clustered(list(shared.values()))
    if repeats == 1:
        return [metric("accuracy", right / total, interval, total)]

    def over_samples(name: str, values: Iterable[float]) -> Metric:
        parts: dict[str, list[float]] = {}
        for sample_id, value in zip(samples, values, strict=True):
            parts.setdefault(clusters.get(sample_id, f"\0{sample_id}"), []).append(value)
        mean = fsum(value for part in parts.values() for value in part) / len(samples)
        return metric(name, min(1.0, mean), clustered(list(parts.values()), trials=total), len(samples))

    metrics = [
        metric(f"accuracy ({repeats} runs average)", right / total, interval, total),
        metric(f"avg@{repeats}", right / total, interval, len(samples)),
    ]
    for k in requested.k:
        metrics += [
            over_samples(f"pass@{k}", (pass_at_k(repeats, votes.right, k) for votes in samples.values())),
            over_samples(f"cons@{k}", (cons_at_k(repeats, votes.right, k) for votes in samples.values())),
            over_samples(f"maj@{k}", (votes.majority(repeats, k) for votes in samples.values())),
            *(
                over_samples(
                    f"g-pass@{k}_{share:g}",
                    (g_pass_at_k(repeats, votes.right, k, share) for votes in samples.values()),
                )
                for share in requested.thresholds
            ),
        ]
    return metrics


def over_areas(metrics: Sequence[Metric], areas: Mapping[str, Sequence[str]]) -> list[Metric]:
    """Return the averages over the groups of each area; `areas` has the areas of each group.

    They are computed like those over all groups, from the first metric of each group.
    """
    first: dict[str, Metric] = {}
    for metric in metrics:
        if metric.group is not None:
            first.setdefault(metric.group, metric)
    members: dict[str, list[Metric]] = {}
    for group, metric in first.items():
        for area in areas.get(group, ()):
            members.setdefault(area, []).append(metric)
    return [
        replace(average, group=area)
        for area, of in members.items()
        if area not in first
        for average in _averages(None, of)
    ]


def over_some_groups(
    metrics: Sequence[Metric], present: Collection[str | None], every: Mapping[str, Sequence[str]]
) -> list[Metric]:
    """Set `groups` of each metric that covers fewer groups than the task has.

    `present` are the groups with scores, `every` all groups of the task, each with its areas.
    """

    def counted(metric: Metric) -> Metric:
        if metric.group in every:
            return metric
        covered = [name for name, of in every.items() if metric.group is None or metric.group in of]
        present_count = sum(name in present for name in covered)
        return (
            replace(metric, groups=(present_count, len(covered))) if present_count < len(covered) else metric
        )

    return [counted(metric) for metric in metrics]


def _averages(overall: Metric | None, groups: Sequence[Metric]) -> list[Metric]:
    """Return the mean over groups and the mean over samples; `groups` has the headline of each group."""
    shares = [((m.value or 0.0) / 100, ((m.low or 0.0) / 100, (m.high or 0.0) / 100)) for m in groups]
    low, high = mean_of_shares(shares)
    naive = 100 * fsum(share for share, _ in shares) / len(shares)
    count = sum(metric.count for metric in groups)
    weighted = fsum((m.value or 0.0) * m.count for m in groups) / count
    # Samples without a group are part of the headline, but not of these averages.
    matching = overall if overall and overall.count == count else None
    total = matching or Metric("", weighted, *_percent(wilson(min(1.0, weighted / 100), count)))
    return [
        Metric("naive_average", naive, 100 * low, 100 * high, "%", count),
        Metric("weighted_average", weighted, total.low, total.high, "%", count),
    ]


def _percent(interval: Interval) -> Interval:
    return (100 * interval[0], 100 * interval[1])
