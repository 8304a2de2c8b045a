"""Read OpenTelemetry traces (OTLP in JSON) whose spans follow the conventions for generative AI."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from aisb import DataFile, DataFiles, Message
from aisb_dataset_traces._conversations import message_key, message_size
from aisb_dataset_traces._fields import json_documents, listed_objects
from aisb_dataset_traces._graph import Call, Session, link
from aisb_dataset_traces._otel_messages import LeftOut, MessageReader

CHATS = frozenset(("chat", "generate_content", "text_completion"))
"""The operations that are requests to a model."""
AGENT = "invoke_agent"
BLOCK = 16
"""Tokens in a part of a prompt whose text the trace does not have."""
_VALUES = ("stringValue", "intValue", "doubleValue", "boolValue", "bytesValue")


@dataclass(slots=True)
class _Span:
    """One span: its times in seconds, its attributes, and where it was read."""

    file: DataFile
    line: int | None
    trace: str
    name: str
    parent: str
    start: float
    end: float
    attributes: Mapping[str, Any]


def otel_sessions(files: DataFiles, *, longest_delay: float | None = None) -> Iterator[Session]:
    """Yield the sessions of OTLP JSON documents, one in each line or one in a file, in order of time.

    A span with `gen_ai.operation.name` chat, generate_content or text_completion is a turn. Its session is
    `gen_ai.conversation.id`, otherwise its trace; its agent is the path of the `invoke_agent` spans above it.
    If all spans of a session have `gen_ai.input.messages`, these texts are sent. Otherwise prompts are
    generated from `gen_ai.usage.input_tokens`: those of an agent begin alike, as long as they grow. Parts of
    messages that cannot be sent are counted in `Session.left_out`.
    """
    spans: dict[tuple[str, str], _Span] = {}
    for file, document in json_documents(files):
        for resource in listed_objects(file, document, "resourceSpans", "a document of traces"):
            for scope in listed_objects(file, resource, "scopeSpans", "an entry of resourceSpans"):
                for table in listed_objects(file, scope, "spans", "an entry of scopeSpans"):
                    span = _span(file, table)
                    spans[span.trace, str(table.get("spanId"))] = span
    sessions: dict[str, list[_Span]] = {}
    chats = [one for one in spans.values() if one.attributes.get("gen_ai.operation.name") in CHATS]
    for span in sorted(chats, key=lambda one: one.start):
        name = str(span.attributes.get("gen_ai.conversation.id") or span.trace)
        sessions.setdefault(name, []).append(span)
    if not sessions and files.current is not None:
        raise files.current.error(
            f"no span is a request to a model: gen_ai.operation.name is one of {', '.join(sorted(CHATS))}"
        )
    begin = min((one.start for one in chats), default=0.0)
    for name, own in sessions.items():
        has_texts = all("gen_ai.input.messages" in one.attributes for one in own)
        made = _TextCalls() if has_texts else _LengthCalls(name)
        calls = [made.call(one, _agents(one, spans), one.start - begin) for one in own]
        left_out = made.left_out.counts() if isinstance(made, _TextCalls) else {}
        turns = link(calls, longest_delay=longest_delay)
        yield Session(name, turns, 0 if has_texts else BLOCK, left_out=left_out)


def _span(file: DataFile, table: Mapping[str, Any]) -> _Span:
    name = str(table.get("name", "span"))
    times: list[float] = []
    for key in ("startTimeUnixNano", "endTimeUnixNano"):
        try:
            times.append(int(table[key]) / 1e9)
        except (KeyError, TypeError, ValueError):
            raise file.error(
                f"span {name!r}: {key} is {table.get(key)!r}, not a number of nanoseconds"
            ) from None
    if times[1] < times[0]:
        raise file.error(f"span {name!r} ends before it begins")
    found: dict[str, Any] = {}
    for one in table.get("attributes") or ():
        value = one.get("value") if isinstance(one, Mapping) else None
        if not isinstance(value, Mapping):
            raise file.error(
                f"span {name!r}: an attribute has a key and a value, this one is {str(one)[:60]}"
            )
        found[str(one.get("key"))] = _value(value)
    trace = str(table.get("traceId", ""))
    parent, (start, end) = str(table.get("parentSpanId") or ""), times
    return _Span(file, file.line, trace, name, parent, start, end, found)


def _value(value: Any) -> Any:
    """Return a value of OTLP as Python has it: an SDK writes messages as a text in JSON, or as lists."""
    if not isinstance(value, Mapping):
        return value
    if isinstance(listed := value.get("arrayValue"), Mapping):
        return [_value(one) for one in listed.get("values") or ()]
    if isinstance(table := value.get("kvlistValue"), Mapping):
        pairs = [one for one in table.get("values") or () if isinstance(one, Mapping)]
        return {str(one.get("key")): _value(one.get("value")) for one in pairs}
    if "intValue" in value:
        with suppress(ValueError, TypeError):  # OTLP writes 64-bit integers as texts
            return int(value["intValue"])
    return next((value[kind] for kind in _VALUES if kind in value), None)


def _agents(span: _Span, spans: Mapping[tuple[str, str], _Span]) -> tuple[str, ...]:
    """Return the path of the agents above a span, without the outermost one, which is the session's own."""
    path: list[str] = []
    seen = {span.parent}
    above = spans.get((span.trace, span.parent))
    place = span.parent
    while above is not None:
        if above.attributes.get("gen_ai.operation.name") == AGENT:
            path.append(place)
        place = above.parent
        if place in seen:
            break
        seen.add(place)
        above = spans.get((span.trace, place))
    return tuple(reversed(path))[1:]


