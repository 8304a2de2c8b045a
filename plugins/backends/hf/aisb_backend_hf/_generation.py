"""Generate token by token: prompts are computed in batches, then all rows advance together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from transformers import modeling_utils

from aisb_backend_hf._live import Meter
from aisb_backend_hf._packing import MIN_SHARED_TOKENS, packs
from aisb_backend_hf._prefixes import Prefix, Prefixes, detached
from aisb_backend_hf._requests import BatchRow
from aisb_backend_hf._rows import Alone, BatchRows, layers_of, past

_EACH_ROW = hasattr(modeling_utils, "slice_logits_to_keep")
"""Whether a model can compute logits at a different position in each row."""


class Generation:
    """The rows in flight of one model. `budget` is the number of prompt tokens computed at once."""

    def __init__(
        self,
        model: Any,
        *,
        budget: int,
        padding: bool,
        batched: bool,
        prefixes: Prefixes | None,
        meter: Meter,
    ) -> None:
        self._model = model
        self._padding = padding
        self._kept: BatchRows | Alone = BatchRows(model) if batched else Alone(model)
        self._meter = meter
        self.prefixes = prefixes
        self.budget = budget
        self.rows: list[BatchRow] = []

    @property
    def held(self) -> int:
        """The bytes of the rows' keys and values."""
        return self._kept.held

    @property
    def longest(self) -> int:
        """The number of tokens of the longest row."""
        return max(self._kept.lengths, default=0)

    def fill(self, rows: Sequence[BatchRow]) -> Iterator[tuple[list[BatchRow], torch.Tensor]]:
        """Compute prompts batch by batch and add their rows; yield each batch with its logits."""
        if isinstance(self._kept, Alone):
            for row in rows:
                logits = self._kept.start(row.tokens)
                self._count([row], len(row.tokens), 0)
                self.rows.append(row)
                yield [row], logits
            return
        groups: dict[int, tuple[Prefix | None, list[BatchRow]]] = {}
        for row in rows:
            prefix = self._prefix(row)
            groups.setdefault(id(prefix), (prefix, []))[1].append(row)
        for prefix, group in groups.values():
            begun = prefix.length if prefix else 0
            for batch in packs(group, partial(_left, begun), budget=self.budget, padding=self._padding):
                logits, cache = self._compute([row.tokens[begun:] for row in batch], prefix)
                filled = layers_of(cache)
                for number, row in enumerate(batch):
                    self._kept.join(filled, number, [(0, len(row.tokens))])
                    row.reused = max(row.reused, begun)
                    self.rows.append(row)
                self._count(batch, sum(len(row.tokens) - begun for row in batch), begun * len(batch))
                yield batch, logits

    def step(self) -> torch.Tensor:
        """Compute the next token of every row; return the logits ([rows, vocabulary])."""
        logits = self._kept.step([row.generated[-1] for row in self.rows])
        self._meter.computed += len(self.rows)
        return logits

    def leave(self, row: BatchRow) -> None:
        """Remove a row."""
        place = self.rows.index(row)
        self._kept.leave(place)
        self.rows[place] = self.rows[-1]
        self.rows.pop()

    def clear(self) -> list[BatchRow]:
        """Free all memory; return the rows, which can be filled again."""
        rows, self.rows = self.rows, []
        self._kept.clear()
        if self.prefixes:
            self.prefixes.clear()
        return rows

    def _prefix(self, row: BatchRow) -> Prefix | None:
        """Return the longest prefix of a row that is cached, or worth computing because others share it."""
        if self.prefixes is None:
            return None
        tokens = row.tokens
        known = self.prefixes.longest(tokens)
        wanted = min(row.shared, len(tokens) - 1)
        begun = known.length if known else 0
        if wanted - begun < MIN_SHARED_TOKENS:
            return known
        _, cache = self._compute([tokens[begun:wanted]], known)
        self._meter.computed += wanted - begun
        self._meter.prompts += wanted - begun
        made = Prefix(tuple(tokens[:wanted]), detached(cache, slice(0, 1), slice(0, wanted)))
        return self.prefixes.keep(made)

    def _compute(self, parts: list[list[int]], prefix: Prefix | None) -> tuple[torch.Tensor, Any]:
        """Compute rows of tokens after a prefix; return each row's last logits, and keys and values."""
        device = self._model.device
        width, begun = max(map(len, parts)), prefix.length if prefix else 0
        ids = torch.tensor([part + [0] * (width - len(part)) for part in parts], device=device)
        cache = past(prefix.filled if prefix else None, len(parts))
        chunk = width if len(parts) > 1 else max(1, self.budget)
        logits = None
        for begin in range(0, width, chunk):
            end = min(width, begin + chunk)
            out = self._model(
                input_ids=ids[:, begin:end],
                position_ids=torch.arange(begun + begin, begun + end, device=device)[None].expand(
                    len(parts), -1
                ),
                past_key_values=cache,
                use_cache=True,
                **_last_places([len(part) for part in parts], begin, end, device),
            )
            logits = out.logits
        assert logits is not None  # noqa: S101 - a row has at least one token
        if logits.shape[1] == 1:
            return logits[:, 0], cache
        places = sorted({len(part) for part in parts})
        own = torch.tensor([places.index(len(part)) for part in parts], device=logits.device)
        return logits[torch.arange(len(parts), device=logits.device), own], cache

    def _count(self, rows: Sequence[BatchRow], computed: int, reused: int) -> None:
        meter = self._meter
        meter.prompts += computed
        meter.reused += reused
        width = max(len(row.tokens) for row in rows)
        begun = reused // len(rows)
        meter.computed += (width - begun) * len(rows)
        meter.padding += (width - begun) * len(rows) - computed


def _left(begun: int, row: BatchRow) -> int:
    return len(row.tokens) - begun


def _last_places(lengths: list[int], begin: int, end: int, device: Any) -> dict[str, Any]:
    """Return the positions of the needed logits: the last token of each row, before its padding."""
    if len(set(lengths)) == 1:
        return {"logits_to_keep": 1}
    if _EACH_ROW:
        return {"logits_to_keep": torch.tensor(lengths, device=device)[:, None] - 1 - begin}
    del end
    return {"logits_to_keep": torch.tensor(sorted(set(lengths)), device=device) - 1 - begin}
