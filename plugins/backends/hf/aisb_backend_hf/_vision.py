"""Run a vision model: one request at a time, with its own processor and its own `generate`.

Models represent images differently (tokens in the prompt, two-dimensional positions), so requests are not
batched. The next token is chosen as for a text model.
"""

from __future__ import annotations

import asyncio
import base64
import io
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, StoppingCriteria
from transformers.generation.stopping_criteria import StoppingCriteriaList

from aisb import AttemptFailed, DataError, Failure, Message, Part, Request, UsageError
from aisb.helpers import data_url
from aisb_backend_hf import _chat as chat
from aisb_backend_hf._device import is_out_of_memory, release
from aisb_backend_hf._engine import NO_WINDOW, make_row, own_names
from aisb_backend_hf._live import Meter
from aisb_backend_hf._loading import Loaded
from aisb_backend_hf._requests import BatchRow, TokenStream, deliver, failed
from aisb_backend_hf._sampling import choose
from aisb_backend_hf._scheduler import NOT_NUMBERS


@dataclass(eq=False, slots=True)
class VisionPrompt:
    """A waiting or running request, and the stream of its text."""

    stream: TokenStream
    request: Request
    cancelled: bool = False


class VisionEngine:
    """A vision model, and the thread in which it answers requests in order."""

    def __init__(
        self, loaded: Loaded, clock: Callable[[], int], *, window: int | None = None, streamed: bool = True
    ) -> None:
        self._loaded = loaded
        self._clock = clock
        self._streamed = streamed
        own = loaded.window or NO_WINDOW
        self.window = min(window or own, own)
        self._ends = loaded.ends | chat.end_of_turn(loaded.tokenizer)
        loaded.model.generation_config = GenerationConfig(do_sample=False, pad_token_id=0)
        self.meter = Meter()
        self.notes = [loaded.line(), "a vision model answers one request at a time"]
        self._inbox: queue.SimpleQueue[VisionPrompt | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: each process loads the model itself."""
        raise TypeError("a model stays in its process")

    def ask(self, request: Request) -> VisionPrompt:
        """Submit a request; its answer arrives on its stream."""
        waiting = VisionPrompt(TokenStream(asyncio.get_running_loop()), request)
        self._inbox.put(waiting)
        return waiting

    def identity(self, path: Path) -> dict[str, Any]:
        """Return what distinguishes the model from others of the same name."""
        from aisb_backend_hf._identity import model_identity

        return model_identity(self._loaded.model, self._loaded.tokenizer, path)

    def close(self) -> None:
        """Stop the thread; unfinished requests stay unanswered."""
        self._inbox.put(None)
        self._thread.join()

    def _work(self) -> None:
        with torch.inference_mode():
            while (waiting := self._inbox.get()) is not None:
                if waiting.cancelled:
                    continue
                try:
                    self._answer(waiting)
                except AttemptFailed as error:
                    deliver([(waiting.stream, error)])
                except Exception as error:  # noqa: BLE001 - a request: it fails with it, and is counted
                    deliver([(waiting.stream, self._failure(error))])
                self.meter.rows = 0

    def _failure(self, error: Exception) -> AttemptFailed:
        words = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        if isinstance(error, UsageError | DataError):
            return failed(str(error))
        if is_out_of_memory(error):
            self.meter.out_of_memory += 1
            release(self._loaded.model.device)
            return failed(f"out of memory with this single request: {words}; make its images smaller")
        return AttemptFailed(Failure("protocol", f"the model failed: {words}"))

    def _answer(self, waiting: VisionPrompt) -> None:
        inputs = self._inputs(waiting.request)
        prompt = inputs["input_ids"][0].tolist()
        if len(prompt) >= self.window:
            raise failed(
                f"too long: {len(prompt)} tokens with images, and the context length is {self.window}"
            )
        row = make_row(
            self._loaded,
            own_names(waiting.request.params),
            prompt,
            waiting.stream,
            ends=self._ends,
            window=self.window,
            streamed=self._streamed,
        )
        self.meter.prompts += len(prompt)
        self.meter.computed += len(prompt)
        self.meter.rows = self.meter.most_rows = 1
        choosing = _Choosing(waiting, row, self._clock, self.meter)
        self._loaded.model.generate(
            **inputs,
            max_new_tokens=row.longest,
            logits_processor=LogitsProcessorList([choosing]),
            stopping_criteria=StoppingCriteriaList([_Ended(choosing)]),
        )
        self.meter.update()

    def _inputs(self, request: Request) -> dict[str, Any]:
        """Return the model's inputs: the tokens of the messages, and the pixels of their images."""
        params, processor = request.params, self._loaded.processor
        more = dict(params.get("chat_template_kwargs") or {})
        if params.get("tools"):
            more["tools"] = params["tools"]
        turns = [_turn(message) for message in request.messages or ()]
        try:
            made = processor.apply_chat_template(
                [turns],
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
                **{"add_generation_prompt": True, **more},
            )
        except Exception as error:  # a processor may raise anything
            words = " ".join(str(error).split())[:300]
            raise UsageError(
                f"the processor refuses these messages: {type(error).__name__}: {words}"
            ) from error
        model = self._loaded.model
        return {
            name: value.to(model.device, model.dtype if value.is_floating_point() else None)
            for name, value in made.items()
            if isinstance(value, torch.Tensor)
        }


class _Choosing(LogitsProcessor):  # type: ignore[misc]  # mypy does not read transformers
    """Chooses and delivers the next token, and forces `generate` to use it."""

    def __init__(self, waiting: VisionPrompt, row: BatchRow, clock: Callable[[], int], meter: Meter) -> None:
        self._waiting = waiting
        self._row = row
        self._clock = clock
        self._meter = meter
        self.ended = False

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Return logits in which only the chosen token is possible."""
        del input_ids
        chosen = choose(scores, [self._row])
        if chosen.broken:
            raise failed(NOT_NUMBERS)
        token = chosen.tokens[0]
        self._meter.generated += 1
        chunk, ended = self._row.take(token, self._clock())
        if chunk is not None:
            deliver([(self._waiting.stream, chunk)])
        self.ended = ended or self._waiting.cancelled
        only = torch.full_like(scores, float("-inf"))
        only[:, token] = 0
        return only


class _Ended(StoppingCriteria):  # type: ignore[misc]  # mypy does not read transformers
    """Stops `generate` when an answer has ended."""

    def __init__(self, choosing: _Choosing) -> None:
        self._choosing = choosing

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        """Return for each row whether its answer has ended."""
        del scores, kwargs
        return torch.full((input_ids.shape[0],), self._choosing.ended, device=input_ids.device)


def set_vision_template(loaded: Loaded, given: str | None, path: str) -> None:
    """Use one chat template for the processor and the tokenizer.

    Raises:
        UsageError: there is no template, or its file cannot be read.
    """
    own = getattr(loaded.processor, "chat_template", None)
    if own and not loaded.tokenizer.chat_template:
        loaded.tokenizer.chat_template = own if isinstance(own, str) else own.get("default")
    chat.set_template(loaded.tokenizer, given, path)
    if given is not None or not own:
        loaded.processor.chat_template = loaded.tokenizer.chat_template


def _turn(message: Message) -> dict[str, Any]:
    if isinstance(message.content, str):
        content: list[Mapping[str, Any]] = [{"type": "text", "text": message.content}]
    else:
        content = [_part(part) for part in message.content]
    return {"role": message.role, "content": content, **chat.calls_in(message)}


def _part(part: Part) -> Mapping[str, Any]:
    """Return a part in the form of processors: a decoded image, or the path of a video.

    Raises:
        UsageError: it is audio, or is not on this machine.
    """
    if part.kind == "text":
        return {"type": "text", "text": part.value}
    if part.kind == "audio":
        raise UsageError("the task has audio parts, which this backend does not support")
    if not part.value.startswith(("file:", "data:")):
        raise UsageError(f"{part.value[:200]} is a URL, and a local model downloads nothing")
    if part.kind == "video":
        if part.value.startswith("data:"):
            raise UsageError("a video must be a file on this machine; base64 content is not supported")
        from urllib.parse import unquote, urlsplit

        return {"type": "video", "path": unquote(urlsplit(part.value).path)}
    from PIL import Image

    content = base64.b64decode(data_url(part).partition(",")[2])
    try:
        return {"type": "image", "image": Image.open(io.BytesIO(content)).convert("RGB")}
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"an image cannot be decoded: {error}") from error
