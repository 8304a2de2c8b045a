"""A loaded model with its scheduler: turns requests into rows of tokens within the context window."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from aisb import Request
from aisb_backend_hf import _chat as chat
from aisb_backend_hf import _sampling as sampling
from aisb_backend_hf._generation import Generation
from aisb_backend_hf._live import Meter
from aisb_backend_hf._loading import Loaded
from aisb_backend_hf._packing import common
from aisb_backend_hf._prefixes import Prefixes
from aisb_backend_hf._requests import BatchRow, ScoredText, TokenStream, failed
from aisb_backend_hf._scheduler import FIRST_ROWS, Scheduler
from aisb_backend_hf._scoring import Scoring
from aisb_backend_hf._stopping import Spelling, Stops, stop_strings
from aisb_backend_hf._trial import try_out

BUDGET = {"cpu": 2048}
BUDGET_ELSEWHERE = 16384
PREFIX_TOKENS = 16384
NO_WINDOW = 1 << 20
DEFAULT_MAX_TOKENS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How requests are processed."""

    batch_size: int | Literal["auto"] = "auto"
    batch_padding: bool = True
    max_batch_tokens: int | None = None
    max_seq_len: int | None = None
    truncate: Literal["never", "left"] = "never"
    prefix_cache: bool = True
    stream: bool = True


class LocalEngine:
    """A loaded model that answers requests."""

    def __init__(
        self, loaded: Loaded, settings: Settings, clock: Callable[[], int], *, turns: bool = False
    ) -> None:
        self._loaded = loaded
        self._settings = settings
        self._tokenizer = loaded.tokenizer
        self.meter = Meter()
        window = loaded.window or NO_WINDOW
        self.window = min(settings.max_seq_len or window, window)
        self._ends = loaded.ends | (chat.end_of_turn(loaded.tokenizer) if turns else frozenset())
        model = loaded.model
        self.abilities = can = try_out(model)
        budget = settings.max_batch_tokens or BUDGET.get(model.device.type, BUDGET_ELSEWHERE)
        keeps = settings.prefix_cache and can.shares
        both: dict[str, Any] = {"budget": budget, "padding": settings.batch_padding, "meter": self.meter}
        generation = Generation(
            model, batched=can.batched, prefixes=Prefixes(PREFIX_TOKENS) if keeps else None, **both
        )
        scoring = Scoring(
            model,
            window=self.window,
            trees=can.trees and settings.prefix_cache,
            batched=can.batched,
            prefixes=Prefixes(PREFIX_TOKENS) if keeps else None,
            **both,
        )
        size = settings.batch_size
        self._scheduler = Scheduler(
            generation,
            scoring,
            limit=1 if not can.batched else FIRST_ROWS if size == "auto" else size,
            grows=size == "auto" and can.batched,
            clock=clock,
            meter=self.meter,
            device=model.device,
        )

        self.notes = [loaded.line(), *can.notes()]

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: each process loads the model itself."""
        raise TypeError("a model stays in its process")

    def ask(self, request: Request) -> BatchRow:
        """Submit a request; the answer arrives on the row's stream.

        Raises:
            AttemptFailed: the prompt exceeds the context window.
        """
        params = own_names(request.params)
        prompt = self._within(self._prompt(request), most_tokens(params))
        stream = TokenStream(asyncio.get_running_loop())
        row = make_row(
            self._loaded,
            params,
            prompt,
            stream,
            ends=self._ends,
            window=self.window,
            streamed=self._settings.stream,
        )
        self._scheduler.submit(row)
        return row

    def score(self, request: Request) -> tuple[list[int], ScoredText]:
        """Submit a request for scores; return the tokens of its context, and the texts that get the scores.

        Raises:
            AttemptFailed: context and continuation exceed the context window.
        """
        context, marks = self._context(request)
        alone = self._encode(context, special=marks) if context else []
        wholes = [self._encode(context + text, special=marks) for text in request.continuations]
        if not context:
            wholes = [self._begun(whole) for whole in wholes]
        windows = not context and len(wholes) == 1 and len(wholes[0]) > self.window
        if not windows:
            longest = max(map(len, wholes))
            if longest > self.window:
                if self._settings.truncate == "never":
                    raise failed(self._too_long(longest))
                cut = longest - self.window
                alone, wholes = alone[cut:], [whole[cut:] for whole in wholes]
        if not all(wholes):
            raise failed("a text to be scored has no tokens")
        trunk = len(wholes[0])
        for whole in wholes[1:]:
            trunk = min(trunk, common(wholes[0], whole))
        item = ScoredText(
            TokenStream(asyncio.get_running_loop()),
            wholes[0][:trunk],
            [whole[trunk:] for whole in wholes],
            windows,
        )
        self._scheduler.submit(item)
        return alone, item

    def _begun(self, whole: list[int]) -> list[int]:
        """Put the beginning-of-text token before a text without context, so that its first token has a score.

        As in lm-evaluation-harness, it is the tokenizer's bos_token, or else its eos_token.
        """
        said = (self._tokenizer.bos_token_id, self._tokenizer.eos_token_id)
        begin = next((token for token in said if token is not None), None)
        return whole if begin is None or whole[:1] == [begin] else [begin, *whole]

    def identity(self, path: Path) -> dict[str, Any]:
        """Return what distinguishes the model from others of the same name."""
        from aisb_backend_hf._identity import model_identity

        return model_identity(self._loaded.model, self._tokenizer, path)

    def close(self) -> None:
        """Stop the scheduler."""
        self._scheduler.close()

    def _prompt(self, request: Request) -> list[int]:
        if request.tokens is not None and request.messages is None and request.text is None:
            return list(request.tokens)
        if request.messages is not None:
            text = chat.rendered(self._tokenizer, request.messages, request.params)
            return self._encode(text, special=False)
        return self._encode(request.text or "", special=True)

    def _context(self, request: Request) -> tuple[str, bool]:
        """Return the text before the continuations, and whether the tokenizer adds its special tokens."""
        if request.messages is not None:
            return chat.rendered(self._tokenizer, request.messages, request.params), False
        return request.text or "", True

    def _within(self, prompt: list[int], longest: int) -> list[int]:
        if not prompt:
            raise failed("the prompt has no tokens")
        if self._settings.truncate == "left":
            most = self.window - min(longest, self.window - 1)
            return prompt[max(0, len(prompt) - most) :]
        if len(prompt) >= self.window:
            raise failed(self._too_long(len(prompt)))
        return prompt

    def _too_long(self, length: int) -> str:
        which = "max_seq_len" if self._settings.max_seq_len else "the model's window"
        return (
            f"too long: {length} tokens, and {which} is {self.window}; to cut the beginning: "
            "--set model.truncate=left"
        )

    def _encode(self, text: str, *, special: bool) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=special)["input_ids"])


def own_names(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the set parameters under the names of this backend."""
    return {
        sampling.OTHER_NAMES.get(name, name): value for name, value in params.items() if value is not None
    }


