"""The token budget of a run: what its answers have used, and whether anything more may be sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aisb._errors import CheckFailed, RunError
from aisb._types import Prediction, request_id


class BudgetUsed(RunError):  # noqa: N818 - nothing is wrong: the run stops where its user wanted it to
    """Nothing more may be sent, because the token budget of the run is used."""

    exit_code = CheckFailed.exit_code


@dataclass(slots=True)
class TokenBudget:
    """The input and output tokens that a run may use, over all its commands.

    Every answered request counts with the usage that the service reports: those to the models under test, and
    those to the judge. An answer without usage does not count as zero tokens: `uncounted` names the first
    such answer, and the budget can no longer be enforced. `asked_others` are the tokens of the judge.
    """

    limit: int
    used: int = 0
    uncounted: str = ""
    asked_others: int = 0

    def add(self, prediction: Prediction, *, of_judge: bool = False) -> None:
        """Count one answer; a failed attempt has no usage."""
        usage = prediction.usage
        if prediction.failure is not None or self.uncounted:
            return
        if usage is None or usage.input_tokens is None or usage.output_tokens is None:
            name = request_id(*prediction.key)
            self.uncounted = f"question {name} to the judge" if of_judge else f"request {name}"
            return
        self.used += usage.input_tokens + usage.output_tokens
        if of_judge:
            self.asked_others += usage.input_tokens + usage.output_tokens

    def add_all(self, predictions: Iterable[Prediction], *, of_judge: bool = False) -> None:
        """Count the answers of earlier commands."""
        for prediction in predictions:
            self.add(prediction, of_judge=of_judge)

    def stop_reason(self) -> str:
        """Return why nothing more may be sent; empty while the budget lasts."""
        if self.uncounted:
            return (
                f"the answer to {self.uncounted} has no token counts, so that no token budget can be "
                "kept: leave --token-budget out, or let the service report its usage"
            )
        if self.used >= self.limit:
            judge = f", {self.asked_others:,} of them by the judge" if self.asked_others else ""
            return (
                f"{self.used:,} tokens are used of {self.limit:,} (--token-budget){judge}; "
                "resume with a larger budget"
            )
        return ""
