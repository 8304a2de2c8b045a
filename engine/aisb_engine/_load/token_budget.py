"""Stop a run when its token budget is used up; requests in flight finish and are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aisb._types import Prediction
from aisb_engine._budget import TokenBudget
from aisb_engine._load.attempts import AttemptLog


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
