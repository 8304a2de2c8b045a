"""Read recorded conversations as sessions: ShareGPT files, and the datasets of MLPerf Endpoints."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

from aisb import DataFile, DataFiles, Message
from aisb.helpers import read_jsonl
from aisb_dataset_traces._fields import current_file, field_of, listed_objects, seconds, whole_number
from aisb_dataset_traces._graph import Session, Turn

ROLES = ("user", "assistant", "tool")


def sharegpt_sessions(files: DataFiles) -> Iterator[Session]:
    """Yield the conversations of a ShareGPT file; each text of the human is a turn.

    Turns follow each other at once, since the file has no times, and replies have no given length.
    """
    from aisb_dataset_chat import sharegpt

    for position, row in enumerate(sharegpt(files=files)):
        made = ConversationTurns()
        if row["system"]:
            made.add(Message("system", row["system"]))
        for text, reply in zip(row["turns"], row["replies"], strict=True):
            made.add(Message("user", text))
            made.ask(0.0, None)
            if reply:
                made.add(Message("assistant", reply))
        name = f"{position}" if row["conversation"] is None else f"{position}-{row['conversation']}"
        yield Session(name, made.turns)


def endpoints_sessions(files: DataFiles, *, longest_delay: float | None = None) -> Iterator[Session]:
    """Yield the conversations of JSON lines with conversation_id, turn, role and content.

    Each row of the user, and each with the results of tools, is a turn; `delay_seconds` is the time before
    it. The rows of the assistant are the recorded replies. `max_new_tokens` limits the reply of a turn.
    """
    ended: set[str] = set()
    conversation: _Conversation | None = None
    for row in read_jsonl(files=files):
        file = current_file(files)
        name = field_of(file, row, "conversation_id")
        if not isinstance(name, str | int):
            raise file.error(f"conversation_id is {name!r}, not a text")
        if conversation is None or conversation.name != str(name):
            if conversation is not None:
                ended.add(conversation.name)
                yield conversation.session()
            if str(name) in ended:
                raise file.error(f"the rows of conversation {name!r} are not consecutive; sort them together")
            conversation = _Conversation(str(name), longest_delay)
        conversation.add(file, row)
    if conversation is not None:
        yield conversation.session()


class ConversationTurns:
    """The turns of one conversation; each prompt has all messages before it."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self._key: Hashable = ""
        self._own: list[Hashable] = []
        self._messages: list[Message] = []
        self._count = 0

    def add(self, message: Message) -> None:
        """Append a message."""
        self._key = message_key(self._key, message)
        self._own.append(self._key)
        self._messages.append(message)

    def ask(self, delay: float, output_tokens: int | None) -> None:
        """End a prompt: the messages so far are sent."""
        sizes = [message_size(message) for message in self._messages]
        parent = len(self.turns) - 1 if self.turns else None
        self.turns.append(
            Turn(
                parent,
                (),
                delay,
                None,
                parent is not None,
                self._count,
                tuple(self._own),
                None,
                output_tokens,
                tuple(self._messages),
                tuple(sizes),
            )
        )
        self._count += len(self._own)
        self._own, self._messages = [], []


def message_key(before: Hashable, message: Message) -> int:
    """Return the key of a message after those with the key `before`."""
    calls = json.dumps([dict(call) for call in message.tool_calls], sort_keys=True)
    return hash((before, message.role, message.content, calls, message.tool_call_id))


def message_size(message: Message) -> int:
    """Return the number of characters of a message; images, audio and video count as none."""
    content = message.content
    parts = [content] if isinstance(content, str) else [one.value for one in content if one.kind == "text"]
    return sum(map(len, parts)) + sum(len(str(call.get("arguments", ""))) for call in message.tool_calls)


class _Conversation:
    """A conversation of an Endpoints dataset while its rows are read."""

    def __init__(self, name: str, longest_delay: float | None) -> None:
        self.name = name
        self._made = ConversationTurns()
        self._longest_delay = longest_delay
        self._number = 0
        self._role = ""
        self._tools: Sequence[Mapping[str, Any]] = ()

    def add(self, file: DataFile, row: Mapping[str, Any]) -> None:
        """Add a row; rows must be in order, and their roles must follow each other."""
        number = whole_number(file, row, "turn")
        if number != self._number + 1:
            raise file.error(
                f"turn {number} of conversation {self.name!r} follows turn {self._number}; "
                "turns are numbered 1, 2, 3 …"
            )
        role = field_of(file, row, "role")
        if role not in ROLES:
            raise file.error(f"role is {role!r}; it is one of: {', '.join(ROLES)}")
        allowed = {
            "": ("user",),
            "user": ("assistant",),
            "tool": ("assistant",),
            "assistant": ("user", "tool"),
        }
        if role not in allowed[self._role]:
            before = f"follows a row of the {self._role}" if self._role else "is the first"
            raise file.error(f"this row of the {role} {before}; expected: {' or '.join(allowed[self._role])}")
        if number == 1:
            if row.get("system"):
                self._made.add(Message("system", _text(file, row, "system")))
            if row.get("tools"):
                self._tools = listed_objects(file, row, "tools", "a row")
        for message in _messages(file, row, role):
            self._made.add(message)
        if role != "assistant":
            delay = seconds(file, row, "delay_seconds") or 0.0
            limit = None
            if row.get("max_new_tokens") is not None:
                limit = whole_number(file, row, "max_new_tokens")
            longest = self._longest_delay
            self._made.ask(delay if longest is None else min(delay, longest), limit)
        self._number, self._role = number, role

    def session(self) -> Session:
        """Return the session."""
        return Session(self.name, self._made.turns, tools=self._tools)


def _messages(file: DataFile, row: Mapping[str, Any], role: str) -> Iterator[Message]:
    if role == "tool" and "tool_results" in row:
        for result in listed_objects(file, row, "tool_results", "a row of the tool"):
            call = result.get("tool_call_id")
            yield Message("tool", _text(file, result, "content"), (), None if call is None else str(call))
        return
    calls: list[Mapping[str, Any]] = []
    if role == "assistant" and row.get("tool_calls"):
        for call in listed_objects(file, row, "tool_calls", "a row of the assistant"):
            function = call.get("function")
            if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
                raise file.error(f"a tool call has a function with a name, and this one is {str(call)[:60]}")
            arguments = function.get("arguments", "{}")
            text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
            calls.append({"id": str(call.get("id", "")), "name": function["name"], "arguments": text})
    given = row.get("content")
    if given is None and (calls or row.get("reasoning_content")):
        given = ""
    text = _text(file, {"content": given}, "content")
    if role == "tool":
        yield Message("tool", text, (), str(row.get("tool_call_id", "")) or None)
    elif role == "user":
        yield Message("user", text)
    else:
        yield Message("assistant", text, tuple(calls))


def _text(file: DataFile, row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise file.error(f"{name} is {str(value)[:60]!r}, not a text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise file.error(f"{name} has half of a surrogate pair, which is not a character") from error
    return value