def _tokens(span: _Span, name: str) -> int | None:
    value = span.attributes.get(name)
    if value is None:
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        raise _error(span, f"{name} is {value!r}, not a number of tokens") from None


def _error(span: _Span, message: str) -> Exception:
    span.file.line = span.line
    return span.file.error(f"span {span.name!r}: {message}")


class _LengthCalls:
    """Makes calls whose prompts have lengths, and no texts."""

    def __init__(self, session: str) -> None:
        self._session = session
        self._lengths: dict[tuple[str, ...], int] = {}
        self._begun: dict[tuple[str, ...], int] = {}

    def call(self, span: _Span, agent: tuple[str, ...], at: float) -> Call:
        """Return the call of a span; a prompt that is shorter than the one before it begins a new context."""
        tokens = _tokens(span, "gen_ai.usage.input_tokens")
        if tokens is None or tokens < 1:
            raise _error(
                span, "it has neither gen_ai.input.messages nor gen_ai.usage.input_tokens of at least 1"
            )
        if tokens < self._lengths.get(agent, 0):
            self._begun[agent] = self._begun.get(agent, 0) + 1
        self._lengths[agent] = tokens
        stem = f"{self._session}/{'/'.join(agent)}/{self._begun.get(agent, 0)}"
        keys: list[Hashable] = [f"{stem}:{place}" for place in range(-(-tokens // BLOCK))]
        output = _tokens(span, "gen_ai.usage.output_tokens")
        end = at + span.end - span.start
        return Call(at, end, keys, output or None, tokens, agent, whole=tokens // BLOCK)


class _TextCalls:
    """Makes calls whose prompts are messages."""

    def __init__(self) -> None:
        self.left_out = LeftOut()

    def call(self, span: _Span, agent: tuple[str, ...], at: float) -> Call:
        """Return the call of a span."""
        reader = MessageReader(partial(_error, span), self.left_out)
        messages = []
        if system := span.attributes.get("gen_ai.system_instructions"):
            instructions = _parsed(span, "gen_ai.system_instructions", system)
            messages.append(Message("system", reader.content(instructions, "system")))
        given = _parsed(span, "gen_ai.input.messages", span.attributes["gen_ai.input.messages"])
        for position, one in enumerate(given):
            messages += reader.messages(one, position)
        if not messages:
            raise _error(span, "gen_ai.input.messages is empty")
        keys: list[Hashable] = []
        for message in messages:
            keys.append(message_key(keys[-1] if keys else "", message))
        return Call(
            at,
            at + span.end - span.start,
            keys,
            _tokens(span, "gen_ai.usage.output_tokens") or None,
            _tokens(span, "gen_ai.usage.input_tokens"),
            agent,
            messages=messages,
            sizes=[message_size(message) for message in messages],
        )


def _parsed(span: _Span, name: str, value: Any) -> list[Any]:
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except json.JSONDecodeError:
        found = None
    if not isinstance(found, list):
        raise _error(span, f"{name} is {str(value)[:60]!r}, not a list in JSON")
    return found
