"""The keys and values of all rows in a batch, such that rows can join and leave between two steps.

All rows end at the same column, and the columns before the beginning of a row are masked. A finished row is
overwritten by the last one, and a new row is added after the others. So a step computes one token for each
unfinished row, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

SPARE = 128
"""Spare columns of new buffers, so that they are seldom reallocated."""

KV = list[tuple[torch.Tensor, torch.Tensor]]
"""The keys and values of some tokens for each layer: [rows, heads, tokens, width]."""


class _Columns:
    """The part of the buffers in use, the same for all layers."""

    def __init__(self) -> None:
        self.rows = self.first = self.end = 0


class _Layer(DynamicLayer):  # type: ignore[misc]  # mypy does not read transformers
    """One layer's buffers: keys and values are written in place and read as views."""

    def __init__(self, columns: _Columns) -> None:
        super().__init__()
        self.columns = columns

    def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Write one token for each row, and return the keys and values in use."""
        del args, kwargs
        at = self.columns
        end = at.end + key_states.shape[-2]
        assert self.keys is not None  # noqa: S101 - rows have joined before a step
        assert self.values is not None  # noqa: S101 - as above
        self.keys[: at.rows, :, at.end : end] = key_states
        self.values[: at.rows, :, at.end : end] = value_states
        return self.keys[: at.rows, :, at.first : end], self.values[: at.rows, :, at.first : end]

    def get_seq_length(self) -> int:
        """Return the number of columns in use."""
        return self.columns.end - self.columns.first

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return the number of columns that a step attends to, and their offset."""
        return self.get_seq_length() + query_length, 0


class BatchRows:
    """The rows in flight; `lengths[n]` is the number of cached tokens of row n."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._columns = _Columns()
        self._cache: Cache | None = None
        self.lengths: list[int] = []

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def held(self) -> int:
        """The bytes of the buffers."""
        layers = self._cache.layers if self._cache else []
        return sum(kept.nbytes for layer in layers for kept in (layer.keys, layer.values) if kept is not None)

    def join(self, filled: KV, number: int, parts: Sequence[tuple[int, int]]) -> None:
        """Add row `number` of a computed batch: the columns of `parts`, concatenated."""
        length = sum(end - begin for begin, end in parts)
        self._room(length, filled)
        at = self._columns
        assert self._cache is not None  # noqa: S101 - made by _room
        place, column = len(self.lengths), at.end - length
        for layer, (keys, values) in zip(self._cache.layers, filled, strict=True):
            written = column
            for begin, end in parts:
                until = written + end - begin
                layer.keys[place, :, written:until] = keys[number, :, begin:end]
                layer.values[place, :, written:until] = values[number, :, begin:end]
                written = until
        self.lengths.append(length)
        at.rows = len(self.lengths)
        at.first = at.end - max(self.lengths)

    def step(self, tokens: Sequence[int]) -> torch.Tensor:
        """Compute one token of each row; return the logits for the next one ([rows, vocabulary])."""
        self._room(max(self.lengths), None)
        at = self._columns
        device = self._model.device
        lengths = torch.tensor(self.lengths, device=device)
        span = at.end - at.first
        mask = (torch.arange(span + 1, device=device) >= span - lengths[:, None]).long()
        out = self._model(
            input_ids=torch.tensor(tokens, device=device)[:, None],
            attention_mask=mask,
            position_ids=lengths[:, None],
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        at.end += 1
        self.lengths = [length + 1 for length in self.lengths]
        at.first = at.end - max(self.lengths)
        return out.logits[:, -1]

    def leave(self, place: int) -> None:
        """Remove a row; the last one takes its place."""
        at, last = self._columns, len(self.lengths) - 1
        if place != last and self._cache is not None:
            begin = at.end - self.lengths[last]
            for layer in self._cache.layers:
                for kept in (layer.keys, layer.values):
                    kept[place, :, begin : at.end] = kept[last, :, begin : at.end]
        self.lengths[place] = self.lengths[last]
        self.lengths.pop()
        at.rows = len(self.lengths)
        at.first = at.end - max(self.lengths, default=0)

    def clear(self) -> None:
        """Free all rows and their buffers."""
        self.lengths, self._cache, self._columns = [], None, _Columns()

    def _room(self, length: int, like: KV | None) -> None:
        """Resize the buffers so that a row of this length fits, and one more token of each row."""
        at = self._columns
        rows = len(self.lengths) + (like is not None)
        if self._cache is not None:
            capacity, columns = self._cache.layers[0].keys.shape[0], self._cache.layers[0].keys.shape[2]
            if rows <= capacity and length <= at.end < columns:
                return
            capacity = max(capacity, 2 * capacity if rows > capacity else 0)
        else:
            capacity, columns = max(4, rows), 0
        span = max([length, *self.lengths])
        wide = max(span + SPARE, min(columns, span + 4 * SPARE))
        fresh = _Columns()
        fresh.rows, fresh.end = at.rows, span
        fresh.first = span - max(self.lengths, default=0)
        layers: list[Any] = []
        for number in range(len(self._cache.layers if self._cache else like or ())):
            old = self._cache.layers[number] if self._cache else None
            sample = (old.keys, old.values) if old is not None else like[number]  # type: ignore[index]
            layer = _Layer(fresh)
            layer.lazy_initialization(*sample)
            layer.keys, layer.values = (
                kept.new_zeros((capacity, kept.shape[1], wide, kept.shape[3])) for kept in sample
            )
            if old is not None and at.rows:
                seen = slice(at.first, at.end)
                layer.keys[: at.rows, :, fresh.first : span] = old.keys[: at.rows, :, seen]
                layer.values[: at.rows, :, fresh.first : span] = old.values[: at.rows, :, seen]
                old.keys = old.values = None  # layer by layer, so that at most one layer exists twice
            layers.append(layer)
        self._cache, self._columns = Cache(layers=layers), fresh


class Alone:
    """One row at a time, with the model's own cache: for models that cannot be batched."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._kept: dict[str, Any] = {}
        self.lengths: list[int] = []
        self.held = 0

    def __len__(self) -> int:
        return len(self.lengths)

    def start(self, tokens: Sequence[int]) -> torch.Tensor:
        """Compute a prompt; return the logits for its next token ([1, vocabulary])."""
        self.lengths = [0]
        return self._run(tokens)

    def step(self, tokens: Sequence[int]) -> torch.Tensor:
        """Compute one more token; return the logits for the next one."""
        return self._run(tokens)

    def leave(self, place: int) -> None:
        """Remove the row."""
        del place
        self.clear()

    def clear(self) -> None:
        """Remove the row."""
        self.lengths, self._kept = [], {}

    def _run(self, tokens: Sequence[int]) -> torch.Tensor:
        ids = torch.tensor([list(tokens)], device=self._model.device)
        out = self._model(input_ids=ids, use_cache=True, **self._kept)
        names = ("past_key_values", "cache_params", "state")
        self._kept = {name: kept for name in names if (kept := out.get(name)) is not None}
        self.lengths = [self.lengths[0] + len(tokens)]
        return out.logits[:, -1]


def past(filled: KV | None, rows: int) -> DynamicCache:
    """Return a cache of several rows that all begin with the keys and values of one row."""
    if filled is None:
        return DynamicCache()
    return DynamicCache(
        [(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1)) for keys, values in filled]
    )


def layers_of(cache: Any) -> KV:
    """Return the keys and values of each layer of a cache."""
    return [(layer.keys, layer.values) for layer in cache.layers]
