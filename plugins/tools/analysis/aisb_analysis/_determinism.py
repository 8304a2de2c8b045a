"""Measure whether a service gives the same answers to the same requests: alone, under load, and between.

The run has a subtask for each repeat, `alone-1`, `loaded-1`, `alone-2` …, which send the same requests.
Differences between them are the noise of the service, which `aisb compare --noise` takes into account.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median
from typing import TYPE_CHECKING

from aisb import RunError

if TYPE_CHECKING:
    from aisb import FinishedRun

ALONE, LOADED = "alone", "loaded"


def repeat_name(side: str, number: int) -> str:
    """Return the name of the model of one repeat, from 1."""
    return f"{side}-{number}"


@dataclass(frozen=True, slots=True)
class Agreement:
    """The number of `prompts` that did not always get the same text.

    `first` is the median length of the common prefix of differing texts, in characters; None if none differ.
    """

    prompts: int
    differing: int
    first: float | None

    def __str__(self) -> str:
        if not self.differing:
            return f"all {self.prompts} prompts always get the same text"
        return (
            f"{self.differing} of {self.prompts} prompts ({100 * self.differing / self.prompts:.0f} %) get "
            f"different texts, which first differ after {self.first:.0f} characters (median)"
        )


@dataclass(frozen=True, slots=True)
class Determinism:
    """The agreement between repeats of the same requests.

    `between` covers all repeats, alone and under load. `pairs` is the number of graded answer pairs of a
    repeat alone and one under load; `flips` of them changed between correct and not correct. Scores are in
    percent. `failed` requests are left out.
    """

    repeats: int
    alone: Agreement
    loaded: Agreement
    between: Agreement
    scores_alone: tuple[float, ...]
    scores_loaded: tuple[float, ...]
    flips: int
    pairs: int
    failed: int

    @property
    def is_deterministic(self) -> bool:
        """Whether all texts were the same."""
        return not (self.alone.differing or self.loaded.differing or self.between.differing)

    @property
    def flip_share(self) -> float:
        """The noise floor: the share of samples that flip between two runs of this service."""
        return self.flips / self.pairs if self.pairs else 0.0


def measure_determinism(run: FinishedRun) -> Determinism:
    """Compare the repeats in a run of `aisb doctor --determinism`.

    Raises:
        RunError: it is a run of another kind, or a file of it is damaged.
    """
    models = {one["model"] for one in run.configuration.get("subtasks", ())}
    repeats = sum(repeat_name(ALONE, number + 1) in models for number in range(len(models)))
    if not repeats or repeat_name(LOADED, repeats) not in models:
        raise RunError(f"{run.folder} is not a run of aisb doctor --determinism, which repeats requests")
    sides = [[repeat_name(side, number + 1) for number in range(repeats)] for side in (ALONE, LOADED)]
    texts = {name: _texts(run, name) for side in sides for name in side}
    right = {name: _right(run, name) for side in sides for name in side}
    pairs = list(zip(*sides, strict=True))
    flips = [
        right[one][key] != right[other][key]
        for one, other in pairs
        for key in right[one].keys() & right[other].keys()
    ]
    asked = sum(len(run.requests(name)) for name in texts)
    alone, loaded = ([texts[name] for name in side] for side in sides)
    return Determinism(
        repeats=repeats,
        alone=_agreement(alone),
        loaded=_agreement(loaded),
        between=_agreement([*alone, *loaded]),
        scores_alone=tuple(_score(right[name]) for name in sides[0]),
        scores_loaded=tuple(_score(right[name]) for name in sides[1]),
        flips=sum(flips),
        pairs=len(flips),
        failed=asked - sum(map(len, texts.values())),
    )


def noise_lines(noise: Determinism, flipped: int, samples: int) -> Iterator[str]:
    """Yield lines that say whether two sides differ on more samples than two runs of one service do.

    By Fisher's exact test, one-sided. Repeats of a prompt flip together, so they count as one pair.

    Raises:
        UsageError: scipy is not installed.
    """
    from aisb_analysis._paired import SIGNIFICANCE, detectable_errors, scipy_stats

    if not noise.pairs or not samples:
        return
    pairs, flips = (round(count / noise.repeats) for count in (noise.pairs, noise.flips))
    table = [[flipped, samples - flipped], [flips, pairs - flips]]
    p = float(scipy_stats().fisher_exact(table, "greater").pvalue)
    verdict = "more than this noise explains" if p < SIGNIFICANCE else "no more than this noise explains"
    yield (
        f"{100 * flipped / samples:.1f} % of the samples flip; {100 * noise.flip_share:.1f} % flip by the "
        f"noise of the service ({noise.flips} of {noise.pairs} pairs)"
    )
    yield f"that is {verdict} (p {'< 0.001' if p < 0.001 else f'{p:.3f}'})"
    if noise.flips:
        least = 100 * detectable_errors() * sqrt(noise.flip_share / samples)
        yield f"with this noise, {samples:,} samples detect no difference below {least:.1f} points"


def _texts(run: FinishedRun, model: str) -> dict[str, str]:
    """Return the model's texts by sample, with reasoning, without failed requests."""
    return {
        row["id"]: f"{row['reasoning'] or ''}{row['prediction'] or ''}"
        for row in run.requests(model)
        if not row["failure"]
    }


def _right(run: FinishedRun, model: str) -> dict[str, bool]:
    rows = run.scores(model)
    first = rows[0]["evaluator"] if rows else None
    return {row["id"]: row["outcome"] == "correct" for row in rows if row["evaluator"] == first}


def _score(right: dict[str, bool]) -> float:
    return 100 * sum(right.values()) / len(right) if right else 0.0


def _agreement(repeats: Sequence[dict[str, str]]) -> Agreement:
    shared = [key for key in repeats[0] if all(key in texts for texts in repeats)]
    places = [
        place for key in shared if (place := _first_difference([texts[key] for texts in repeats])) is not None
    ]
    return Agreement(len(shared), len(places), median(places) if places else None)


def _first_difference(texts: Sequence[str]) -> int | None:
    """Return the length of the common prefix of the texts; None if all are equal."""
    shortest = min(texts, key=len)
    for place in range(len(shortest)):
        if len({text[place] for text in texts}) > 1:
            return place
    return len(shortest) if len(set(texts)) > 1 else None
