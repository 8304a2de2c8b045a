"""Grade a conversation over simulated services, turn by turn, as the leaderboard's checker does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from aisb import Evaluator, Sample, Score


class BfclTurns(Evaluator):
    """Correct if each turn has the effects and the results of the reference calls.

    After each turn with reference calls: the model has called a function, all public attributes of the
    services are equal, and each result of a reference call is among the model's results so far. Additional
    calls are allowed. A conversation that ended before its last turn is wrong. Source: multi_turn_checker.py
    and eval_runner.py of bfcl-eval 2026.3.23.
    """

    grades_none = True

    def score(self, answer: str | None, sample: Sample) -> Score:
        """Grade the turns of an episode."""
        del answer
        turn, reason = problem(sample.fields["episode"]["state"], len(sample.fields["answer"]))
        if reason:
            return Score(0.0, "wrong", details={"turn": turn, "reason": reason})
        return Score(1.0, "correct")


def problem(state: Mapping[str, Any], count: int) -> tuple[int, str]:
    """Return the first incorrect turn, from 1, and the reason; an empty text if all are correct."""
    results: Counter[str] = Counter()
    turns = state["turns"]
    for number, turn in enumerate(turns, start=1):
        results.update(turn["results"])
        if "differences" not in turn:
            return number, state["failed"] or "the turn was not finished"
        if not turn["reference"]:
            continue
        if not any(turn["calls"]):
            return number, "no function was called"
        if turn["differences"]:
            named = (f"{name}: {', '.join(values)}" for name, values in turn["differences"].items())
            return number, f"the state differs: {'; '.join(named)}"
        if missing := Counter(turn["reference_results"]) - results:
            return number, f"a result is missing: {next(iter(missing))[:200]}"
    if len(turns) < count:
        return len(turns), state["failed"] or "the conversation was not finished"
    return 0, ""
