"""Log-probabilities of a prompt, in the two forms of completions APIs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aisb import AttemptFailed, Failure, TokenScores


def read_logprobs(event: Mapping[str, Any]) -> TokenScores:
    """Read `prompt_logprobs` of vLLM, or `logprobs` of an echoed prompt.

    Raises:
        AttemptFailed: the reply has neither.
    """
    choice = (event.get("choices") or [{}])[0]
    if given := choice.get("prompt_logprobs") or event.get("prompt_logprobs"):
        return _by_position(given)
    logprobs = choice.get("logprobs") or {}
    if logprobs.get("tokens") and logprobs.get("token_logprobs"):
        return _echoed(logprobs, (event.get("usage") or {}).get("prompt_tokens"))
    raise AttemptFailed(
        Failure(
            "refused",
            "the service ignored the request for log-probabilities of the prompt; tasks that compare them "
            "need vLLM, or another service that has prompt_logprobs or echo with logprobs",
        )
    )


def _by_position(given: Sequence[Mapping[str, Any] | None]) -> TokenScores:
    """Return the prompt's own token at each position, without the most likely token next to it.

    vLLM gives `{token id: {"logprob", "rank", "decoded_token"}}`, the prompt's own token first.
    https://docs.vllm.ai/en/v0.10.0/api/vllm/sequence.html
    """
    tokens: list[int | str | None] = [None]  # no entry for the first token
    logprobs: list[float | None] = [None]
    greedy = [False]
    for position in given[1:]:
        entries = list((position or {}).items())
        if not entries:
            raise AttemptFailed(Failure("protocol", "the service left out a token's log-probability"))
        token, entry = max(entries, key=lambda pair: pair[1].get("rank") or 0)  # the first of equal ones
        tokens.append(int(token))
        logprobs.append(float(entry["logprob"]))
        greedy.append(entry.get("rank") == 1)
    return TokenScores(tuple(tokens), tuple(logprobs), tuple(greedy))


def _echoed(logprobs: Mapping[str, Any], prompt_tokens: int | None) -> TokenScores:
    """Read the parallel lists of an echo, without tokens that the service generated nevertheless."""
    count = prompt_tokens or len(logprobs["tokens"])
    values = logprobs["token_logprobs"][:count]
    tops = (logprobs.get("top_logprobs") or [])[:count]
    greedy = [
        value is not None and at < len(tops) and bool(tops[at]) and value >= max(tops[at].values())
        for at, value in enumerate(values)
    ]
    return TokenScores(tuple(logprobs["tokens"][:count]), tuple(values), tuple(greedy))
