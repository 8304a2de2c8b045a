"""Local models with Hugging Face Transformers: `hf-base` continues texts, `hf-chat` and `hf-vision` chat."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.resources.abc import Traversable

from aisb import Backend, hookimpl
from aisb_backend_hf._backend import HFBase, HFChat, HFVision

__all__ = ["HFBase", "HFChat", "HFVision"]


@hookimpl
def aisb_backends() -> Mapping[str, Callable[..., Backend]]:
    """Declare the backends."""
    return {"hf-base": HFBase, "hf-chat": HFChat, "hf-vision": HFVision}


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Declare the folder of the model files `hf_base_model`, `hf_chat_model` and `hf_qwenvl_model`."""
    from importlib.resources import files

    return [files("aisb_backend_hf")]
