"""OpenAI-compatible services: `openai-chat` and `openai-completions`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.resources.abc import Traversable

from aisb import Backend, hookimpl
from aisb_backend_openai._chat import OpenAIChat
from aisb_backend_openai._completions import OpenAICompletions
from aisb_backend_openai._service import OpenAIService

__all__ = ["OpenAIChat", "OpenAICompletions", "OpenAIService"]


@hookimpl
def aisb_backends() -> Mapping[str, Callable[..., Backend]]:
    """Declare both APIs."""
    return {"openai-chat": OpenAIChat, "openai-completions": OpenAICompletions}


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Declare the folder of the model file `openai`."""
    from importlib.resources import files

    return [files("aisb_backend_openai")]
