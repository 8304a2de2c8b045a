"""Stop a run when its token budget is used up; requests in flight finish and are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aisb._types import Prediction, request_id
from aisb_engine._load.attempts import AttemptLog


@dataclass(slots=True)
class TokenBudget:
    """The input and output tokens that a run may use, over all its commands.

    Every answered request counts with the usage that the service reports. An answer without usage does not
    count as zero tokens: `uncounted` names the first such answer, and the budget can no longer be enforced.
    """

    limit: int
    used: int = 0
    uncounted: str = ""

    def add(self, prediction: Prediction) -> None:
        """Count one answer; a failed attempt has no usage."""
        usage = prediction.usage
        if prediction.failure is not None or self.uncounted:
            return
        if usage is None or usage.input_tokens is None or usage.output_tokens is None:
            self.uncounted = request_id(*prediction.key)
        else:
            self.used += usage.input_tokens + usage.output_tokens

    def add_all(self, predictions: Iterable[Prediction]) -> None:
        """Count the answers of earlier commands."""
        for prediction in predictions:
            self.add(prediction)

    def stop_reason(self) -> str:
        """Return why nothing more may be sent; empty while the budget lasts."""
        if self.uncounted:
            return (
                f"the answer to request {self.uncounted} has no token counts, so that no token budget can be "
                "kept: leave --token-budget out, or let the service report its usage"
            )
        if self.used >= self.limit:
            return (
                f"{self.used:,} tokens are used of {self.limit:,} (--token-budget); "
                "resume with a larger budget"
            )
        return ""


@dataclass(slots=True)
class BudgetedLog:
    """A log that charges each attempt to a budget, and calls `stop` when the budget is used up."""

    log: AttemptLog
    budget: TokenBudget
    stop: Callable[[], None]

    def append(self, prediction: Prediction, *, final: bool, extra: Mapping[str, Any] | None = None) -> None:
        """Keep one attempt."""
        self.log.append(prediction, final=final, extra=extra)
        self.budget.add(prediction)
        if self.budget.stop_reason():
            self.stop()
