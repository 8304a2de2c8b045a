"""Local models with Hugging Face Transformers: `hf-base` goes on with texts, `hf-chat` answers messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.resources.abc import Traversable

from aisb import Backend, hookimpl
from aisb_backend_hf._backend import HFBase, HFChat

__all__ = ["HFBase", "HFChat"]


@hookimpl
def aisb_backends() -> Mapping[str, Callable[..., Backend]]:
    """Offer both ways to ask a model."""
    return {"hf-base": HFBase, "hf-chat": HFChat}


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Offer the model files `hf_base_model` and `hf_chat_model`."""
    from importlib.resources import files

    return [files("aisb_backend_hf")]
