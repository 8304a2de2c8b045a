"""Determine what each backend can do, from its class and from requests that it encodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from aisb import HttpBackend, Request
    from aisb_engine import Component

COLUMNS: Mapping[str, str] = {
    "backend": "name of the backend",
    "prompts": "chat: messages; text: one text, into which a run converts the messages of a task",
    "replies": "streamed, whole, or both by the option `stream`; local: the model runs in this process",
    "log-probs": "scores given texts, for tasks that compare the likelihood of options",
    "images": "sends images, and other media, of a message",
    "tools": "sends descriptions of tools to call",
    "token ids": "sends prompts that are token ids",
    "counters": "reads the server's counters, such as hits of the prefix cache",
}
"""The columns of the table, and what each means."""


class BackendAbilities(NamedTuple):
    """The abilities of one backend with its default options. None: it shows only once a model is loaded.

    `replies` is "streamed", "whole", or "both" if the option `stream` chooses; "local" if the model runs in
    this process. `parameters` names the generation parameters that it sends, or is "any".
    """

    name: str
    prompts: str
    replies: str | None
    log_probabilities: bool | None
    images: bool | None
    tools: bool | None
    token_ids: bool | None
    parameters: Sequence[str] | str
    counters: bool


def all_abilities(components: Iterable[Component]) -> list[BackendAbilities]:
    """Return the abilities of every backend of a plugin for which they can be determined, by name."""
    plugged = [one for one in components if one.kind == "backend" and one.plugin != "builtin"]
    found = [backend_abilities(one) for one in sorted(plugged, key=lambda one: one.name)]
    return [one for one in found if one]


def backend_abilities(component: Component) -> BackendAbilities | None:
    """Return the abilities of a backend; None if its factory is not a class and has required options."""
    from aisb import AisbError, Backend, HttpBackend

    try:
        backend = component.factory()
    except (AisbError, TypeError):
        backend = None
    source: Any = type(backend) if backend is not None else component.factory
    if not (isinstance(source, type) and issubclass(source, Backend)):
        return None
    over_http = backend if isinstance(backend, HttpBackend) else None
    params = source.params
    return BackendAbilities(
        name=component.name,
        prompts=source.prompt_form,
        replies=_replies(over_http) if over_http else "local" if source.local else None,
        log_probabilities=source.logprob is not Backend.logprob if over_http is None else _scores(over_http),
        images=None if over_http is None else _sends(over_http, *_with_image()),
        tools=_sends(over_http, *_with_tools()) if over_http else params == "any" or "tools" in params,
        token_ids=None if over_http is None else _sends(over_http, *_of_tokens()),
        parameters="any" if params == "any" else sorted(params),
        counters=source.counters is not Backend.counters,
    )


def table(found: Sequence[BackendAbilities]) -> list[list[str]]:
    """Return a row of words for each backend, in the order of COLUMNS."""
    return [
        [
            one.name,
            one.prompts,
            one.replies or "–",
            *map(_word, (one.log_probabilities, one.images, one.tools, one.token_ids, one.counters)),
        ]
        for one in found
    ]


def _word(able: bool | None) -> str:
    return "–" if able is None else "yes" if able else "no"


def _replies(backend: HttpBackend) -> str:
    from aisb_engine import factory_options

    if any(option.name == "stream" for option in factory_options(type(backend))):
        return "both"
    return "streamed" if getattr(backend, "stream", False) else "whole"


def _scores(backend: HttpBackend) -> bool:
    from aisb import Message

    prompt: Any = "text" if backend.prompt_form == "text" else (Message("user", "text"),)
    return _works(lambda: backend.encode_logprob(prompt))


def _with_image() -> tuple[Request, str]:
    from aisb import Message, Part, Request

    image = "data:image/png;base64,iVBORw0KGgo="
    return Request("0", messages=(Message("user", (Part("text", "text"), Part("image", image))),)), image


def _with_tools() -> tuple[Request, str]:
    from aisb import Message, Request

    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
    return Request("0", messages=(Message("user", "text"),), params={"tools": [tool]}), "look_up"


def _of_tokens() -> tuple[Request, str]:
    from aisb import Request

    return Request("0", tokens=(918273,)), "918273"


def _sends(backend: HttpBackend, request: Request, content: str) -> bool:
    """Return whether the encoded request has the content: a backend may refuse it, or leave it out."""
    if request.messages is not None and backend.prompt_form == "text":
        return False
    return _works(lambda: content in str(backend.encode(request).body) or None)


def _works(attempt: Callable[[], object]) -> bool:
    """Return whether a translation succeeds and returns a value; backends raise various errors otherwise."""
    try:
        return attempt() is not None
    except Exception:  # noqa: BLE001 - a plugin may raise anything for a request that it does not support
        return False
