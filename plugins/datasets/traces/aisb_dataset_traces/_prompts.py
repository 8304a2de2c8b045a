"""Generate prompts of the lengths in a trace on demand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from itertools import count
from typing import Any

from aisb_dataset_synthetic import Filler, LateIds, LateText, PooledText, text_of_ids

KEPT_BLOCKS = 4096
"""The number of cached blocks, which prompts share."""


class Prompts:
    """Generates the prompt fields of rows from blocks, which prompts may share.

    A trace can have 145 million tokens, so a prompt is generated when it is sent. If the tokenizer's words
    are known to add up, its length is exact; otherwise each prompt is generated and counted immediately. Each
    block begins with a word, so that its tokens do not depend on its position.
    """

    def __init__(self, filler: Filler, *, ids: bool, size: int | None, nonce: str) -> None:
        self._filler = filler
        self._ids = ids
        self._size = size
        self._nonce = nonce
        self._words = lru_cache(KEPT_BLOCKS)(filler.words)
        self._block_ids = lru_cache(KEPT_BLOCKS)(partial(filler.ids, size=size))
        self._text = lru_cache(KEPT_BLOCKS)(lambda key, tokens: filler.write(key, tokens).text)

    def of(self, keys: Sequence[object], tokens: int, block: int) -> dict[str, Any]:
        """Return the fields of a prompt whose blocks have these keys; the last one may be cut short."""
        shared: dict[str, Any] = {"input_tokens_asked": tokens, "nonce": self._nonce}
        if self._ids:
            make = partial(self._join_ids, keys, tokens, block)
            late_ids = LateIds(tokens, make, self._filler.pool_of_ids(self._size))
            text = text_of_ids(self._filler.tokenizer, make)
            return {"token_ids": late_ids, "input_tokens": tokens, "input_exact": True, **text, **shared}
        if self._filler.tokenizer and not self._filler.sure:
            generated = self._filler.write(
                keys[-1], tokens, begin=" ".join(self._text(k, block) for k in keys[:-1])
            )
            return {
                "prompt": PooledText(generated.text, self._filler.pool),
                "input_tokens": generated.tokens,
                "input_exact": generated.exact,
                **shared,
            }
        exact = self._filler.tokenizer is not None
        late = LateText(lambda: self._join(keys, tokens, block), self._filler.pool)
        return {"prompt": late, "input_tokens": tokens if exact else None, "input_exact": exact, **shared}

    def _join_ids(self, keys: Sequence[object], tokens: int, block: int) -> list[int]:
        parts = _parts(keys, tokens, block)
        return [one for key, size in parts for one in self._block_ids(key, block)[:size]]

    def _join(self, keys: Sequence[object], tokens: int, block: int) -> str:
        parts = _parts(keys, tokens, block)
        return " ".join(word for key, size in parts for word in self._words(key, block)[:size])


def _parts(keys: Sequence[object], tokens: int, block: int) -> Iterator[tuple[object, int]]:
    """Yield the key of each block, and the number of its tokens in the prompt."""
    for key, begin in zip(keys, count(0, block), strict=False):
        yield key, min(block, tokens - begin)
