"""vLLM within the process: `vllm-offline` answers messages, `vllm-offline-base` continues texts."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from aisb import Backend, BatchSize, Chunk, Request, ServiceInfo, TokenScores, UsageError, hookimpl

if TYPE_CHECKING:
    from aisb_backend_vllm_offline._engine import OfflineEngine

__all__ = ["VLLMOffline", "VLLMOfflineBase"]

_LOADING = threading.Lock()

PARAMS = frozenset(
    (
        # The fields of vLLM's SamplingParams that JSON can hold, of versions from 0.10 on:
        # https://docs.vllm.ai/en/latest/api/vllm/sampling_params.html
        *("max_tokens", "min_tokens", "ignore_eos", "stop", "stop_token_ids", "include_stop_str_in_output"),
        *("temperature", "top_p", "top_k", "min_p", "seed", "bad_words", "logit_bias", "allowed_token_ids"),
        *("presence_penalty", "frequency_penalty", "repetition_penalty", "logprobs", "prompt_logprobs"),
        *("detokenize", "skip_special_tokens", "spaces_between_special_tokens", "truncate_prompt_tokens"),
        *("guided_decoding", "structured_outputs", "extra_args"),
        # Their names in other APIs, and the parameters of the chat template.
        *("max_completion_tokens", "max_new_tokens", "do_sample", "num_beams", "chat_template_kwargs"),
    )
)
"""The generation parameters that reach vLLM."""


@dataclass(kw_only=True, eq=False)
class VLLMOffline(Backend):
    """A local chat model with vLLM within the process, with its chat template."""

    path: Annotated[str, "the model's folder"] = ""
    dtype: Annotated[str, "data type of the weights; auto: as saved"] = "auto"
    batch_size: Annotated[int, "number of concurrent requests; vLLM forms its own batches", BatchSize] = 256
    max_seq_len: Annotated[int | None, "context length in tokens; default: the model's own"] = None
    model_kwargs: Annotated[Mapping[str, Any], "further arguments of vLLM's engine (AsyncEngineArgs)"] = (
        field(default_factory=dict)
    )
    run_cfg: Annotated[Mapping[str, int], "num_gpus: number of devices of the model"] = field(
        default_factory=dict
    )
    trust_remote_code: Annotated[bool, "run the code in the model's folder"] = False
    allow_download: Annotated[bool, "use the path as a name at Hugging Face"] = False

    local: ClassVar[bool] = True
    params: ClassVar[frozenset[str] | Literal["any"]] = PARAMS
    _engine: OfflineEngine | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.path:
            raise UsageError("path is not set: set the model's folder, as in --set model.path=FOLDER")

    @property
    def model(self) -> str:
        """The identity of the model: a resumed run must use the same one."""
        return self.path

    @property
    def concurrency(self) -> int:  # type: ignore[override]
        """The number of concurrent requests."""
        return self.batch_size

    def check_params(self, params: Mapping[str, Any]) -> None:
        """Refuse beam search, which vLLM does not stream.

        Raises:
            UsageError: `num_beams` is above 1.
        """
        if params.get("num_beams") not in (None, 1):
            raise UsageError(
                f"params.num_beams = {params['num_beams']!r}: beam search is not supported; omit it"
            )

    def pin(self, worker: int, workers: int) -> Mapping[str, str]:
        """Return the environment variables that give one of several workers its devices."""
        from aisb_backend_vllm_offline._engine import pin

        return pin(worker, workers, int(self.run_cfg.get("num_gpus", 1)))

    async def probe(self) -> ServiceInfo:
        """Load the model unless it is loaded, and describe it."""
        engine = await self._ready()
        return ServiceInfo(models=(self.path,), notes=(engine.line,), detail=engine.line)

    async def generate(self, request: Request) -> AsyncIterator[Chunk]:
        """Answer one request, token by token."""
        engine = await self._ready()
        async for chunk in engine.ask(request, clock=self.clock):
            yield chunk

    async def logprob(self, request: Request) -> Sequence[TokenScores]:
        """Score the request's context alone, then with each of its continuations."""
        return await (await self._ready()).score(request)

    async def identity(self) -> Mapping[str, Any]:
        """Return vLLM's version, the revision of the weights and the hash of the chat template."""
        return await self._engine.identity() if self._engine else {}

    def live(self) -> str:
        """Return a line about the current work."""
        return self._engine.live() if self._engine else ""

    async def aclose(self) -> None:
        """Stop vLLM's process."""
        if self._engine:
            self._engine.close()

    async def _ready(self) -> OfflineEngine:
        import asyncio

        if self._engine is None:
            from aisb_backend_vllm_offline._engine import OfflineEngine

            with _LOADING:
                self._engine = self._engine or OfflineEngine(self)
            await asyncio.sleep(0)
        return self._engine


@dataclass(kw_only=True, eq=False)
class VLLMOfflineBase(VLLMOffline):
    """A local base model with vLLM within the process, which continues texts."""

    prompt_form: ClassVar[Literal["chat", "text"]] = "text"


@hookimpl
def aisb_backends() -> Mapping[str, Callable[..., Backend]]:
    """Declare both backends."""
    return {"vllm-offline": VLLMOffline, "vllm-offline-base": VLLMOfflineBase}


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Declare the folder of the model files."""
    from importlib.resources import files

    return [files("aisb_backend_vllm_offline")]
