"""Prefix-cache busting: keep the prompts of a measured round out of the server's prefix cache.

Warm-ups and later rounds over the rows repeat prompts. A server would serve them from its cache, and look
faster than it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from aisb._data import PromptPool
from aisb._types import Part, Request, Sample

WARM_UP = -1
"""The round of warm-ups; measured rounds are 0, 1, 2 …"""


class PrefixCacheBuster:
    """Makes the requests of a later round from those of the first.

    In a prompt drawn from a pool of words or token ids, each item is replaced by one a fixed distance further
    in the pool, so the number of tokens and the prefixes that prompts share stay the same. Other token ids
    are rotated, so that the first one differs. Any other prompt gets a mark at its beginning.
    """

    def __init__(self, pool: PromptPool | None = None) -> None:
        self._pool = pool
        self._places: dict[Any, int] = {}

    def __reduce__(self) -> tuple[type[PrefixCacheBuster], tuple[PromptPool | None]]:
        return PrefixCacheBuster, (self._pool,)  # not pickled: a worker process computes the places itself

    @property
    def exact(self) -> bool:
        """Whether a generated prompt has the same number of tokens in every round."""
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
        """Return a turn with other words. Images stay: the words before them are in no cache."""
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
    """Return a request as it is sent in round `number`; its log record has the field `round`.

    A row has `repeats` requests in a round. The keys of later rounds use repeat numbers beyond those that are
    scored, so every request has a key of its own.
    """
    if number == 0:
        return request
    request = replace(request, repeat=request.repeat + number * repeats)
    if cache_buster is not None:
        request = cache_buster.request(request, number)
    return replace(request, facts={**request.facts, "round": number})


def pool_of(samples: Iterable[Sample]) -> PromptPool | None:
    """Return the pool that the prompts of these samples were drawn from; None if there is none."""
    first = next(iter(samples), None)
    pools = [getattr(value, "pool", None) for value in (first.fields.values() if first else ())]
    return next((pool for pool in pools if isinstance(pool, PromptPool)), None)


def with_mark(request: Request, mark: str) -> Request:
    """Put a mark before the first text of a prompt, so that prompts differ from the first token on.

    A prompt of token ids, or of an exact length, is not changed.
    """
    if request.facts or request.tokens is not None:
        return request
    if request.messages is None:
        return replace(request, text=f"{mark}\n{request.text or ''}")
    if not request.messages:  # the environment begins the conversation
        return request
    messages = list(request.messages)
    # A cached prefix begins with the system text, so the mark goes into the first message of any role.
    first = messages[0]
    if isinstance(first.content, str):
        messages[0] = replace(first, content=f"{mark}\n{first.content}")
    else:
        messages[0] = replace(first, content=(Part("text", mark), *first.content))
    return replace(request, messages=tuple(messages))
