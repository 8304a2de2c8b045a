"""Grade trials that another harness has verified: by the reward that it gave."""

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
"""The outcome of a trial by the state that its answer names."""


class AgentTrial(Evaluator):
    """The reward of a trial that Harbor or SWE-bench has verified; a part of it is partial credit."""

    reads: ClassVar[Literal["answer", "text", "calls"]] = "text"

    def score(self, answer: str | None, sample: Sample) -> Score:
        """Read the state and the reward from an answer."""
        del sample
        try:
            said = json.loads(answer or "")
            state, reward = said["state"], min(1.0, max(0.0, float(said["reward"])))
            outcome = OUTCOMES[state]
        except (ValueError, TypeError, KeyError, RecursionError):
            return Score(0.0, "unparsed", details={"reason": "this is no result of a trial"})
        return Score(reward, outcome, answer=state)
