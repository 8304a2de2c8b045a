"""The completions API, `/v1/completions`: a text or token ids in, the text that follows out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from aisb import AttemptFailed, Chunk, Message, Request, UsageError
from aisb_backend_openai._service import (
    FINISH_REASONS,
    OpenAIService,
    count_tokens,
    failure_in,
    kind_of,
    usage_in,
)


@dataclass(kw_only=True, eq=False)
class OpenAICompletions(OpenAIService):
    """OpenAI's completions API, and all services that are compatible with it."""

    copies_text: ClassVar[bool] = True
    prompt_form: ClassVar[Literal["chat", "text"]] = "text"
    endpoint: ClassVar[str] = "/completions"

    def __post_init__(self) -> None:
        self.url = self.url.rstrip("/").removesuffix("/chat/completions")
        super().__post_init__()

    def prompt(self, request: Request) -> dict[str, Any]:
        """Return the text or the token ids; the contents of messages are joined by newlines."""
        if request.tokens is not None:
            return {"prompt": list(request.tokens)}
        if request.text is not None:
            return {"prompt": request.text}
        return {"prompt": "\n".join(plain_text(message) for message in request.messages or ())}

    def decode(self, event: Mapping[str, Any]) -> Chunk | None:
        """Translate one streamed event or one whole reply; an event with an empty text is of kind `role`."""
        choices = event.get("choices")
        if not choices:
            return self.decode_without_choices(event)
        choice = choices[0]
        text = choice.get("text") or ""
        finish = choice.get("finish_reason")
        usage = usage_in(event)
        count = count_tokens(event, choice)
        if not (finish or usage):
            return Chunk("content", text, "", count) if text else Chunk("role", "", "", count)
        if failure := failure_in(event):
            raise AttemptFailed(failure)
        return Chunk(
            kind_of(text, (), "", finish, None),
            text,
            "",
            count,
            FINISH_REASONS.get(finish, finish) if finish else None,
            usage,
        )


def plain_text(message: Message) -> str:
    """Return a message's text; a completions prompt cannot hold images, audio or video."""
    if isinstance(message.content, str):
        return message.content
    for part in message.content:
        if part.kind != "text":
            raise UsageError(
                f"a completions API accepts only text, and a message has a part of kind {part.kind}; "
                f"use a chat backend"
            )
    return "".join(part.value for part in message.content)
