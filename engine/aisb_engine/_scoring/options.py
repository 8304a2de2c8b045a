"""Select the most likely option of a question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from aisb._types import Logprob

Normalise = Literal["none", "tokens", "bytes", "prompt"]


def likeliest(options: Sequence[Logprob], normalise: Normalise) -> int:
    """Return the index of the option with the highest log-likelihood; the first of equal ones."""
    values = [normalised(option, normalise) for option in options]
    return values.index(max(values))


def normalised(option: Logprob, by: Normalise) -> float:
    """Return an option's log-likelihood: the sum, per token, per byte, or the mean including the prompt."""
    if by == "tokens":
        return option.total / option.tokens
    if by == "bytes":
        return option.total / (option.length or 1)
    if by == "prompt":
        return option.whole / option.whole_tokens
    return option.total
