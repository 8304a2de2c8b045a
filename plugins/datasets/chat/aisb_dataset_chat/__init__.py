"""Conversations for performance runs: each turn is sent after the answer to the previous one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.resources import files as package_files
from importlib.resources.abc import Traversable
from typing import Annotated, Any

from aisb import DataFile, DataFiles, Row, UsageError, hookimpl

USER_ROLES = frozenset(("human", "user"))
SYSTEM_ROLE = "system"
READ_CHARACTERS = 1 << 20
"""Characters read at a time, since the whole file may be one line."""


def sharegpt(
    *,
    files: DataFiles,
    most_turns: Annotated[int | None, "maximum number of user turns of a conversation to send"] = None,
) -> Iterator[Row]:
    """Conversations of ShareGPT files: a list of { id, conversations = [{ from, value }] }.

    A row has the human's turns in `turns`, in order: the first in `question`, those after it in `followups`.
    `replies` has the model's reply to each of them, empty if there is none. `system` has all system messages.
    A conversation without a human's turn gives no row.
    """
    if most_turns is not None and most_turns < 1:
        raise UsageError(f"most_turns = {most_turns} must be at least 1")
    return _conversations(files, most_turns)


def _conversations(files: DataFiles, limit: int | None) -> Iterator[Row]:
    for file in files:
        for position, conversation in enumerate(_elements(file), start=1):
            file.row = position
            turns_by_role = _role_turns(file, conversation)
            if turns := [text for who, text in turns_by_role if who in USER_ROLES][:limit]:
                replies = _replies(turns_by_role)[: len(turns)]
                yield {
                    "conversation": conversation.get("id"),
                    "system": "\n\n".join(text for who, text in turns_by_role if who == SYSTEM_ROLE),
                    "turns": turns,
                    "question": turns[0],
                    "followups": turns[1:],
                    "replies": replies,
                }


def _replies(turns: Sequence[tuple[str, str]]) -> list[str]:
    """Return the reply after each turn of the human, without system messages."""
    replies: list[list[str]] = []
    for who, text in turns:
        if who in USER_ROLES:
            replies.append([])
        elif who != SYSTEM_ROLE and replies:
            replies[-1].append(text)
    return ["\n\n".join(texts) for texts in replies]


def _role_turns(file: DataFile, conversation: Any) -> list[tuple[str, str]]:
    """Return (role, text) of each non-empty turn of one conversation."""
    elements = conversation.get("conversations") if isinstance(conversation, Mapping) else None
    if not isinstance(elements, list):
        keys = f" (the keys are {', '.join(conversation)})" if isinstance(conversation, Mapping) else ""
        raise file.error(f"a conversation has the key 'conversations' with a list of turns{keys}")
    turns = []
    for turn in elements:
        if not isinstance(turn, Mapping) or not isinstance(turn.get("value"), str) or "from" not in turn:
            raise file.error(f"a turn has 'from' and a text 'value', and this one is {str(turn)[:60]}")
        if turn["value"].strip():
            turns.append((str(turn["from"]), turn["value"]))
    return turns


def _elements(file: DataFile) -> Iterator[Any]:
    """Yield the elements of a JSON list one by one, since the published file has 640 MB."""
    decoder, lines = json.JSONDecoder(), file.lines()
    text, at, piece = "", 0, READ_CHARACTERS
    first = True
    while True:
        more = _more(lines, piece)
        text, at = text[at:] + more, 0
        while True:
            at = _blank(text, at)
            mark = text[at : at + 1]
            if first and mark:
                if mark != "[":
                    raise file.error(f"a list of conversations must begin with '[', not {mark!r}")
                first, at = False, at + 1
                continue
            if mark == "]":
                _more(lines, sys.maxsize)  # read to the end for the file's hash
                return
            try:
                element, end = decoder.raw_decode(text, _blank(text, at + 1) if mark == "," else at)
            except json.JSONDecodeError as error:
                if not more:
                    torn = "the file ends within a conversation" if mark else "the file is incomplete"
                    file.row = None
                    raise file.error(f"not JSON: {error.msg}; {torn}") from error
                piece *= 2
                break
            piece = READ_CHARACTERS
            yield element
            at = end


def _more(lines: Iterator[str], size_wanted: int) -> str:
    parts, size = [], 0
    for line in lines:
        parts.append(line)
        size += len(line)
        if size >= size_wanted:
            break
    return "".join(parts)


def _blank(text: str, at: int) -> int:
    while text[at : at + 1].isspace():
        at += 1
    return at


@hookimpl
def aisb_datasets() -> Mapping[str, Callable[..., Iterable[Row]]]:
    """Return the reader of ShareGPT files."""
    return {"sharegpt": sharegpt}


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Declare the folder with the tasks and aliases of this family."""
    return [package_files("aisb_dataset_chat")]
