"""vLLM's engine, and requests in its form.

https://docs.vllm.ai/en/latest/api/vllm/v1/engine/async_llm.html
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from aisb import (
    AttemptFailed,
    Chunk,
    Failure,
    Message,
    PluginError,
    Request,
    ServiceError,
    TokenScores,
    Usage,
    UsageError,
)

if TYPE_CHECKING:
    from aisb_backend_vllm_offline import VLLMOffline

OTHER_NAMES = {"max_completion_tokens": "max_tokens", "max_new_tokens": "max_tokens"}
NOT_FOR_SAMPLING = frozenset(("chat_template_kwargs", "do_sample", "num_beams"))


class OfflineEngine:
    """A model in vLLM's process."""

    def __init__(self, backend: VLLMOffline) -> None:
        began = time.monotonic()
        path = Path(backend.path).expanduser()
        if not path.is_dir() and not backend.allow_download:
            raise UsageError(
                f"path = {backend.path!r}: there is no such folder; looked for {path / 'config.json'}\n"
                "  nothing is downloaded by default; --allow-download allows a model's name"
            )
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        try:
            from vllm import AsyncEngineArgs
            from vllm.v1.engine.async_llm import AsyncLLM
        except ImportError as error:
            raise PluginError(
                f"vLLM is not installed here ({error}): pip install vllm, or the build for your device"
            ) from error
        given: dict[str, Any] = {
            "model": str(path) if path.is_dir() else backend.path,
            "dtype": backend.dtype,
            "trust_remote_code": backend.trust_remote_code,
            "tensor_parallel_size": int(backend.run_cfg.get("num_gpus", 1)),
            **({"max_model_len": backend.max_seq_len} if backend.max_seq_len else {}),
            **backend.model_kwargs,
        }
        try:
            self._engine: Any = AsyncLLM.from_engine_args(AsyncEngineArgs(**given))
        except Exception as error:
            words = " ".join(str(error).split())[:300]
            raise ServiceError(f"vLLM cannot load {backend.path}: {type(error).__name__}: {words}") from error
        self._numbers = count()
        self._tokenizer: Any = None
        self._made = 0
        self._began = time.monotonic()
        self.line = f"loaded in {time.monotonic() - began:.1f} s with vLLM, {backend.dtype}"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: each process loads the model itself."""
        raise TypeError("a model stays in its process")

    async def ask(self, request: Request, *, clock: Callable[[], int]) -> AsyncIterator[Chunk]:
        """Answer one request, token by token."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        given = {OTHER_NAMES.get(k, k): v for k, v in request.params.items() if v is not None}
        if given.get("do_sample") is False:
            given["temperature"] = 0
        given = {name: value for name, value in given.items() if name not in NOT_FOR_SAMPLING}
        try:
            wanted = SamplingParams(**given, output_kind=RequestOutputKind.DELTA)
        except (TypeError, ValueError) as error:
            raise _refused(f"vLLM refuses these parameters: {error}") from error
        prompt = await self._prompt(request)
        made = 0
        async for part in self._run(prompt, wanted):
            stamp = clock()
            (output,) = part.outputs
            made += len(output.token_ids)
            self._made += len(output.token_ids)
            usage = Usage(len(part.prompt_token_ids or ()), made) if output.finish_reason else None
            yield Chunk(
                "content",
                output.text,
                tokens=len(output.token_ids),
                finish_reason=output.finish_reason,
                usage=usage,
                stamp_ns=stamp,
            )

    async def score(self, request: Request) -> Sequence[TokenScores]:
        """Score the context alone and with each continuation, concurrently."""
        import asyncio

        text = await self._prompt(request)
        base = text["prompt"] if isinstance(text, dict) and "prompt" in text else ""
        words = await self._words()
        special = request.messages is None
        alone = words(base, add_special_tokens=special)["input_ids"] if base else []
        calls = (self._scores(base + one, special) for one in request.continuations)
        unknown = (None,) * len(alone)
        return [TokenScores(tuple(alone), unknown, (False,) * len(alone)), *await asyncio.gather(*calls)]

    def live(self) -> str:
        """Return the average rate of tokens since loading."""
        return f"{self._made / max(1e-9, time.monotonic() - self._began):.0f} tokens/s since it was loaded"

    def close(self) -> None:
        """Stop vLLM's process."""
        self._engine.shutdown()

    async def _scores(self, text: str, special: bool) -> TokenScores:
        from vllm import SamplingParams

        ids = list((await self._words())(text, add_special_tokens=special)["input_ids"])
        wanted = SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=1)
        last: Any = None
        async for part in self._run({"prompt_token_ids": ids}, wanted):
            last = part if part.prompt_logprobs else last
        if last is None:
            raise AttemptFailed(Failure("protocol", "vLLM gave no log-probabilities of the prompt"))
        told = [
            None if entry is None else entry[token]
            for entry, token in zip(last.prompt_logprobs, ids, strict=True)
        ]
        return TokenScores(
            tuple(ids),
            tuple(None if one is None else float(one.logprob) for one in told),
            tuple(one is not None and one.rank == 1 for one in told),
        )

    async def _run(self, prompt: Any, wanted: Any) -> AsyncIterator[Any]:
        try:
            async for part in self._engine.generate(prompt, wanted, request_id=str(next(self._numbers))):
                yield part
        except ValueError as error:  # usually a prompt beyond the context length
            raise _refused(" ".join(str(error).split())[:300]) from error

    async def _prompt(self, request: Request) -> dict[str, Any]:
        if request.tokens is not None and request.messages is None and request.text is None:
            return {"prompt_token_ids": list(request.tokens)}
        if request.messages is None:
            return {"prompt": request.text or ""}
        turns = [_turn(message) for message in request.messages]
        words = await self._words()
        if not getattr(words, "chat_template", None):
            raise UsageError(
                "the tokenizer has no chat template; for a base model use vllm_offline_base_model"
            )
        more = dict(request.params.get("chat_template_kwargs") or {})
        text = words.apply_chat_template(turns, tokenize=False, **{"add_generation_prompt": True, **more})
        ids = words(text, add_special_tokens=False)["input_ids"]
        return {"prompt_token_ids": list(ids)} if not request.continuations else {"prompt": text}

    async def identity(self) -> dict[str, Any]:
        """Return what distinguishes the model from others of the same name, as far as vLLM reports it."""
        import hashlib

        import vllm

        config = getattr(getattr(self._engine, "model_config", None), "hf_config", None)
        template = getattr(await self._words(), "chat_template", None)
        found = {
            "server": "vllm",
            "server_version": vllm.__version__,
            "revision": getattr(config, "_commit_hash", None),
            "chat_template_sha256": hashlib.sha256(template.encode()).hexdigest()
            if isinstance(template, str)
            else None,
        }
        return {key: value for key, value in found.items() if value}

    async def _words(self) -> Any:
        if self._tokenizer is None:
            import inspect

            got = self._engine.get_tokenizer()
            self._tokenizer = await got if inspect.isawaitable(got) else got
        return self._tokenizer


