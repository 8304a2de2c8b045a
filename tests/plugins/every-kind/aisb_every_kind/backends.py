"""A model that can add, and a chat service behind HTTP."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from aisb import Backend, Chunk, HttpBackend, HttpCall, ServedModel, ServiceInfo, Usage


@dataclass(kw_only=True, eq=False)
class Adder(Backend):
    """Add two numbers, without any service."""

    off_by: Annotated[int, "how far each sum is off"] = 0

    prompt_form: ClassVar = "text"
    params: ClassVar = frozenset({"max_tokens"})

    async def probe(self):
        return ServiceInfo(detail="adds")

    async def generate(self, request):
        first, second = re.findall(r"\d+", request.text)[-2:]
        yield Chunk("content", f"That makes {int(first) + int(second) + self.off_by}", tokens=3)
        yield Chunk("finish", finish_reason="stop", usage=Usage(4, 3))


@dataclass(kw_only=True, eq=False)
class PlainChat(ServedModel, HttpBackend):
    """A chat API that takes messages and two parameters."""

    stream: Annotated[bool, "receive the reply in pieces"] = True

    params: ClassVar = frozenset({"max_tokens", "temperature", "stop"})

    def encode(self, request):
        turns = [{"role": turn.role, "content": turn.content} for turn in request.messages]
        body = {"model": self.model or "any", "messages": turns, "stream": self.stream, **request.params}
        return HttpCall("/v1/chat/completions", body)

    def decode(self, event: Mapping[str, Any]):
        usage = event.get("usage") or {}
        count = Usage(usage.get("prompt_tokens"), usage.get("completion_tokens")) if usage else None
        for choice in event.get("choices") or ():
            part = choice.get("delta") or choice.get("message") or {}
            text, thought = (
                part.get("content") or "",
                part.get("reasoning_content") or part.get("reasoning") or "",
            )
            calls = tuple(
                {"index": call["index"], "id": call.get("id"), **call.get("function", {})}
                for call in part.get("tool_calls") or ()
            )
            kind = "content" if text else "tool" if calls else "reasoning" if thought else "role"
            end = choice.get("finish_reason")
            tokens = len(choice["token_ids"]) if choice.get("token_ids") else None
            return Chunk(
                kind if kind != "role" or not end else "finish", text, thought, tokens, end, count, calls
            )
        return Chunk("usage", usage=count) if count else None
