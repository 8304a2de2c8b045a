"""Test a model's abilities by trial: batches, cached prefixes, options in one row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from aisb_backend_hf._rows import BatchRows, layers_of, past

_TOLERANCE = {torch.float32: 0.02}
_TOLERANCE_ELSE = 0.25
"""The tolerance of logits as a share of their standard deviation, because of half precision."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """`batched`: rows of different lengths; `shares`: cached prefixes; `trees`: options in one row."""

    batched: bool
    shares: bool
    trees: bool

    def notes(self) -> list[str]:
        """Return a note if this model needs a slower method to be correct."""
        if not self.batched:
            return ["this model's answers change in a batch: it answers one request at a time"]
        if not (self.shares and self.trees):
            return ["this model cannot continue a cached prefix: each prompt is computed completely"]
        return []


def try_out(model: Any) -> Abilities:
    """Compare a model with itself: three short rows, each alone and by the faster methods."""
    size = int(model.get_input_embeddings().weight.shape[0])
    rows = [
        [(7 * step + 3 * row) % min(size, 997) for step in range(length)]
        for row, length in enumerate((9, 12, 23))
    ]
    with torch.inference_mode():
        alone = [
            model(input_ids=torch.tensor([row], device=model.device), use_cache=False).logits[0].float()
            for row in rows
        ]
        spread = float(torch.stack([logits[-1].std() for logits in alone]).mean())
        most = _TOLERANCE.get(model.dtype, _TOLERANCE_ELSE) * max(spread, 1e-6)

        def holds(check: Callable[[Any, list[list[int]], list[Any]], float]) -> bool:
            try:
                return check(model, rows, alone) <= most
            except Exception:  # noqa: BLE001 - whatever a model says against it, it is not asked that way
                return False

        if not bool(torch.isfinite(alone[0]).all()):
            return Abilities(
                batched=True, shares=False, trees=False
            )  # nothing to compare; requests will fail
        batched = holds(_batch)
        shares = batched and holds(_kept)
        return Abilities(batched, shares, shares and holds(_tree))


def _batch(model: Any, rows: list[list[int]], alone: list[Any]) -> float:
    """Compute rows without their last token, remove one, and compute one step."""
    kept = BatchRows(model)
    for row in rows:
        cache = past(None, 1)
        model(input_ids=torch.tensor([row[:-1]], device=model.device), past_key_values=cache, use_cache=True)
        kept.join(layers_of(cache), 0, [(0, len(row) - 1)])
    kept.leave(0)
    order = [2, 1]
    logits = kept.step([rows[place][-1] for place in order])
    return max(float((logits[n].float() - alone[place][-1]).abs().max()) for n, place in enumerate(order))


def _kept(model: Any, rows: list[list[int]], alone: list[Any]) -> float:
    """Compute a prefix, then two rows after it, one of them with padding at the end."""
    first = past(None, 1)
    row, shorter = rows[2], rows[2][:15]
    model(input_ids=torch.tensor([row[:10]], device=model.device), past_key_values=first, use_cache=True)
    cache = past(layers_of(first), 2)
    ids = torch.tensor([row[10:], shorter[10:] + [0] * (len(row) - len(shorter))], device=model.device)
    positions = torch.arange(10, len(row), device=model.device)[None].expand(2, -1)
    logits = model(
        input_ids=ids, position_ids=positions, past_key_values=cache, use_cache=True
    ).logits.float()
    return max(
        float((logits[0, -1] - alone[2][-1]).abs().max()),
        float((logits[1, 4] - alone[2][14]).abs().max()),
    )


def _tree(model: Any, rows: list[list[int]], alone: list[Any]) -> float:
    """Score two continuations of one shared prefix."""
    from aisb_backend_hf._scoring import _Line, _RowLayout, _tree_mask

    row = rows[2]
    laid = [_RowLayout(_Line(row[:12], [rows[0], row[12:]]), 0)]
    mask = _tree_mask(laid, 0, 0, len(laid[0].ids), model)
    out = model(
        input_ids=torch.tensor([laid[0].ids], device=model.device),
        position_ids=torch.tensor([laid[0].positions], device=model.device),
        attention_mask=mask,
        use_cache=False,
    ).logits[0]
    return float((out[-1].float() - alone[2][-1]).abs().max())
