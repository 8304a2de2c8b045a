"""Choose the next token of each row by its request's parameters: greedy, or sampled with its own seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from aisb import UsageError

OTHER_NAMES = {"max_new_tokens": "max_tokens", "max_completion_tokens": "max_tokens"}
"""Other names of parameters."""
PARAMS = frozenset(
    (
        *("max_tokens", "stop", "stop_token_ids", "seed", "temperature", "top_p", "top_k", "min_p"),
        *("typical_p", "do_sample", "repetition_penalty", "presence_penalty", "frequency_penalty"),
        *("min_tokens", "ignore_eos", "skip_special_tokens", "chat_template_kwargs", "tools"),
        *("eos_token_id", "num_beams", *OTHER_NAMES),
    )
)
"""The supported generation parameters."""
SAMPLING_PARAMS = ("temperature", "top_p", "top_k", "min_p", "typical_p")


def refuse_beam_search(params: Mapping[str, Any]) -> None:
    """Refuse beam search.

    Raises:
        UsageError: `num_beams` is above 1.
    """
    if params.get("num_beams") not in (None, 1):
        raise UsageError(
            f"params.num_beams = {params['num_beams']!r}: beam search is not supported, as no service "
            "streams it; omit the parameter"
        )


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """The sampling parameters of one request; `temperature` 0 is greedy decoding."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    min_tokens: int = 0
    ends: frozenset[int] = frozenset()
    """The tokens that end an answer; they are suppressed until there are `min_tokens`."""

    @property
    def plain(self) -> bool:
        """Whether decoding is greedy on unmodified logits."""
        return not (self.temperature or self.penalises or self.min_tokens)

    @property
    def penalises(self) -> bool:
        """Whether any penalty depends on earlier tokens."""
        return bool(self.repetition_penalty != 1.0 or self.presence_penalty or self.frequency_penalty)


def read_sampling(
    params: Mapping[str, Any], model_defaults: Mapping[str, Any], ends: frozenset[int]
) -> SamplingParams:
    """Read a request's parameters; `model_defaults` are those of the model's generation_config.json.

    If the request does not set `do_sample`, tokens are sampled if it sets a parameter that affects sampling,
    or if the model's defaults say so; otherwise decoding is greedy.
    """
    requested = {OTHER_NAMES.get(name, name): value for name, value in params.items() if value is not None}
    draws = requested.get("do_sample")
    if draws is None:
        sets_sampling = any(name in requested for name in SAMPLING_PARAMS)
        draws = bool(sets_sampling or model_defaults.get("do_sample"))
    if not draws:
        requested["temperature"] = 0.0
    defaults = {
        name: model_defaults[name]
        for name in (*SAMPLING_PARAMS, "repetition_penalty")
        if model_defaults.get(name) is not None
    }
    if not (
        draws and model_defaults.get("do_sample")
    ):  # the model's values were chosen for sampling, not for greedy decoding
        defaults = {name: value for name, value in defaults.items() if name == "repetition_penalty"}
    values = {"temperature": 1.0} | defaults | requested
    return SamplingParams(
        float(values["temperature"]),
        float(values.get("top_p", 1.0)),
        max(0, int(values.get("top_k", 0))),
        float(values.get("min_p", 0.0)),
        float(values.get("typical_p", 1.0)),
        float(values.get("repetition_penalty", 1.0)),
        float(values.get("presence_penalty", 0.0)),
        float(values.get("frequency_penalty", 0.0)),
        int(values.get("min_tokens", 0)),
        ends,
    )


class SampledRow(Protocol):
    """A row for which a token is chosen: its parameters, its tokens, and its random generator."""

    sampling: SamplingParams
    prompt: list[int]
    generated: list[int]
    generator: Any


@dataclass(slots=True)
class ChosenTokens:
    """One token for each row; `broken` are the rows with NaN logits."""

    tokens: list[int]
    broken: list[int] = field(default_factory=list)


def choose(logits: Any, rows: Sequence[SampledRow]) -> ChosenTokens:
    """Choose the next token of each row from its logits ([rows, vocabulary])."""
    import torch

    best, places = logits.max(dim=-1)
    broken = torch.nonzero(~torch.isfinite(best)).flatten().tolist()
    tokens: list[int] = places.tolist()
    groups: dict[SamplingParams, list[int]] = {}
    for number, row in enumerate(rows):
        if not row.sampling.plain:
            groups.setdefault(row.sampling, []).append(number)
    bad = set(broken)
    for sampling, group in groups.items():
        members = [number for number in group if number not in bad]
        if members:
            drawn = _draw(logits[members].float(), sampling, [rows[number] for number in members])
            for number, token in zip(members, drawn, strict=True):
                tokens[number] = token
    return ChosenTokens(tokens, broken)


def _draw(logits: Any, sampling: SamplingParams, rows: Sequence[SampledRow]) -> list[int]:
    import torch

    if sampling.penalises:
        for number, row in enumerate(rows):
            _penalise(logits[number], sampling, row)
    for number, row in enumerate(rows):
        if len(row.generated) < sampling.min_tokens:
            logits[number, [end for end in sampling.ends if end < logits.shape[-1]]] = float("-inf")
    if not sampling.temperature:
        likeliest: list[int] = logits.argmax(dim=-1).tolist()
        return likeliest
    ids = torch.empty(0, dtype=torch.long)
    for warp in _warpers(sampling):
        logits = warp(ids, logits)
    shares = torch.softmax(logits, dim=-1).cpu()
    return [
        int(torch.multinomial(share, 1, generator=row.generator))
        for share, row in zip(shares, rows, strict=True)
    ]


def _warpers(sampling: SamplingParams) -> list[Any]:
    """Return the logits warpers of transformers, in its order."""
    from transformers import (
        MinPLogitsWarper,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
        TypicalLogitsWarper,
    )

    steps: list[Any] = []
    if sampling.temperature != 1.0:
        steps.append(TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k:
        steps.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1.0:
        steps.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        steps.append(MinPLogitsWarper(sampling.min_p))
    if sampling.typical_p < 1.0:
        steps.append(TypicalLogitsWarper(sampling.typical_p))
    return steps


def _penalise(logits: Any, sampling: SamplingParams, row: SampledRow) -> None:
    """Apply the penalties for earlier tokens, in place.

    As in vLLM, the repetition penalty includes the prompt (https://arxiv.org/abs/1909.05858), and the other
    two count the answer only (https://platform.openai.com/docs/api-reference/completions).
    """
    import torch

    if sampling.repetition_penalty != 1.0:
        earlier = torch.tensor(sorted({*row.prompt, *row.generated}), device=logits.device)
        values = logits[earlier]
        logits[earlier] = torch.where(
            values > 0, values / sampling.repetition_penalty, values * sampling.repetition_penalty
        )
    if row.generated and (sampling.presence_penalty or sampling.frequency_penalty):
        generated, counts = torch.tensor(row.generated, device=logits.device).unique(return_counts=True)
        logits[generated] -= sampling.presence_penalty + sampling.frequency_penalty * counts
