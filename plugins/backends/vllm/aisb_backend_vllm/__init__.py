"""vLLM and servers like it: `vllm-chat` and `vllm-completions`, OpenAI's APIs and what vLLM adds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import ClassVar

from aisb import Backend, ServiceInfo, hookimpl
from aisb_backend_openai import OpenAIChat, OpenAICompletions
from aisb_backend_vllm import server

__all__ = ["VLLMChat", "VLLMCompletions"]


@dataclass(kw_only=True, eq=False)
class VLLMChat(OpenAIChat):
    """The chat API of vLLM, SGLang, LMDeploy and the like, with the server's version and counters.

    Sampling parameters beyond OpenAI's (`ignore_eos`, `top_k`, `min_p`, `repetition_penalty`,
    `chat_template_kwargs` …) are written under `[params]` like all others.
    """

    default_api_key_env: ClassVar[str | None] = None

    async def probe(self) -> ServiceInfo:
        """Settle the model as every OpenAI service does, and ask for the server's version."""
        return await server.with_version(self, await super().probe())

    async def counters(self) -> Mapping[str, float]:
        """Return what the server counts under `/metrics`."""
        return await server.counters(self)


@dataclass(kw_only=True, eq=False)
class VLLMCompletions(OpenAICompletions):
    """The completions API of vLLM, SGLang, LMDeploy and the like, with the server's version and counters.

    Sampling parameters beyond OpenAI's (`ignore_eos`, `top_k`, `min_p`, `repetition_penalty` …) are written
    under `[params]` like all others.
    """

    default_api_key_env: ClassVar[str | None] = None

    async def probe(self) -> ServiceInfo:
        """Settle the model as every OpenAI service does, and ask for the server's version."""
        return await server.with_version(self, await super().probe())

    async def counters(self) -> Mapping[str, float]:
        """Return what the server counts under `/metrics`."""
        return await server.counters(self)


@hookimpl
def aisb_backends() -> Mapping[str, Callable[..., Backend]]:
    """Offer both APIs."""
    return {"vllm-chat": VLLMChat, "vllm-completions": VLLMCompletions}


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Offer the model files, `vllm_api_general` and its siblings."""
    from importlib.resources import files

    return [files("aisb_backend_vllm")]
