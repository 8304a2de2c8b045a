"""Count the questions to a judge and the tokens of its replies."""

from __future__ import annotations

from dataclasses import dataclass, field

from aisb._types import Prediction


@dataclass(slots=True)
class JudgeTally:
    """Counts of judging one subtask. `found` questions were in the log; tokens are those of all replies.

    A reply whose tokens the service does not report adds nothing; `reported` counts the others.
    """

    questions: int = 0
    found: int = 0
    failed: int = 0
    replies: int = 0
    reported: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    not_sent: set[str] = field(default_factory=set)

    def add(self, prediction: Prediction) -> None:
        """Add the tokens of one reply."""
        usage = prediction.usage
        self.replies += 1
        if usage is None or usage.input_tokens is None or usage.output_tokens is None:
            return
        self.reported += 1
        self.input_tokens = (self.input_tokens or 0) + usage.input_tokens
        self.output_tokens = (self.output_tokens or 0) + usage.output_tokens

    def summary(self, judge: str) -> str:
        """Return a summary in one line."""
        words = f"judged by {judge}: {self.questions} questions, {self.found} of them answered in the log"
        if self.input_tokens is not None:
            words += f", {self.input_tokens:,} tokens in, {self.output_tokens:,} out"
        if unknown := self.replies - self.reported:
            words += f" (unknown for {unknown} of {self.replies} replies)"
        words += f", {self.failed} failed" if self.failed else ""
        return words + (
            f"; its backend does not send {', '.join(sorted(self.not_sent))}" if self.not_sent else ""
        )
