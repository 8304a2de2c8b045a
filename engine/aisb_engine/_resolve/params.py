"""Generation parameters: which ones no service honours as they read, and what other APIs call them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aisb._errors import UsageError

WARPERS = ("top_p", "top_k", "typical_p", "min_p")
"""What narrows a choice at random, and means nothing where none is made."""


def refuse_unfit(params: Mapping[str, Any]) -> None:
    """Refuse parameters that would not mean what they say, whatever the service.

    Raises:
        UsageError: names the parameter, the reason, and what to write instead.
    """
    for name in ("n", "best_of"):
        if params.get(name) not in (None, 1):
            raise UsageError(
                f"params.{name} = {params[name]!r}: several answers in one reply cannot be timed or "
                f"resumed; write num_return_sequences = {params[name]!r}, which sends a request for each"
            )
    if "stream" in params:
        raise UsageError(
            "params.stream: whether replies are streamed is an option of the model, not a parameter; "
            "write stream = true or false under [options]"
        )


def hugging_face_names(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as Text Generation Inference names them, and MindIE after it.

    Both refuse a temperature of 0 and a top_p of 1, which their defaults mean, and a top_k of 0 or -1; and
    both sample as soon as one of these is set. So greedy decoding is asked for by `do_sample` alone.
    """
    given = {name: value for name, value in params.items() if value is not None}
    for name in ("n", "best_of", "num_return_sequences"):
        given.pop(name, None)
    for name in ("max_tokens", "max_completion_tokens"):
        if name in given:
            given.setdefault("max_new_tokens", given.pop(name))
    if isinstance(given.get("stop"), str):
        given["stop"] = [given["stop"]]
    if given.get("temperature") == 0:
        del given["temperature"]
        given["do_sample"] = False
        for name in WARPERS:
            given.pop(name, None)
    elif "temperature" in given:
        given.setdefault("do_sample", True)
    if given.get("top_p") == 1:
        del given["top_p"]
    if given.get("top_k") in (0, -1):
        del given["top_k"]
    return given
