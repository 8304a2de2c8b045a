"""The chat API, `/v1/chat/completions`: messages in, content, reasoning and tool calls out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from aisb import AttemptFailed, Chunk, Message, Part, Request, UsageError
from aisb_backend_openai._service import (
    FINISH_REASONS,
    OpenAIService,
    count_tokens,
    failure_in,
    kind_of,
    usage_in,
)

_AUDIO_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav"}


@dataclass(kw_only=True, eq=False)
class OpenAIChat(OpenAIService):
    """OpenAI's chat API, and all services that are compatible with it."""

    endpoint: ClassVar[str] = "/chat/completions"
    local_media: Annotated[
        Literal["content", "path"],
        "how to send local media files: their content, or their file:// URL, which the service opens",
    ] = "content"

    copies_text: ClassVar[bool] = True

    def prompt(self, request: Request) -> dict[str, Any]:
        """Return the messages; a text is one user message."""
        if request.messages is not None:
            return {"messages": [self.encode_message(message) for message in request.messages]}
        if request.text is None:
            raise UsageError(
                "a chat API accepts no token ids, because it applies a template to messages; "
                "use a completions backend for them"
            )
        return {"messages": [{"role": "user", "content": request.text}]}

    def encode_message(self, message: Message) -> dict[str, Any]:
        """Return one turn in the form of the API, with its tool calls or the id of the call it answers."""
        content: Any = message.content
        if not isinstance(content, str):
            content = [self.encode_part(part) for part in content]
        body: dict[str, Any] = {"role": message.role, "content": content}
        if message.tool_calls:
            body["tool_calls"] = [
                {
                    "id": call["id"],
                    "type": "function",
                    "function": {"name": call["name"], "arguments": call["arguments"]},
                }
                for call in message.tool_calls
            ]
        if message.tool_call_id is not None:
            body["tool_call_id"] = message.tool_call_id
        return body

    def encode_part(self, part: Part) -> dict[str, Any]:
        """Return one part of a message in the form of the API, with the content of a local file."""
        if part.value.startswith("file:") and part.kind != "text" and self.local_media == "content":
            from aisb.helpers import data_url

            part = Part(part.kind, data_url(part))
        return encode_part(part)

    def decode(self, event: Mapping[str, Any]) -> Chunk | None:
        """Translate one streamed event or one whole reply.

        An event with a choice but without a token becomes a chunk of kind `role`: the first event, which has
        the role, or an empty one.
        """
        choices = event.get("choices")
        if not choices:
            return self.decode_without_choices(event)
        choice = choices[0]
        delta = choice.get("delta")
        if delta is None:
            delta = choice.get("message") or {}
        text = delta.get("content") or ""
        reasoning = delta.get("reasoning_content") or delta.get("reasoning") or ""
        finish = choice.get("finish_reason")
        usage = usage_in(event) if "usage" in event or "timings" in event or "x_groq" in event else None
        calls = delta.get("tool_calls")
        if not calls and (call := delta.get("function_call")):
            calls = [{"function": call}]  # the form before `tool_calls`, which some gateways still send
        refusal = delta.get("refusal")
        count = count_tokens(event, choice)
        if text.__class__ is not str:
            text, thought = join_text_parts(text)
            reasoning = reasoning or thought
        if refusal:
            # The API reports the finish reason "stop" for a refusal, as for an answer.
            text, finish = text + refusal, "content_filter"
        if not (calls or finish or usage):
            if text:
                return Chunk("content", text, reasoning, count)
            return Chunk("reasoning", "", reasoning, count) if reasoning else Chunk("role", "", "", count)
        if failure := failure_in(event):
            raise AttemptFailed(failure)
        return Chunk(
            kind_of(text, calls, reasoning, finish, delta.get("role")),
            text,
            reasoning,
            count,
            FINISH_REASONS.get(finish, finish) if finish else None,
            usage,
            read_tool_calls(calls) if calls else (),
        )


def encode_part(part: Part) -> dict[str, Any]:
    """Return one part of a message in the form of the API; vLLM added `audio_url` and `video_url`."""
    if part.kind == "text":
        return {"type": "text", "text": part.value}
    if part.kind == "audio" and part.value.startswith("data:"):
        header, _, data = part.value.partition(",")
        subtype = header.removeprefix("data:").partition(";")[0].partition("/")[2].lower()
        if header.endswith(";base64"):
            form = _AUDIO_FORMATS.get(subtype, subtype)
            return {"type": "input_audio", "input_audio": {"data": data, "format": form}}
    name = f"{part.kind}_url"
    return {"type": name, name: {"url": part.value}}


def read_tool_calls(calls: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """Translate tool calls or deltas of them; keys without a value are omitted."""
    translated = []
    for position, call in enumerate(calls):
        function = call.get("function") or {}
        values = {
            "id": call.get("id"),
            "name": function.get("name"),
            "arguments": function.get("arguments"),
        }
        if isinstance(values["arguments"], Mapping):
            import json

            values["arguments"] = json.dumps(values["arguments"], ensure_ascii=False)
        index = call.get("index")
        translated.append(
            {
                "index": position if index is None else index,
                **{key: value for key, value in values.items() if value is not None},
            }
        )
    return tuple(translated)


def join_text_parts(parts: Any) -> tuple[str, str]:
    """Return the text and the reasoning of a list of parts, as Mistral's reasoning models send them."""
    if isinstance(parts, Mapping):
        parts = [parts]
    text, thought = [], []
    for part in parts:
        if part.get("type") == "thinking":
            inner = part.get("thinking")
            thought.append(inner if isinstance(inner, str) else join_text_parts(inner or [])[0])
        else:
            text.append(part.get("text") or "")
    return "".join(text), "".join(thought)