def pin(worker: int, workers: int, each: int) -> Mapping[str, str]:
    """Return the environment that gives a worker its own devices.

    Raises:
        UsageError: the machine has fewer devices than the workers need.
    """
    try:
        import torch
    except ImportError as error:
        raise PluginError("vLLM needs torch, which is not installed: pip install vllm") from error
    there = torch.cuda.device_count()
    if not there:
        if each > 1:
            raise UsageError(f"run_cfg.num_gpus = {each}, and this machine has no GPU")
        return {}
    if each * workers > there:
        raise UsageError(
            f"{workers} workers with {each} devices each need {each * workers}, and there are {there}: "
            f"--max-num-workers {max(1, there // each)}"
        )
    return {"CUDA_VISIBLE_DEVICES": ",".join(map(str, range(worker * each, (worker + 1) * each)))}


def _turn(message: Message) -> dict[str, Any]:
    """Return a message in the form of chat templates: the arguments of its calls are objects."""
    turn: dict[str, Any] = {"role": message.role, "content": _text(message.content)}
    if message.tool_calls:
        turn["tool_calls"] = [
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": json.loads(call["arguments"])},
            }
            for call in message.tool_calls
        ]
    return turn | ({"tool_call_id": message.tool_call_id} if message.tool_call_id else {})


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "\n".join(part.value for part in content)


def _refused(words: str) -> AttemptFailed:
    return AttemptFailed(Failure("refused", words))
