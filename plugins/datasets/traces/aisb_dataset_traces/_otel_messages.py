"""Read the messages of spans: texts, calls of tools and their results, and images, audio and video."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from aisb import Message, Part

KINDS = ("image", "audio", "video")
_MARKS = (
    (0, b"\x89PNG", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
)
"""The media types of content that spans may send without a type."""


class LeftOut:
    """The parts of messages that are not sent, by reason. A part that several prompts have counts once."""

    def __init__(self) -> None:
        self._parts: dict[str, set[tuple[int | str, str]]] = {}

    def add(self, reason: str, position: int | str, part: Mapping[str, Any]) -> None:
        """Add a part of the message at a position of the prompt."""
        text = json.dumps(part, sort_keys=True, default=str)
        self._parts.setdefault(reason, set()).add((position, text))

    def counts(self) -> dict[str, int]:
        """Return the number of parts for each reason."""
        return {reason: len(parts) for reason, parts in self._parts.items()}


class MessageReader:
    """Reads the messages of one span. `error` makes an exception that names the span."""

    def __init__(self, error: Callable[[str], Exception], left_out: LeftOut) -> None:
        self._error = error
        self._left_out = left_out

    def messages(self, one: Any, position: int) -> Iterator[Message]:
        """Yield the messages of an entry of gen_ai.input.messages: each result of a tool is its own."""
        parts = one.get("parts") if isinstance(one, Mapping) else None
        if not isinstance(parts, list) or not all(isinstance(part, Mapping) for part in parts):
            raise self._error(f"a message has a role and a list of parts, and this one is {str(one)[:60]}")
        role = one.get("role")
        if role not in ("system", "user", "assistant", "tool"):
            raise self._error(f"the role of a message is {role!r}")
        for part in parts:
            if part.get("type") == "tool_call_response":
                response = part.get("response", part.get("result", ""))
                text = response if isinstance(response, str) else json.dumps(response, ensure_ascii=False)
                yield Message("tool", text, (), str(part.get("id") or "") or None)
        calls = tuple(_call(part) for part in parts if part.get("type") == "tool_call")
        content = self.content(parts, position)
        if content or calls or not any(part.get("type") == "tool_call_response" for part in parts):
            yield Message(role, content, calls)

    def content(self, parts: Sequence[Any], position: int | str) -> str | tuple[Part, ...]:
        """Return the content of a message: a text, or parts in their order if it has images or sounds."""
        made: list[Part] = []
        for one in parts:
            if not isinstance(one, Mapping) or one.get("type") in {"tool_call", "tool_call_response"}:
                continue
            found = self._part(one)
            if isinstance(found, str):
                self._left_out.add(found, position, one)
            elif found.kind == "text" and made and made[-1].kind == "text":
                made[-1] = Part("text", f"{made[-1].value}\n{found.value}")
            else:
                made.append(found)
        if all(part.kind == "text" for part in made):
            return made[0].value if made else ""
        return tuple(part for part in made if part.kind != "text" or part.value)

    def _part(self, one: Mapping[str, Any]) -> Part | str:
        """Return a part, or the reason why it cannot be sent."""
        kind = one.get("type")
        if kind == "text":
            return Part("text", self._text(one.get("content")))
        if kind not in ("blob", "uri", "file"):
            return "reasoning" if kind == "reasoning" else f"parts of the type {kind!r}"
        mime = str(one.get("mime_type") or "").lower()
        modality = str(one.get("modality") or mime.partition("/")[0]).lower()
        if modality not in KINDS:
            return f"content of the kind {modality or 'unknown'!r}"
        if kind == "file":
            return f"{modality} files at the provider, of which the trace has the id only"
        if kind == "uri":
            return _from_uri(one, modality)
        return self._from_blob(one, modality, mime)

    def _from_blob(self, one: Mapping[str, Any], modality: str, mime: str) -> Part | str:
        given = one.get("content")
        if not given:
            return f"{modality} content whose bytes are not in the trace"
        try:
            content = base64.b64decode("".join(given.split()), validate=True)
        except (AttributeError, ValueError):
            raise self._error(f"the content of a blob is not base64: {str(given)[:60]!r}") from None
        marked = (kind for at, mark, kind in _MARKS if content.startswith(mark, at))
        found = next((kind for kind in marked if kind.startswith(modality)), mime)
        if not found.startswith(f"{modality}/"):
            return f"{modality} content without a mime_type"
        return Part(cast("Any", modality), f"data:{found};base64,{base64.b64encode(content).decode()}")

    def _text(self, text: Any) -> str:
        if not isinstance(text, str):
            raise self._error("the content of a text part is not a text")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise self._error("a text has half of a surrogate pair, which is not a character") from None
        return text


def _from_uri(one: Mapping[str, Any], modality: str) -> Part | str:
    uri = str(one.get("uri") or "")
    scheme, colon, _ = uri.partition(":")
    if scheme.lower() in {"http", "https", "data"} and colon:
        return Part(cast("Any", modality), uri)
    if not colon:
        return f"{modality} parts without an address"
    return f"{modality} addresses that begin with {scheme}:, which a service cannot open"


def _call(part: Mapping[str, Any]) -> dict[str, str]:
    given = part.get("arguments")
    arguments = given if isinstance(given, str) else json.dumps(given or {}, ensure_ascii=False)
    return {"id": str(part.get("id") or ""), "name": str(part.get("name") or ""), "arguments": arguments}
