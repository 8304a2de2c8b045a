"""The current work of a local model in one line: tokens a second, rows in the batch, memory."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

RATE_SECONDS = 5.0


@dataclass(slots=True)
class Meter:
    """Counts of one model's work. `computed` tokens include `padding`; `reused` tokens came from a cache."""

    generated: int = 0
    prompts: int = 0
    scored: int = 0
    computed: int = 0
    padding: int = 0
    reused: int = 0
    out_of_memory: int = 0
    rows: int = 0
    most_rows: int = 0
    limit: int = 0
    memory: int = 0
    _seen: deque[tuple[float, int]] = field(default_factory=deque)

    def update(self) -> None:
        """Record the amount of work so far."""
        now = time.monotonic()
        if self._seen and now - self._seen[-1][0] < RATE_SECONDS / 20:
            return
        self._seen.append((now, self.generated + self.scored))
        while self._seen and now - self._seen[0][0] > RATE_SECONDS:
            self._seen.popleft()

    def rate(self) -> float | None:
        """Return the tokens a second over the last few seconds."""
        if len(self._seen) < 2:
            return None
        (began, first), (ended, last) = self._seen[0], self._seen[-1]
        return (last - first) / (ended - began) if ended > began else None

    def line(self) -> str:
        """Return the line for the display during a run."""
        from aisb_backend_hf._device import bytes_text

        rate = self.rate()
        parts = [f"{rate:.0f} tokens/s"] if rate is not None else []
        if self.rows:  # not while texts are scored
            parts.append(f"batch {self.rows} of {self.limit}")
        if self.memory:
            parts.append(f"memory {bytes_text(self.memory)}")
        if self.out_of_memory:
            parts.append(f"out of memory {self.out_of_memory} ×")
        return ", ".join(parts)

    def summary(self) -> str:
        """Return a summary of all work for a run's log."""
        share = self.padding / self.computed if self.computed else 0.0
        line = f"{self.computed} tokens computed, {share:.1%} padding, {self.reused} not computed again"
        return f"{line}; up to {self.most_rows} rows at once" if self.most_rows else line

    def counters(self) -> dict[str, float]:
        """Return the counts under the names used in a run's record."""
        return {
            "hf:prompt_tokens": self.prompts,
            "hf:generation_tokens": self.generated,
            "hf:scored_tokens": self.scored,
            "hf:computed_tokens": self.computed,
            "hf:padding_tokens": self.padding,
            "hf:prefix_tokens_reused": self.reused,
            "hf:out_of_memory": self.out_of_memory,
        }
