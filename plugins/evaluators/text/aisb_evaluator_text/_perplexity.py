"""Perplexity by token, word and byte, and bits per byte."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import exp, fsum, inf, log
from typing import Annotated

from aisb import Evaluator, Logprob, Metric, Sample, Score, UsageError

TEXT_UNITS = ("tokens", "words", "bytes")


class Perplexity(Evaluator):
    """Perplexity of texts, each the only option of its sample, in mode `logprob`.

    Log-likelihoods are summed over all texts and divided by all their words, bytes or tokens, so that a long
    text counts for more. Words are separated by white space, and bytes are those of UTF-8, as in
    lm-evaluation-harness's task `wikitext`. Only token perplexity depends on the tokenizer.
    """

    reads = "text"

    def __init__(
        self, *, counted: Annotated[str, "the row's field for counting words and bytes"] = "text"
    ) -> None:
        self.counted = counted

    def score(self, answer: str | None, sample: Sample) -> Score:
        """Store one text's log-likelihood and counts; the value is the mean probability of a token."""
        del answer
        found: Sequence[Logprob] = sample.fields.get("logprobs") or ()
        text = sample.fields.get(self.counted)
        if len(found) != 1 or not isinstance(text, str):
            raise UsageError(
                f"perplexity needs mode = 'logprob', one option, and a text in the field {self.counted!r}; "
                f"here are {len(found)} options, and {self.counted!r} is {type(text).__name__}"
            )
        (one,) = found
        counts = {
            "tokens": one.tokens,
            "words": len(re.split(r"\s+", text)),
            "bytes": len(text.encode()),
        }
        details = {"log_likelihood": one.total, **counts}
        return Score(exp(min(0.0, one.total / max(1, one.tokens))), outcome="correct", details=details)

    def summarize(self, scores: Sequence[Score]) -> list[Metric]:
        """Return the metrics over all scored texts."""
        scored = [score.details for score in scores if "log_likelihood" in score.details]
        if not scored:
            return []
        total = fsum(one["log_likelihood"] for one in scored)
        nats = {name: -total / max(1, sum(one[name] for one in scored)) for name in TEXT_UNITS}
        values = {
            "word_perplexity": _exp(nats["words"]),
            "byte_perplexity": _exp(nats["bytes"]),
            "bits_per_byte": nats["bytes"] / log(2),
            "token_perplexity": _exp(nats["tokens"]),
        }
        return [
            Metric(name, value, unit="", count=len(scored), better="lower") for name, value in values.items()
        ]


def _exp(nats: float) -> float:
    """Return e to a power; infinite on overflow, for a text that the model considers nearly impossible."""
    try:
        return exp(nats)
    except OverflowError:
        return inf
