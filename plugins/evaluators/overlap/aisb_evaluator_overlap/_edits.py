"""The similarity of a line of code to the expected one."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Annotated

from aisb import Evaluator, Metric, Sample, Score
from aisb.helpers import target_texts
from aisb_evaluator_overlap._means import mean_metrics

_NO_CODE = ("#", "//", "/*", "*/", "```", "~~~", '"""')


class EditSimilarity(Evaluator):
    """The share of characters that the answer's first line of code and the target have in common, in order.

    Fences and lines that are only a comment do not count as code. Source: LongBench's code_sim_score, which
    also skips lines of code with a comment.
    """

    reads = "text"

    def __init__(self, *, first_line: Annotated[bool, "compare only the first line of code"] = True) -> None:
        self.first_line = first_line

    def score(self, answer: str | None, sample: Sample) -> Score:
        """Compare one answer with each target, and keep the best."""
        text = _first_line(answer or "") if self.first_line else (answer or "").strip()
        ratios = [SequenceMatcher(None, text, target.strip()).ratio() for target in target_texts(sample)]
        value = max(ratios)
        return Score(value, details={"figures": {"edit_similarity": value}})

    def summarize(self, scores: Sequence[Score]) -> list[Metric]:
        """Return the mean similarity."""
        return mean_metrics(scores, ("edit_similarity",))


def _first_line(text: str) -> str:
    for line in text.split("\n"):
        if line.strip() and not line.strip().startswith(_NO_CODE):
            return line.strip()
    return ""
