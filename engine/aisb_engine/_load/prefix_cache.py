"""Prefix-cache busting: no prompt of a measured round was in the server's prefix cache before.

Warm-ups and later rounds over the rows repeat prompts. A server would answer them from what the round
before left in its cache, and look faster than it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from aisb._data import PromptPool
from aisb._types import Part, Request, Sample

WARM_UP = -1
"""The round of warm-ups; those that are measured are rounds 0, 1, 2 …"""


class PrefixCacheBuster:
    """Makes the requests of another round out of those of the first.

    In a prompt made of a pool of words or token ids, each is replaced by the one that many places further on
    in the pool: the number of tokens stays, and so does what two prompts share. Other token ids are rotated,
    so that they begin with another one. Any other prompt gets a mark at its beginning.
    """

    def __init__(self, pool: PromptPool | None = None) -> None:
        self._pool = pool
        self._places: dict[Any, int] = {}

    def __reduce__(self) -> tuple[type[PrefixCacheBuster], tuple[PromptPool | None]]:
        return PrefixCacheBuster, (self._pool,)  # a worker process finds the places itself

    @property
    def exact(self) -> bool:
        """Whether a made prompt has as many tokens in every round."""
        return self._pool is None or self._pool.exact

    def request(self, request: Request, number: int) -> Request:
        """Return a request of the first round as one of round `number`."""
        if number == 0:
            return request
        if self._pool is None and request.tokens:
            turn = number % len(request.tokens)
            return replace(request, tokens=request.tokens[turn:] + request.tokens[:turn])
        if self._pool is None or not (request.facts or request.tokens is not None):
            return with_mark(request, "[warm-up]" if number == WARM_UP else f"[round {number}]")
        facts = dict(request.facts)
        if not self._pool.exact and "input_exact" in facts:
            facts |= {"input_exact": False, "input_tokens": None}
        if request.tokens is not None:
            return replace(request, tokens=tuple(self._shifted(request.tokens, number)), facts=facts)
        if request.messages is None:
            return replace(request, text=self._with_other_words(request.text or "", number), facts=facts)
        messages = tuple(
            replace(message, content=self._with_other_content(message.content, number))
            if message.role == "user"
            else message
            for message in request.messages
        )
        return replace(request, messages=messages, facts=facts)

    def _with_other_content(self, content: str | tuple[Part, ...], number: int) -> str | tuple[Part, ...]:
        """Return a turn with other words. Images stay: they stand behind words that no cache knows."""
        if isinstance(content, str):
            return self._with_other_words(content, number)
        return tuple(
            replace(part, value=self._with_other_words(part.value, number)) if part.kind == "text" else part
            for part in content
        )

    def _with_other_words(self, text: str, number: int) -> str:
        return " ".join(self._shifted(text.split(" "), number))

    def _shifted(self, parts: Iterable[Any], number: int) -> Iterable[Any]:
        if self._pool is None:
            return parts
        values = self._pool.values
        if not self._places:
            self._places = {value: place for place, value in enumerate(values)}
        places, size = self._places, len(values)
        return [
            part if (place := places.get(part)) is None else values[(place + number) % size] for part in parts
        ]


def in_round(request: Request, number: int, repeats: int, cache_buster: PrefixCacheBuster | None) -> Request:
    """Return a request as round `number` over the rows sends it; its log record has the field `round`.

    A row has `repeats` requests in a round. The key of a request is its own in every round, and those of
    later rounds lie beyond the repeats that are scored.
    """
    if number == 0:
        return request
    request = replace(request, repeat=request.repeat + number * repeats)
    if cache_buster is not None:
        request = cache_buster.request(request, number)
    return replace(request, facts={**request.facts, "round": number})


def pool_of(samples: Iterable[Sample]) -> PromptPool | None:
    """Return the pool that the prompts of these samples were made from; None where they were not made."""
    first = next(iter(samples), None)
    pools = [getattr(value, "pool", None) for value in (first.fields.values() if first else ())]
    return next((pool for pool in pools if isinstance(pool, PromptPool)), None)


def with_mark(request: Request, mark: str) -> Request:
    """Put a mark before the first text of a prompt, so that it differs from its first token on.

    A prompt that was made to an exact length, or of token ids, stays as it is.
    """
    if request.facts or request.tokens is not None:
        return request
    if request.messages is None:
        return replace(request, text=f"{mark}\n{request.text or ''}")
    if not request.messages:  # the environment begins the conversation
        return request
    messages = list(request.messages)
    # A cached prefix begins with the system text, so the mark goes into the first message, whoever's it is.
    first = messages[0]
    if isinstance(first.content, str):
        messages[0] = replace(first, content=f"{mark}\n{first.content}")
    else:
        messages[0] = replace(first, content=(Part("text", mark), *first.content))
    return replace(request, messages=tuple(messages))
