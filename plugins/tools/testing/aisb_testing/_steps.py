"""The steps of a scripted service: bytes and closes with their times, and replies made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

import orjson

Action = Literal["close", "fin", "reset", "silence"]
"""An action on a connection: close, close in one direction, reset, or send nothing more."""

DONE = b"data: [DONE]\n\n"
"""The last event of OpenAI's streams."""


class Step(NamedTuple):
    """An action and its time, in seconds after the request was read.

    `tokens` is the number of output tokens in the bytes; `whole` marks the step that completes the reply.
    """

    at: float
    what: bytes | Action
    tokens: int = 0
    whole: bool = False


class EventAt(NamedTuple):
    """One event of a stream, as JSON or as bytes, and its time; or an action on the connection."""

    at: float
    what: Mapping[str, Any] | bytes | Action
    tokens: int = 0


def event_stream(
    events: Iterable[EventAt | tuple[Any, ...]],
    *,
    head: bytes | None = None,
    framing: Literal["chunked", "close"] = "chunked",
    ended: bool = True,
) -> list[Step]:
    """Return the steps of a stream of events, each in a chunk of its own.

    `head` is the head of the reply, sent with the first event. With `framing="close"` the reply ends with its
    connection. `ended=False` leaves the end out: the last chunk, or the close.
    """
    is_chunked = framing == "chunked"
    if head is None:
        kind = b"Transfer-Encoding: chunked\r\n" if is_chunked else b""
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n%b\r\n" % kind
    steps: list[Step] = []
    for event in events:
        at, what, tokens = EventAt(*event)
        if isinstance(what, str):
            steps.append(Step(at, what))
            continue
        data = what if isinstance(what, bytes) else sse(what)
        data = chunk(data) if is_chunked else data
        steps.append(Step(at, data if steps else head + data, tokens, whole=what == DONE))
    if ended and steps and isinstance(last := steps[-1].what, bytes):
        steps[-1] = steps[-1]._replace(what=last + LAST_CHUNK if is_chunked else last, whole=True)
        if not is_chunked:
            steps.append(Step(steps[-1].at, "close"))
    return steps


def chat_stream(
    tokens: int = 10,
    *,
    first: float = 0.1,
    gap: float = 0.02,
    finish_reason: str = "stop",
    usage: bool = True,
    prompt_tokens: int = 10,
) -> list[Step]:
    """Return the steps of a chat completion with a token in each event: the first after `first` seconds."""
    times = [first + gap * number for number in range(tokens)]
    end = times[-1] if times else first
    events = [EventAt(at, chat_event(f" t{number}"), 1) for number, at in enumerate(times)]
    events.append(EventAt(end, chat_event(finish_reason=finish_reason)))
    if usage:
        events.append(EventAt(end, {"choices": [], "usage": usage_of(tokens, prompt_tokens)}))
    return event_stream([*events, EventAt(end, DONE)])


def chat_event(
    content: str | None = None, *, finish_reason: str | None = None, **delta: Any
) -> dict[str, Any]:
    """Return one event of a chat completion: its delta, and the reason why it ends."""
    if content is not None:
        delta["content"] = content
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {"id": "c", "object": "chat.completion.chunk", "model": "mock", "choices": [choice]}


def usage_of(output: int, prompt: int = 10) -> dict[str, int]:
    """Return the token counts of a reply as OpenAI's APIs give them."""
    return {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}


def sse(event: Mapping[str, Any], name: str = "") -> bytes:
    """Return the bytes of one event, with its name if it has one."""
    return (b"event: %b\n" % name.encode() if name else b"") + b"data: " + orjson.dumps(event) + b"\n\n"


LAST_CHUNK = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """Return bytes as one HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def sized(body: bytes, *, status: int = 200, content_type: str = "application/json") -> bytes:
    """Return a whole HTTP reply."""
    start = b"HTTP/1.1 %d X\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    return start % (status, content_type.encode(), len(body)) + body


def whole_reply(
    body: Mapping[str, Any], *, at: float = 0.0, status: int = 200, tokens: int = 0
) -> list[Step]:
    """Return the step of a JSON reply that is not a stream."""
    return [Step(at, sized(orjson.dumps(body), status=status), tokens, whole=True)]
