"""The graph of turns of a session, which the readers of all formats build.

A turn follows its parent: the turn whose context it continues, or the one that started its agent. Two turns
with the same parent run in parallel. A prompt is a list of parts, each with a key: the blocks of a trace that
states hash ids, or messages. A key stands for its part and everything before it, so prompts with equal keys
begin alike.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aisb import Message

SLACK = 0.0005
"""Seconds by which a turn may begin before the recorded end of its parent: traces round their times."""


@dataclass(slots=True)
class Call:
    """One recorded request to the model, before its parent is known.

    `at` and `end` are seconds; `end` is None if the trace does not say how long the service took. `agent` is
    the path of the agent that sent it: empty for the main agent, one more name for each agent below it.
    `keys` are the parts of the whole prompt, `sizes` their sizes if they differ, in tokens or characters.
    """

    at: float
    end: float | None
    keys: Sequence[Hashable]
    output_tokens: int | None
    input_tokens: int | None = None
    agent: tuple[str, ...] = ()
    wait: float | None = None
    messages: Sequence[Message] = ()
    sizes: Sequence[int] = ()
    whole: int = 0
    """The number of leading parts that a continued prompt begins with: all that are complete."""


class Turn(NamedTuple):
    """One turn of a session.

    `parent` and `after` are positions of earlier turns that must have ended; `delay` is the time in seconds
    from the last of their ends to this turn (without any: from the start of the session). `continues` tells
    that the prompt begins with that of the parent. `shared` is the number of leading parts that are those of
    the parent; `own` are the keys of the others, and `messages` their texts, if the trace has texts.
    """

    parent: int | None
    after: tuple[int, ...]
    delay: float
    at: float | None
    continues: bool
    shared: int
    own: Sequence[Hashable]
    input_tokens: int | None
    output_tokens: int | None
    messages: Sequence[Message] = ()
    sizes: Sequence[int] = ()


@dataclass(slots=True)
class Session:
    """The turns of one session in the order in which they were sent, and the name of the session.

    `block` is the number of tokens in a part, 0 if parts are messages. `tools` are the functions that the
    model may call. `left_out` counts the parts of messages that are not sent, by reason.
    """

    name: str
    turns: list[Turn]
    block: int = 0
    tools: Sequence[Mapping[str, Any]] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)


def link(calls: Iterable[Call], *, longest_delay: float | None = None) -> list[Turn]:
    """Return the turns of a session: find the parent of each call, and the delay between them.

    A call continues the latest earlier call that had ended and whose complete prompt it begins with. Any
    other call follows the latest one of its agent, or of the agent above, that had ended. A call also waits
    for the agents below its own that had ended by then and whose end nothing else waits for.
    """
    ordered = sorted(calls, key=lambda call: call.at)
    tails: dict[Hashable, list[int]] = {}
    open_ends: set[int] = set()
    turns: list[Turn] = []
    start = ordered[0].at if ordered else 0.0
    for position, call in enumerate(ordered):
        parent, continues = _continued(call, ordered, tails), True
        if parent is None:
            parent, continues = _preceding(call, ordered[:position]), False
        depth = len(call.agent)
        after = tuple(
            sorted(
                one
                for one in open_ends
                if one != parent
                and len(ordered[one].agent) > depth
                and ordered[one].agent[:depth] == call.agent
                and _has_ended(ordered[one], call.at)
            )
        )
        open_ends.difference_update(after, () if parent is None else (parent,))
        open_ends.add(position)
        waited = [_end(ordered[one]) for one in (*after, *(() if parent is None else (parent,)))]
        delay = max(0.0, call.at - max(waited, default=start))
        if waited and call.wait is not None:
            delay = call.wait
        before = ordered[parent].keys if parent is not None else ()
        shared = common_parts(before, call.keys)
        turns.append(
            Turn(
                parent,
                after,
                round(delay if longest_delay is None else min(delay, longest_delay), 6),
                call.at,
                continues,
                shared,
                tuple(call.keys[shared:]),
                call.input_tokens,
                call.output_tokens,
                tuple(call.messages[shared:]),
                tuple(call.sizes[shared:]),
            )
        )
        if whole := call.whole or len(call.keys):
            tails.setdefault(call.keys[whole - 1], []).append(position)
    return turns


def _continued(call: Call, calls: Sequence[Call], tails: dict[Hashable, list[int]]) -> int | None:
    """Return the latest ended call whose complete prompt this one begins with; None if there is none."""
    for place in range(len(call.keys) - 1, -1, -1):
        ended = [one for one in tails.get(call.keys[place], ()) if _has_ended(calls[one], call.at)]
        if ended:
            same = [one for one in ended if calls[one].agent == call.agent]
            return max(same or ended, key=lambda one: _end(calls[one]))
    return None


def _preceding(call: Call, earlier: Sequence[Call]) -> int | None:
    """Return the call of the same agent, or else of the nearest agent above it, that ended last."""
    for depth in range(len(call.agent), -1, -1):
        agent = call.agent[:depth]
        ended = [
            position
            for position, one in enumerate(earlier)
            if one.agent == agent and _has_ended(one, call.at)
        ]
        if ended:
            return max(ended, key=lambda position: _end(earlier[position]))
    return None


def _end(call: Call) -> float:
    return call.at if call.end is None else call.end


def _has_ended(call: Call, at: float) -> bool:
    return _end(call) <= at + SLACK


def common_parts(before: Sequence[Hashable], keys: Sequence[Hashable]) -> int:
    """Return how many leading parts two prompts have in common."""
    least = min(len(before), len(keys))
    if list(before[:least]) == list(keys[:least]):  # most prompts continue the one before them
        return least
    for place, (one, other) in enumerate(zip(before, keys, strict=False)):
        if one != other:
            return place
    return least


class SeenParts:
    """The parts of the prompts so far: what a prefix cache without a limit would hold."""

    def __init__(self) -> None:
        self._seen: set[Hashable] = set()

    def add(self, session: Session) -> tuple[int, int]:
        """Add the prompts of a session; return how much of them such a cache holds, and their size.

        Both are in tokens where the trace states blocks, otherwise in the unit of `Turn.sizes`. A part counts
        if it and all parts before it were in an earlier prompt.
        """
        held = total = 0
        sizes: list[list[int]] = []
        for turn in session.turns:
            own = len(turn.own)
            found = 0
            while found < own and turn.own[found] in self._seen:
                found += 1
            self._seen.update(turn.own[found:])
            if session.block:
                tokens = turn.input_tokens or 0
                held += min((turn.shared + found) * session.block, tokens)
                total += tokens
                continue
            before = sizes[turn.parent][: turn.shared] if turn.parent is not None else []
            sizes.append(before + list(turn.sizes))
            held += sum(sizes[-1][: turn.shared + found])
            total += sum(sizes[-1])
        return held, total
