"""Parrots: one sends no generation parameter, one sends two, one all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, ClassVar, Literal

from aisb import Backend, Chunk, HttpBackend, HttpCall, Request, hookimpl


class Parrot(HttpBackend):
    """Sends no generation parameter."""

    prompt_form: ClassVar[Literal["chat", "text"]] = "text"

    def encode(self, request: Request) -> HttpCall:
        """Send the text, and whatever parameters there are: a test sees them."""
        return HttpCall("/say", {"prompt": request.text, "params": dict(request.params)})

    def decode(self, event: Mapping[str, Any]) -> Chunk:
        """Read the whole reply."""
        return Chunk("content", event["say"], finish_reason="stop")


class TunedParrot(Parrot):
    """Sends two generation parameters."""

    params: ClassVar[frozenset[str] | Literal["any"]] = frozenset({"max_tokens", "temperature"})


class OpenParrot(Parrot):
    """Sends all generation parameters."""

    params: ClassVar[frozenset[str] | Literal["any"]] = "any"


@hookimpl
def aisb_backends() -> Mapping[str, Callable[..., Backend]]:
    """Offer all three."""
    return {"parrot": Parrot, "tuned-parrot": TunedParrot, "open-parrot": OpenParrot}


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Offer the tasks and the model."""
    return [files("aisb_test_sends")]
