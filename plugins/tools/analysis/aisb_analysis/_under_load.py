"""Test whether load changes answers: the same samples with few and with many requests in flight, paired.

Pure functions. Each task has three tests: of scores (McNemar's exact test; the bootstrap for partial credit
and repeats), of answers without a clear outcome (McNemar's exact test), and of lengths in output tokens
(Wilcoxon's signed-rank test). Holm's method corrects their p-values together, so the rate
of false positives is at most 5 % of runs. The score has most of the weight, since a few samples that change
in the same direction are detected in outcomes and lengths. Source: Wilcoxon, Biometrics 1 (1945) 80.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import fsum

from aisb_analysis._compare import Comparison, compare_grades
from aisb_analysis._paired import DRAWS, SIGNIFICANCE, holm, mcnemar, scipy_stats
from aisb_engine import Grade, Subtask

CLEAR = frozenset({"correct", "wrong"})
WEIGHTS = (0.8, 0.1, 0.1)
"""The weights of the tests of scores, outcomes and lengths in Holm's method."""


@dataclass(frozen=True, slots=True)
class Change:
    """One quantity alone and under load, with its p-value before and after correction."""

    alone: float
    loaded: float
    p: float
    p_corrected: float = 1.0

    @property
    def is_real(self) -> bool:
        """Whether the difference is statistically significant."""
        return self.p_corrected < SIGNIFICANCE


@dataclass(frozen=True, slots=True)
class UnderLoad:
    """One model on one task, alone and under load.

    `score` is in percent. `unclear` is the percentage of answers that ended neither correct nor wrong.
    `length` is the mean number of output tokens, None if no reply has token counts. `detectable` is the
    minimum detectable difference of the score at 80 % power, in points.
    """

    task: str
    model: str
    loaded_model: str
    samples: int
    in_flight: tuple[int, int]
    score: Change
    unclear: Change
    length: Change | None
    detectable: float | None
    comparison: Comparison

    @property
    def is_changed(self) -> bool:
        """Whether load changes scores, outcomes or lengths."""
        changes = (self.score, self.unclear, self.length)
        return any(change is not None and change.is_real for change in changes)

    def lines(self) -> Iterator[str]:
        """Yield the results: score, outcomes and lengths."""
        low, high = self.in_flight
        score, unclear, length = self.score, self.unclear, self.length
        found = f"a difference (p {_p(score.p_corrected)})"
        if not score.is_real:
            least = "none" if self.detectable is None else f"{self.detectable:.1f} points"
            found = f"no difference with {self.samples:,} samples (minimum detectable: {least})"
        yield f"accuracy {score.alone:.1f} at {low} in flight, {score.loaded:.1f} at {high}: {found}"
        shares = f"{unclear.alone:.1f} % and {unclear.loaded:.1f} %"
        yield f"answers without a clear outcome: {shares}{_verdict(unclear)}"
        if length is not None:
            yield f"output tokens of a reply: {length.alone:.1f} and {length.loaded:.1f}{_verdict(length)}"
        if self.is_changed:
            better, worse = len(self.comparison.improved), len(self.comparison.worsened)
            yield f"load changes the answers: {worse} samples got worse, {better} got better"


def _verdict(change: Change) -> str:
    return f": a difference (p {_p(change.p_corrected)})" if change.is_real else ": no difference"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def compare_under_load(
    alone: Mapping[str, Sequence[Grade]],
    loaded: Mapping[str, Sequence[Grade]],
    lengths: tuple[Mapping[str, float], Mapping[str, float]],
    *,
    names: tuple[Subtask, Subtask],
    in_flight: tuple[int, int],
    seed: int = 0,
    draws: int = DRAWS,
) -> UnderLoad:
    """Compare the answers of a model alone and under load.

    `lengths` are the output tokens of each side by sample; `draws` is the number of bootstrap samples.

    Raises:
        UsageError: the two share no sample, or scipy is not installed.
    """
    comparison = compare_grades(alone, loaded, names=names, tests=1 / WEIGHTS[0], seed=seed, draws=draws)
    shared = [key for key in alone if key in loaded]
    unclear = _unclear([alone[key] for key in shared], [loaded[key] for key in shared])
    length = _length(lengths[0], lengths[1])
    ps = holm([comparison.p, unclear.p, length.p if length else 1.0], WEIGHTS)
    return UnderLoad(
        task=names[0].task,
        model=names[0].model,
        loaded_model=names[1].model,
        samples=comparison.samples,
        in_flight=in_flight,
        score=Change(comparison.a, comparison.b, comparison.p, ps[0]),
        unclear=Change(unclear.alone, unclear.loaded, unclear.p, ps[1]),
        length=None if length is None else Change(length.alone, length.loaded, length.p, ps[2]),
        detectable=comparison.detectable_difference,
        comparison=comparison,
    )


def _unclear(alone: Sequence[Sequence[Grade]], loaded: Sequence[Sequence[Grade]]) -> Change:
    """Compare the answers that are neither correct nor wrong; a sample counts if any of its repeats is."""
    before, after = (
        [any(grade.outcome not in CLEAR for grade in grades) for grades in side] for side in (alone, loaded)
    )
    only_before = sum(one and not other for one, other in zip(before, after, strict=True))
    only_after = sum(other and not one for one, other in zip(before, after, strict=True))
    count = max(1, len(before))
    return Change(100 * sum(before) / count, 100 * sum(after) / count, mcnemar(only_before, only_after))


def _length(alone: Mapping[str, float], loaded: Mapping[str, float]) -> Change | None:
    shared = [key for key in alone if key in loaded]
    if not shared:
        return None
    before, after = ([side[key] for key in shared] for side in (alone, loaded))
    differences = [new - old for old, new in zip(before, after, strict=True)]
    p = 1.0
    if any(differences):
        p = float(scipy_stats().wilcoxon(differences, zero_method="wilcox").pvalue)
    return Change(fsum(before) / len(shared), fsum(after) / len(shared), p)
