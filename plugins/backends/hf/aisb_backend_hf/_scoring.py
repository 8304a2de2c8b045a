"""Compute log-likelihoods of texts in batches; common parts are computed once if the model allows it.

The options of a question follow their context in one row; each attends only to the context and to itself. A
prefix of many rows (few-shot examples) is computed once. A text longer than the context length is scored in
windows, each token once, like in lm-evaluation-harness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from aisb import AttemptFailed, Failure, TokenScores
from aisb_backend_hf._device import is_out_of_memory, release
from aisb_backend_hf._live import Meter
from aisb_backend_hf._packing import MIN_SHARED_TOKENS, packs, shared
from aisb_backend_hf._prefixes import Prefix, Prefixes, detached
from aisb_backend_hf._requests import ScoredText, deliver, failed
from aisb_backend_hf._rows import past

NOT_NUMBERS = (
    "the model's log-probabilities are not numbers (NaN) for this text; float16 overflows in many models: "
    "set model.dtype=bfloat16 or float32, and check that the weights are complete"
)
MIN_SCORING_TOKENS = 32


@dataclass(eq=False, slots=True)
class _Line:
    """One row of tokens: a trunk, and tails that each continue the trunk. Scores are per token."""

    trunk: list[int]
    tails: list[list[int]]
    logprobs: list[float] = field(default_factory=list)
    greedy: list[bool] = field(default_factory=list)
    shared: int = 0

    @property
    def size(self) -> int:
        return len(self.trunk) + sum(map(len, self.tails))

    def scores_of(self, tail: int) -> TokenScores:
        """Return the scores of the trunk with one of its tails."""
        begin = len(self.trunk) - 1 + sum(map(len, self.tails[:tail]))
        end = begin + len(self.tails[tail]) if self.tails else begin
        tokens = self.trunk + (self.tails[tail] if self.tails else [])
        logprobs = self.logprobs[: len(self.trunk) - 1] + self.logprobs[begin:end]
        greedy = self.greedy[: len(self.trunk) - 1] + self.greedy[begin:end]
        return TokenScores(tuple(tokens), (None, *logprobs), (False, *greedy))


class Scoring:
    """Scores texts with one model. `budget` is in tokens per computation; `window` is the context length.

    With `trees`, options share a row; with `prefixes`, common prefixes are cached.
    """

    def __init__(
        self,
        model: Any,
        *,
        budget: int,
        window: int,
        padding: bool,
        trees: bool,
        batched: bool,
        prefixes: Prefixes | None,
        meter: Meter,
    ) -> None:
        self._model = model
        self._budget = budget
        self._window = window
        self._padding = padding
        self._trees = trees
        self._batched = batched
        self._prefixes = prefixes if trees else None
        self._meter = meter

    def run(self, items: Sequence[ScoredText]) -> None:
        """Score texts, and deliver the scores of each when they are complete."""
        lines: dict[int, list[_Line]] = {id(item): self._lines(item) for item in items}
        owner = {id(line): item for item in items for line in lines[id(item)]}
        left = {id(item): len(lines[id(item)]) for item in items}
        all_lines = [line for own in lines.values() for line in own]
        if self._prefixes is not None:
            commons = shared([line.trunk for line in all_lines])
            for line, common in zip(all_lines, commons, strict=True):
                line.shared = common
        failed_items: set[int] = set()
        for batch, failure in self._compute_all(all_lines):
            for line in batch:
                item = owner[id(line)]
                left[id(item)] -= 1
                if failure is not None and id(item) not in failed_items:
                    failed_items.add(id(item))
                    deliver([(item.stream, failure)])
                elif not left[id(item)] and id(item) not in failed_items:
                    deliver([(item.stream, _answer(item, lines[id(item)]))])
            self._meter.update()

    def _lines(self, item: ScoredText) -> list[_Line]:
        if item.windows:
            return [_Line(part, []) for part in windows(item.trunk, self._window)]
        if self._trees and item.trunk:
            return [_Line(item.trunk, item.tails)]
        return [_Line(item.trunk + tail, []) for tail in item.tails or [[]]]

    def _compute_all(self, lines: Sequence[_Line]) -> Any:
        """Compute rows batch by batch; yield each batch with None, or with the error."""
        groups: dict[int, tuple[Prefix | None, list[_Line]]] = {}
        for line in lines:
            try:
                prefix = self._prefix(line)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                release(self._model.device)
                prefix, self._prefixes = None, None
            groups.setdefault(id(prefix), (prefix, []))[1].append(line)
        for prefix, group in groups.values():
            cached = prefix.length if prefix else 0
            budget = self._budget if self._batched else 1
            waiting = list(packs(group, partial(_left, cached), budget=budget, padding=self._padding))
            while waiting:
                batch = waiting.pop(0)
                try:
                    self._compute(batch, prefix)
                except Exception as error:  # noqa: BLE001 - requests: they fail with it, and are counted
                    if is_out_of_memory(error):
                        self._meter.out_of_memory += 1
                        release(self._model.device)
                        if len(batch) > 1 or self._budget > MIN_SCORING_TOKENS:
                            self._budget = max(MIN_SCORING_TOKENS, self._budget // 2)
                            middle = (len(batch) + 1) // 2
                            waiting[:0] = [half for half in (batch[:middle], batch[middle:]) if half]
                            continue
                        yield batch, failed(f"out of memory with this single text: {_words(error)}")
                    elif isinstance(error, AttemptFailed):
                        yield from self._one_by_one(batch, error)
                    else:
                        yield batch, AttemptFailed(Failure("protocol", f"the model failed: {_words(error)}"))
                else:
                    yield batch, None

    def _one_by_one(self, batch: list[_Line], error: AttemptFailed) -> Any:
        """Yield the rows of a failed batch separately: only those with NaN scores have failed."""
        for line in batch:
            yield [line], (error if any(value != value for value in line.logprobs) else None)  # noqa: PLR0124

    def _prefix(self, line: _Line) -> Prefix | None:
        """Return the longest prefix of a row that is cached, or is worth computing because others share it.

        Of a prefix of n tokens, the cache holds the first n - 1; the score of the last one is included.
        """
        if self._prefixes is None:
            return None
        known = self._prefixes.longest(line.trunk)
        length, cached = min(line.shared, len(line.trunk) - 1), known.length if known else 0
        if length - cached <= MIN_SHARED_TOKENS:
            return known
        part = _Line(line.trunk[:length], [])
        cache = self._compute([part], known)
        filled = detached(cache, slice(0, 1), slice(0, length - 1))
        if any(value != value for value in part.logprobs):  # noqa: PLR0124 - NaN
            return None
        prefix = Prefix(tuple(part.trunk), filled, tuple(part.logprobs), tuple(part.greedy))
        return self._prefixes.keep(prefix)

    def _compute(self, lines: list[_Line], prefix: Prefix | None) -> Any:
        """Compute rows after a prefix, and store the score of each token; return the cache."""
        model, cached = self._model, prefix.length if prefix else 0
        for line in lines:
            line.logprobs = [
                *(prefix.logprobs[:cached] if prefix else ()),
                *([0.0] * (line.size - 1 - cached)),
            ]
            line.greedy = [*(prefix.greedy[:cached] if prefix else ()), *([False] * (line.size - 1 - cached))]
        layouts = [_RowLayout(line, cached) for line in lines]
        width = max(len(one.ids) for one in layouts)
        device = model.device
        ids = torch.tensor([one.ids + [0] * (width - len(one.ids)) for one in layouts], device=device)
        positions = torch.tensor(
            [one.positions + [0] * (width - len(one.ids)) for one in layouts], device=device
        )
        chunk = max(1, min(width, self._budget // len(layouts)))
        trees = any(len(one.line.tails) > 1 for one in layouts)
        # A single computation of rows without options needs no cache and no mask: padding is at the end.
        keeps = self._trees and (prefix is not None or chunk < width or len(lines) == 1)
        cache = past(prefix.filled if prefix else None, len(layouts)) if keeps else None
        for begin in range(0, width, chunk) if keeps else (0,):
            end = min(width, begin + chunk) if keeps else width
            more: dict[str, Any] = (
                {"past_key_values": cache, "use_cache": True} if keeps else {"use_cache": False}
            )
            if trees:
                more["attention_mask"] = _tree_mask(layouts, cached, begin, end, model)
            if self._batched:
                more["position_ids"] = positions[:, begin:end]
            logits = model(input_ids=ids[:, begin:end], **more).logits
            self._read(layouts, logits, begin, end)
        computed = sum(len(one.ids) for one in layouts)
        meter = self._meter
        meter.scored += computed
        meter.computed += width * len(layouts)
        meter.padding += width * len(layouts) - computed
        meter.reused += cached * len(layouts)
        if any(value != value for line in lines for value in line.logprobs):  # noqa: PLR0124 - NaN
            raise failed(NOT_NUMBERS)
        return cache

    def _read(self, layouts: Sequence[_RowLayout], logits: Any, begin: int, end: int) -> None:
        """Read the scores of tokens from the logits at the positions that predict them."""
        rows: list[int] = []
        places: list[int] = []
        tokens: list[int] = []
        targets: list[tuple[_Line, int]] = []
        for number, one in enumerate(layouts):
            for place, token, target in one.predicted:
                if begin <= place < end:
                    rows.append(number)
                    places.append(place - begin)
                    tokens.append(token)
                    targets.append((one.line, target))
        if not rows:
            return
        device = logits.device
        row, place, token = (torch.tensor(part, device=device) for part in (rows, places, tokens))
        chosen: list[float] = []
        likeliest: list[bool] = []
        vocabulary = logits.shape[-1]
        at_once = max(1, (1 << 26) // vocabulary)  # at most 256 MB of float32 in addition to the logits
        for start in range(0, len(rows), at_once):
            cut = slice(start, start + at_once)
            picked = logits[row[cut], place[cut]].float()
            value = picked.gather(1, token[cut][:, None])[:, 0]
            chosen += (value - picked.logsumexp(dim=-1)).tolist()
            likeliest += (picked.argmax(dim=-1) == token[cut]).tolist()
        for (line, target), logprob, greedy in zip(targets, chosen, likeliest, strict=True):
            line.logprobs[target] = logprob
            line.greedy[target] = greedy


def _left(cached: int, line: _Line) -> int:
    return line.size - cached


class _RowLayout:
    """The layout of a row: its tokens, their positions, and the position that predicts each token."""

    __slots__ = ("ids", "line", "parts", "positions", "predicted")

    def __init__(self, line: _Line, cached: int) -> None:
        self.line = line
        trunk = len(line.trunk)
        self.ids = [*line.trunk[cached:], *(token for tail in line.tails for token in tail)]
        self.positions = [*range(cached, trunk)]
        self.predicted = [
            (place, line.trunk[cached + place + 1], cached + place) for place in range(trunk - cached - 1)
        ]
        self.parts: list[tuple[int, int]] = []
        at = trunk - cached
        for tail in line.tails:
            self.parts.append((at, at + len(tail)))
            self.positions += range(trunk, trunk + len(tail))
            for number, token in enumerate(tail):
                source = at + number - 1 if number else trunk - cached - 1
                self.predicted.append((source, token, cached + at + number - 1))
            at += len(tail)


def _tree_mask(layouts: Sequence[_RowLayout], cached: int, begin: int, end: int, model: Any) -> Any:
    """Return the attention mask ([rows, 1, end - begin, begun + end]), which hides other options."""
    sees = torch.zeros((len(layouts), end - begin, cached + end), dtype=torch.bool)
    causal = torch.ones((end - begin, cached + end), dtype=torch.bool).tril(diagonal=cached + begin)
    for number, one in enumerate(layouts):
        sees[number] = causal
        first = one.parts[0][0] if one.parts else end
        for low, high in one.parts:
            if low < end and high > begin:
                sees[
                    number, max(low, begin) - begin : min(high, end) - begin, cached + first : cached + low
                ] = False
    mask = torch.zeros(sees.shape, dtype=model.dtype)
    mask.masked_fill_(~sees, torch.finfo(model.dtype).min)
    return mask[:, None].to(model.device)


def windows(tokens: Sequence[int], size: int) -> list[list[int]]:
    """Split a text that exceeds the context length; each token after the first is predicted once.

    Each window begins with the last token of the previous one. The last window is full, too.
    """
    if len(tokens) <= size:
        return [list(tokens)]
    parts = []
    covered = 1
    while covered < len(tokens):
        end = min(covered - 1 + size, len(tokens))
        parts.append(list(tokens[max(0, end - size) : end]))
        covered = end
    return parts


def _answer(item: ScoredText, lines: Sequence[_Line]) -> Sequence[TokenScores]:
    if item.windows:
        return [_joined(item.trunk, lines)]
    if len(lines) == 1 and item.tails and lines[0].tails:
        return [lines[0].scores_of(number) for number in range(len(item.tails))]
    return [line.scores_of(0) for line in lines]


def _joined(tokens: Sequence[int], lines: Sequence[_Line]) -> TokenScores:
    """Join the scores of windows; of the last one, only the tokens that earlier ones do not cover."""
    logprobs: list[float | None] = [None]
    greedy = [False]
    for line in lines:
        new = min(len(line.logprobs), len(tokens) - len(logprobs))
        logprobs += line.logprobs[len(line.logprobs) - new :]
        greedy += line.greedy[len(line.greedy) - new :]
    return TokenScores(tuple(tokens), tuple(logprobs), tuple(greedy))


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
