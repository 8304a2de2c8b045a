"""Prompts asked once more that no prefix cache has seen: warm-ups, and later rounds of a pressure run.

Otherwise a server would answer them from what the round before left in its cache, and look faster than it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from aisb._data import PromptPool
from aisb._types import Request, Sample
from aisb_engine._load.pieces import marked

WARM_UP = -1
"""The round of warm-ups; those that are measured are rounds 0, 1, 2 …"""


class Renewal:
    """Makes the requests of another round out of those of the first.

    What was made of a pool of words or token ids has each replaced by the one so many places further on: so
    many tokens as before, and what two prompts shared they share again. Any other prompt begins with a mark.
    """

    def __init__(self, pool: PromptPool | None = None) -> None:
        self._pool = pool
        self._places: dict[Any, int] = {}

    def __reduce__(self) -> tuple[type[Renewal], tuple[PromptPool | None]]:
        return Renewal, (self._pool,)  # a worker process finds the places itself

    @property
    def exact(self) -> bool:
        """Whether a made prompt has as many tokens in every round."""
        return self._pool is None or self._pool.exact

    def of(self, request: Request, number: int) -> Request:
        """Return a request of the first round as one of another."""
        if number == 0:
            return request
        if self._pool is None or not (request.facts or request.tokens is not None):
            return marked(request, "[warm-up]" if number == WARM_UP else f"[round {number}]")
        facts = dict(request.facts)
        if not self._pool.exact and "input_exact" in facts:
            facts |= {"input_exact": False, "input_tokens": None}
        if request.tokens is not None:
            return replace(request, tokens=tuple(self._moved(request.tokens, number)), facts=facts)
        if request.messages is None:
            return replace(request, text=self._reworded(request.text or "", number), facts=facts)
        messages = tuple(
            replace(message, content=self._reworded(message.content, number))
            if message.role == "user" and isinstance(message.content, str)
            else message
            for message in request.messages
        )
        return replace(request, messages=messages, facts=facts)

    def _reworded(self, text: str, number: int) -> str:
        return " ".join(self._moved(text.split(" "), number))

    def _moved(self, parts: Iterable[Any], number: int) -> Iterable[Any]:
        if self._pool is None:
            return parts
        values = self._pool.values
        if not self._places:
            self._places = {value: place for place, value in enumerate(values)}
        places, size = self._places, len(values)
        return [
            part if (place := places.get(part)) is None else values[(place + number) % size] for part in parts
        ]


def pool_of(samples: Iterable[Sample]) -> PromptPool | None:
    """Return what the prompts of these samples are made of; None where they were not made."""
    first = next(iter(samples), None)
    found = [getattr(value, "pool", None) for value in (first.fields.values() if first else ())]
    return next((pool for pool in found if isinstance(pool, PromptPool)), None)
