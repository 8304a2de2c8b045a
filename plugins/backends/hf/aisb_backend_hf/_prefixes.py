"""A cache of common prefixes of prompts, which are computed once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aisb_backend_hf._rows import KV


@dataclass(slots=True)
class Prefix:
    """The first tokens of prompts with their keys and values, and `scores` after the first if needed."""

    tokens: tuple[int, ...]
    filled: KV
    logprobs: tuple[float, ...] = ()
    greedy: tuple[bool, ...] = ()

    @property
    def length(self) -> int:
        """The number of computed tokens."""
        return int(self.filled[0][0].shape[2])


class Prefixes:
    """An LRU cache of prefixes, limited by their total number of tokens."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[int, ...], Prefix] = OrderedDict()
        self.reused = 0

    def find(self, tokens: Sequence[int]) -> Prefix | None:
        """Return a prefix of exactly these tokens."""
        prefix = self._kept.get(tuple(tokens))
        if prefix is not None:
            self._kept.move_to_end(prefix.tokens)
        return prefix

    def longest(self, tokens: Sequence[int]) -> Prefix | None:
        """Return the longest cached prefix that is shorter than these tokens."""
        fitting = [
            prefix
            for prefix in self._kept.values()
            if len(prefix.tokens) < len(tokens) and prefix.tokens == tuple(tokens[: len(prefix.tokens)])
        ]
        return max(fitting, key=lambda prefix: prefix.length, default=None)

    def keep(self, prefix: Prefix) -> Prefix:
        """Add a prefix; the least recently used ones make room for it."""
        self._kept[prefix.tokens] = prefix
        while len(self._kept) > 1 and sum(one.length for one in self._kept.values()) > self._most:
            self._kept.popitem(last=False)
        return prefix

    def clear(self) -> None:
        """Remove all prefixes."""
        self._kept.clear()


def detached(cache: Any, rows: slice, columns: slice) -> KV:
    """Return a copy of a part of a cache, so that the rest can be freed."""
    return [
        (layer.keys[rows, :, columns].clone(), layer.values[rows, :, columns].clone())
        for layer in cache.layers
    ]
