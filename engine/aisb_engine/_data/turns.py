"""The turns of a session, as a row of a task with `prompt.turns` states them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from aisb._errors import DataError
from aisb._types import Message, MessageRole

ROLES = ("system", "user", "assistant", "tool")


class SessionTurn(NamedTuple):
    """One turn: when it is sent, and what.

    It is sent `delay` seconds after the last of `parent` and `after`, which are positions of earlier turns,
    has ended; without these, `delay` seconds after the session began. `at` is its time in the trace.
    `messages` returns the whole prompt as it was recorded; `added` returns what it adds to the prompt of its
    parent and the reply to that, or is None if it does not continue its parent's prompt. `facts` are copied
    to the log record.
    """

    parent: int | None
    after: tuple[int, ...]
    delay: float
    at: float | None
    max_tokens: int | None
    messages: Callable[[], tuple[Message, ...]]
    added: Callable[[], tuple[Message, ...]] | None
    facts: Mapping[str, Any]

    @property
    def awaited(self) -> tuple[int, ...]:
        """The positions of the turns that must have ended before this one."""
        return self.after if self.parent is None else (self.parent, *self.after)


FACTS = {"input_tokens": "input_tokens_asked", "input_exact": "input_exact"}
"""The keys of a turn that are copied to the log, and their names there."""


def session_turns(value: Any, where: str) -> list[SessionTurn]:
    """Return the turns that a row states.

    Raises:
        DataError: they are not a list of turns, or one of them is not as documented.
    """
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise DataError(f"{where}: it is {str(value)[:60]!r}, not a list of turns")
    return [_turn(value[place], place, where) for place in range(len(value))]


def _turn(table: Any, place: int, where: str) -> SessionTurn:
    if not isinstance(table, Mapping):
        raise DataError(f"{where}: turn {place} is {str(table)[:60]!r}, not a table")
    parent = table.get("parent")
    after = tuple(table.get("after") or ())
    for one in (*after, *(() if parent is None else (parent,))):
        if type(one) is not int or not 0 <= one < place:
            raise DataError(
                f"{where}: turn {place} waits for turn {one!r}, which must be the position of an earlier turn"
            )
    times = [table.get("delay") or 0.0, table.get("at")]
    for name, time in zip(("delay", "at"), times, strict=True):
        if time is not None and (
            isinstance(time, bool) or not isinstance(time, int | float) or not 0 <= time < 1e15
        ):
            raise DataError(f"{where}: {name} of turn {place} is {time!r}, not a number of seconds")
    tokens = table.get("max_tokens")
    if tokens is not None and (type(tokens) is not int or tokens < 1):
        raise DataError(
            f"{where}: max_tokens of turn {place} is {tokens!r}, not a whole number of at least 1"
        )
    if "messages" not in table:
        raise DataError(f"{where}: turn {place} has no messages")
    added = table.get("added")
    if added is not None and parent is None:
        raise DataError(f"{where}: turn {place} adds messages, but continues no other turn")
    facts = {name: table[key] for key, name in FACTS.items() if table.get(key) is not None}
    if "input_tokens_asked" in facts:
        facts["input_tokens"] = facts["input_tokens_asked"] if facts.get("input_exact") else None
    here = f"{where}: turn {place}"
    return SessionTurn(
        parent,
        after,
        float(times[0] or 0.0),
        None if times[1] is None else float(times[1]),
        tokens,
        _maker(table["messages"], here),
        None if added is None else _maker(added, here),
        facts,
    )


def _maker(given: Any, where: str) -> Callable[[], tuple[Message, ...]]:
    """Return a function that returns messages, which may be given as a list or as a function."""

    def make() -> tuple[Message, ...]:
        found = given() if callable(given) else given
        if not isinstance(found, Sequence) or isinstance(found, str):
            raise DataError(f"{where}: its messages are {str(found)[:60]!r}, not a list")
        return tuple([_message(one, where) for one in found])

    return make


def _message(one: Any, where: str) -> Message:
    if isinstance(one, Message):
        return one
    if not isinstance(one, Mapping) or one.get("role") not in ROLES or "content" not in one:
        raise DataError(
            f"{where}: a message has a content and a role ({', '.join(ROLES)}), this one is {str(one)[:60]!r}"
        )
    calls = tuple(one.get("tool_calls") or ())
    return Message(cast("MessageRole", one["role"]), str(one["content"]), calls, one.get("tool_call_id"))
