"""vLLM and similar servers: OpenAI's APIs with vLLM's additions, and `/generate` of its first server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources.abc import Traversable
from typing import Annotated, Any, ClassVar, Literal

from aisb import (
    Backend,
    HttpCall,
    Message,
    Prediction,
    Request,
    ServiceInfo,
    TokenScores,
    UsageError,
    hookimpl,
)
from aisb_backend_openai import OpenAIChat, OpenAICompletions
from aisb_backend_vllm import _server as server
from aisb_backend_vllm._generate import VLLMGenerate

__all__ = ["VLLMChat", "VLLMCompletions", "VLLMGenerate"]


@dataclass(kw_only=True, eq=False)
class VLLMChat(OpenAIChat):
    """The chat API of vLLM, SGLang, LMDeploy and the like, with the server's version and counters.

    Sampling parameters beyond OpenAI's (`ignore_eos`, `top_k`, `min_p`, `repetition_penalty`,
    `chat_template_kwargs` …) are written under `[params]` like all others.
    """

    returns_tool_calls: Annotated[
        bool, "the service extracts tool calls; false: aisb extracts them from the text"
    ] = True

    default_api_key_env: ClassVar[str | None] = None
    tries_all_endpoints: ClassVar[bool] = True

    def finalize(self, prediction: Prediction, request: Request) -> Prediction:
        """Extract tool calls from the text if the service left them there."""
        if self.returns_tool_calls or not request.params.get("tools") or prediction.tool_calls:
            return prediction
        from aisb_backend_vllm._toolcalls import find_tool_calls

        calls, text = find_tool_calls(prediction.text)
        return replace(prediction, tool_calls=calls, text=text) if calls else prediction

    async def probe(self) -> ServiceInfo:
        """Determine the model like every OpenAI service, and read the server's version."""
        return await server.with_version(self, await super().probe())

    async def counters(self) -> Mapping[str, float]:
        """Return the counters under `/metrics`."""
        return await server.counters(self)

    def encode_logprob(self, prompt: str | Sequence[Message]) -> HttpCall:
        """Request each token's log-probability; an assistant's turn is not closed."""
        messages = (Message("user", prompt),) if isinstance(prompt, str) else tuple(prompt)
        body: dict[str, Any] = {"model": self.model, **self.prompt(Request("", messages=messages))}
        body |= {"prompt_logprobs": 1, "max_tokens": 1, "temperature": 0, "stream": False}
        if messages[-1].role == "assistant":
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        return HttpCall(self.path or self.api_path(self.endpoint), body)

    def decode_logprob(self, event: Mapping[str, Any]) -> TokenScores:
        """Read vLLM's `prompt_logprobs`."""
        from aisb_backend_vllm._logprobs import read_logprobs

        return read_logprobs(event)


@dataclass(kw_only=True, eq=False)
class VLLMCompletions(OpenAICompletions):
    """The completions API of vLLM, SGLang, LMDeploy and the like, with the server's version and counters.

    Sampling parameters beyond OpenAI's (`ignore_eos`, `top_k`, `min_p`, `repetition_penalty` …) are written
    under `[params]` like all others.
    """

    prompt_scores: Annotated[
        Literal["prompt_logprobs", "echo"],
        "how to request log-probabilities of a prompt: vLLM's parameter, or OpenAI's early echo",
    ] = "prompt_logprobs"

    default_api_key_env: ClassVar[str | None] = None
    tries_all_endpoints: ClassVar[bool] = True

    async def probe(self) -> ServiceInfo:
        """Determine the model like every OpenAI service, and read the server's version."""
        return await server.with_version(self, await super().probe())

    async def counters(self) -> Mapping[str, float]:
        """Return the counters under `/metrics`."""
        return await server.counters(self)

    def encode_logprob(self, prompt: str | Sequence[Message]) -> HttpCall:
        """Request the log-probability of each token and of the most likely token at its position."""
        if not isinstance(prompt, str):
            raise UsageError("a completions API returns the log-probabilities of a text, not of messages")
        body: dict[str, Any] = {"model": self.model, "prompt": prompt, "temperature": 0, "stream": False}
        if self.prompt_scores == "echo":
            body |= {"echo": True, "logprobs": 1, "max_tokens": 0}
        else:
            body |= {"prompt_logprobs": 1, "max_tokens": 1}  # servers reject 0 without echo
        return HttpCall(self.path or self.api_path(self.endpoint), body)

    def decode_logprob(self, event: Mapping[str, Any]) -> TokenScores:
        """Read either form of log-probabilities."""
        from aisb_backend_vllm._logprobs import read_logprobs

        return read_logprobs(event)


@hookimpl
def aisb_backends() -> Mapping[str, Callable[..., Backend]]:
    """Declare all three APIs."""
    return {"vllm-chat": VLLMChat, "vllm-completions": VLLMCompletions, "vllm-generate": VLLMGenerate}


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Declare the folder of the model files, `vllm_api_general` and others."""
    from importlib.resources import files

    return [files("aisb_backend_vllm")]
