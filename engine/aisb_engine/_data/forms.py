"""Convert a request to the form that an endpoint takes: messages, or one text."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from aisb._errors import ConfigError
from aisb._types import Message, Request

NO_TOKENS = (
    "a task of token ids needs a text (completions) endpoint, without a system text; or a dataset that gives "
    "their text as well, as those of made prompts do with dataset.tokenizer = FOLDER"
)


def convert_prompt(request: Request, wants: Literal["chat", "text"], system: str | None = None) -> Request:
    """Convert a request to the form that an endpoint needs, and put the model's system text first.

    A text becomes one user message. For an endpoint without a chat template, messages become their contents
    joined by line ends. Token ids are passed to a text endpoint unchanged.

    Raises:
        ConfigError: the endpoint cannot take the content of the request.
    """
    if request.tokens is not None and request.messages is None and request.text is None:
        if wants == "chat" or system:
            raise ConfigError("", NO_TOKENS)
        return request
    if wants == "chat":
        messages = request.messages
        if messages is None:
            messages = (Message("user", request.text or ""),)
        if system:
            messages = _with_system(messages, system)
        if messages is request.messages and request.text is None:
            return request
        return replace(request, messages=messages, text=None)
    if request.params.get("tools"):
        raise ConfigError("", "the task has tools, which a text (completions) endpoint cannot be sent")
    text = request.text
    if text is None:
        text = "\n".join(_plain(message) for message in request.messages or ())
    return replace(request, text=f"{system}\n\n{text}" if system else text, messages=None)


def _with_system(messages: tuple[Message, ...], system: str) -> tuple[Message, ...]:
    if messages and messages[0].role == "system":
        return (Message("system", f"{system}\n\n{_plain(messages[0])}"), *messages[1:])
    return (Message("system", system), *messages)


def _plain(message: Message) -> str:
    if isinstance(message.content, str):
        return message.content
    for part in message.content:
        if part.kind != "text":
            raise ConfigError(
                "", f"the task has {part.kind} parts, which a text (completions) endpoint cannot be sent"
            )
    return "\n".join(part.value for part in message.content)
