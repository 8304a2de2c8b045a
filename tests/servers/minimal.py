"""The least backend that tests of the core need: an OpenAI-like chat service, streamed or not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import orjson

from aisb import Chunk, HttpCall, LoraAdapters, ServedModel, Usage


@dataclass(kw_only=True, eq=False)
class Chat(ServedModel, LoraAdapters):
    """Chat with text, reasoning, tool calls and usage."""

    copies_text: ClassVar[bool] = True
    params: ClassVar = "any"

    stream: bool = True
    refused: set = field(default_factory=set)

    def encode(self, request) -> HttpCall:
        body = {"model": "m", "messages": [{"role": "user", "content": request.text}], "stream": self.stream}
        if "stream_options" not in self.refused:
            body["stream_options"] = {"include_usage": True}
        return HttpCall("/v1/chat/completions", body | dict(request.params))

    def decode(self, event: Mapping[str, Any]) -> Chunk | None:
        usage = event.get("usage")
        read = usage and Usage(usage["prompt_tokens"], usage["completion_tokens"])
        if not event["choices"]:
            return Chunk("usage", usage=read) if read else None
        choice = event["choices"][0]
        delta = choice.get("delta") or choice.get("message") or {}
        text = delta.get("content") or ""
        reasoning = delta.get("reasoning_content") or delta.get("reasoning") or ""
        calls = tuple(
            {"index": call.get("index"), "id": call.get("id"), **call["function"]}
            for call in delta.get("tool_calls") or ()
        )
        finish = choice.get("finish_reason")
        kind = (
            "content"
            if text
            else "tool"
            if calls
            else "reasoning"
            if reasoning
            else "finish"
            if finish
            else "role"
        )
        ids = choice.get("token_ids")
        return Chunk(kind, text, reasoning, len(ids) if ids else None, finish, read, calls)

    def adapt(self, status, message):
        if "stream_options" in message and "stream_options" not in self.refused:
            self.refused.add("stream_options")
            return "the service does not take stream_options: usage is not asked for any longer"
        return None


def event(content=None, *, finish=None, usage=None, choices=True, **delta):
    """One streamed event as bytes."""
    if content is not None:
        delta["content"] = content
    more = {"token_ids": delta.pop("token_ids")} if "token_ids" in delta else {}
    body = {
        "id": "x",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish, **more}] if choices else [],
    }
    if usage:
        body["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
    return b"data: " + orjson.dumps(body) + b"\n\n"


DONE = b"data: [DONE]\n\n"


def document(content="42", *, finish="stop", usage=(5, 1), **message):
    """One whole reply as bytes."""
    return orjson.dumps(
        {
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": content, **message},
                    "finish_reason": finish,
                }
            ],
            "usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1]},
        }
    )
