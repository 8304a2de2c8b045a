"""Grade trials that another harness has verified, by its reward."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar, Literal

from aisb import Evaluator, Outcome, Sample, Score

OUTCOMES: Mapping[str, Outcome] = {
    "passed": "correct",
    "failed": "wrong",
    "timed out": "truncated",
    "no patch": "unparsed",
}
"""The outcome of a trial by the state in its answer."""


class AgentTrial(Evaluator):
    """The reward of a trial that Harbor or SWE-bench has verified; it may be partial."""

    reads: ClassVar[Literal["answer", "text", "calls"]] = "text"

    def score(self, answer: str | None, sample: Sample) -> Score:
        """Read the state and the reward from an answer."""
        del sample
        try:
            verdict = json.loads(answer or "")
            state, reward = verdict["state"], min(1.0, max(0.0, float(verdict["reward"])))
            outcome = OUTCOMES[state]
        except (ValueError, TypeError, KeyError, RecursionError):
            return Score(0.0, "unparsed", details={"reason": "this is not the result of a trial"})
        return Score(reward, outcome, answer=state)