def most_tokens(params: Mapping[str, Any]) -> int:
    """Return the maximum number of tokens of an answer."""
    return int(params.get("max_tokens") or DEFAULT_MAX_TOKENS)


def make_row(
    loaded: Loaded,
    params: Mapping[str, Any],
    prompt: list[int],
    stream: TokenStream,
    *,
    ends: frozenset[int],
    window: int,
    streamed: bool,
) -> BatchRow:
    """Return the row for a prompt that fits the context window, with its sampling parameters."""
    import torch

    ends = ends | frozenset(_ids(params.get("stop_token_ids"))) | frozenset(_ids(params.get("eos_token_id")))
    wanted = sampling.read_sampling(params, loaded.defaults, ends)
    generator = None
    if wanted.temperature:
        generator = torch.Generator()
        seed = params.get("seed")
        generator.manual_seed(int(seed)) if seed is not None else generator.seed()
    return BatchRow(
        stream=stream,
        prompt=prompt,
        sampling=wanted,
        longest=min(most_tokens(params), window - len(prompt)),
        ends=frozenset() if params.get("ignore_eos") else ends,
        spelling=Spelling(_decoder(loaded.tokenizer, bool(params.get("skip_special_tokens", True))), prompt),
        stops=Stops(stop_strings(params.get("stop"))),
        generator=generator,
        streamed=streamed,
    )


def _decoder(tokenizer: Any, skips: bool) -> Callable[[list[int]], str]:
    made = getattr(tokenizer, "backend_tokenizer", None) or getattr(tokenizer, "_tokenizer", None)
    if made is not None and hasattr(made, "decode"):
        return lambda ids: str(made.decode(ids, skip_special_tokens=skips))
    return lambda ids: str(
        tokenizer.decode(ids, skip_special_tokens=skips, clean_up_tokenization_spaces=False)
    )


def _ids(given: int | Sequence[int] | None) -> Sequence[int]:
    return () if given is None else (given,) if isinstance(given, int) else given
