"""pass@k and cons@k over every k, from the verdicts on repeated answers."""

from __future__ import annotations

from collections import Counter
from typing import Any

from aisb.helpers import cons_at_k, pass_at_k
from aisb_reporter_html._answers import TaskAnswers

MOST_K = 128


def curves(task: TaskAnswers) -> list[dict[str, Any]]:
    """Return pass@k and cons@k of each model for k = 1 to the number of repeats; nothing without repeats.

    A missing repeat counts as wrong.
    """
    found = []
    for answered in task.answered:
        repeats = 1 + max((repeat for _, repeat in answered.scores), default=0)
        if repeats == 1:
            continue
        right: dict[str, int] = {}
        for (sample, _), scores in answered.scores.items():
            right[sample] = right.get(sample, 0) + (scores[0]["outcome"] == "correct")
        counts = Counter(right.values())
        ks = _some(repeats)
        found.append(
            {
                "model": answered.model,
                "k": ks,
                "pass": [_mean(counts, [pass_at_k(repeats, c, k) for c in range(repeats + 1)]) for k in ks],
                "cons": [_mean(counts, [cons_at_k(repeats, c, k) for c in range(repeats + 1)]) for k in ks],
            }
        )
    return found


def _some(repeats: int) -> list[int]:
    """Return the values of k to draw: all, or some evenly spread if there are many."""
    if repeats <= MOST_K:
        return list(range(1, repeats + 1))
    return sorted({1 + round(n * (repeats - 1) / (MOST_K - 1)) for n in range(MOST_K)})


def _mean(counts: Counter[int], values: list[float]) -> float:
    return 100 * sum(n * values[c] for c, n in counts.items()) / sum(counts.values())
