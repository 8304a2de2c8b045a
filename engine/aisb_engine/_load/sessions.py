"""Send the turns of sessions: each when the turns that it waits for have ended, and its delay has passed.

A client of a closed loop runs one session at a time. Turns that wait for the same turn are sent in parallel,
as agents below another agent are. When a turn fails, those that depend on it are not sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from aisb._types import Failure, Message, Prediction, Request, Sample
from aisb_engine._data.turns import SessionTurn
from aisb_engine._faults import RAISED, exception_text, is_stop
from aisb_engine._load.prefix_cache import with_mark

if TYPE_CHECKING:
    from aisb_engine._load.pacing import Clock
    from aisb_engine._load.prepared import PreparedSubtask

SESSION = "session"
"""The fact of a request that names its session."""


class SendTurn(Protocol):
    """Sends one turn as an ordinary request; `planned_ns` is when it should have been sent."""

    async def __call__(self, request: Request, planned_ns: int | None) -> Prediction:
        """Return the prediction of the last attempt."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """The sessions of one subtask.

    `samples` maps ids to samples, and `turns` returns the turns of a sample. `request` makes the request of a
    turn from that of its session, with these messages. With `uses_replies`, the model's replies are part of
    later prompts; otherwise the recorded ones are. With `uses_times`, a turn is sent at its time in the
    trace.
    """

    samples: Mapping[str, Sample]
    turns: Callable[[Sample], Sequence[SessionTurn]]
    request: Callable[[Request, int, SessionTurn, tuple[Message, ...]], Request]
    clock: Clock
    uses_replies: bool = False
    uses_times: bool = False

    async def run(
        self,
        root: Request,
        planned_ns: int | None,
        send: SendTurn,
        skip: Callable[[Request, Failure], None],
        is_over: Callable[[int], bool],
    ) -> None:
        """Run a session from its first turn to its last.

        `skip` records a turn that is not sent, and why. A turn for whose time `is_over` is true is not sent.
        """
        turns = self.turns(self.samples[root.sample_id])
        running = _RunningSession(self, root, turns, planned_ns, send, skip, is_over)
        try:
            await running.run()
        finally:
            running.cancel()


@dataclass(slots=True)
class _RunningSession:
    """One session while it runs. `prompts` has the messages of ended turns that others continue."""

    sessions: Sessions
    root: Request
    turns: Sequence[SessionTurn]
    planned_ns: int | None
    send: SendTurn
    skip: Callable[[Request, Failure], None]
    is_over: Callable[[int], bool]
    begun_ns: int = 0
    children: list[list[int]] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    """For each turn, how many of the turns that it waits for have not ended."""
    due_ns: list[int] = field(default_factory=list)
    prompts: dict[int, tuple[Message, ...]] = field(default_factory=dict)
    continued: list[int] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self) -> None:
        self.begun_ns = self.sessions.clock() if self.planned_ns is None else self.planned_ns
        self.children = [[] for _ in self.turns]
        self.missing = [0] * len(self.turns)
        self.due_ns = [self.begun_ns] * len(self.turns)
        self.continued = [0] * len(self.turns)
        for number, turn in enumerate(self.turns):
            for one in set(turn.awaited):
                self.children[one].append(number)
                self.missing[number] += 1
            if turn.parent is not None and turn.added is not None:
                self.continued[turn.parent] += 1
        first, *others = [number for number, missing in enumerate(self.missing) if not missing]
        for number in others:
            self._start(number)
        await self._follow(first)
        while self.tasks:
            await asyncio.gather(*self.tasks)
            self.tasks = {task for task in self.tasks if not task.done()}

    def cancel(self) -> None:
        """Cancel the turns that are still in flight, because one of them raised or the run ends."""
        for task in self.tasks:
            task.cancel()

    def _start(self, number: int) -> None:
        self.tasks.add(asyncio.create_task(self._follow(number)))

    async def _follow(self, number: int) -> None:
        """Send a turn and one turn after another that follows it; turns in parallel get their own tasks."""
        ready = [number]
        while ready:
            current, *others = ready
            for other in others:
                self._start(other)
            ready = await self._send_turn(current)

    async def _send_turn(self, number: int) -> list[int]:
        """Send one turn when it is due; return the turns that were waiting only for its end."""
        turn = self.turns[number]
        due_ns = self._due(number, turn)
        if self.is_over(due_ns):
            return []
        left = due_ns - self.sessions.clock()
        if left > 0:
            await asyncio.sleep(left / 1e9)
            if self.is_over(due_ns):
                return []
        has_plan = bool(turn.awaited) or turn.delay > 0 or self.planned_ns is not None
        try:
            messages = self._messages(turn)
            request = self.sessions.request(self.root, number, turn, messages)
        except RAISED as error:
            if is_stop(error):
                raise
            self._fail(number, Failure("row", f"its prompt could not be made: {exception_text(error)}"))
            return []
        prediction = await self.send(request, due_ns if has_plan else None)
        if prediction.failure is not None:
            self._skip_followers(number, prediction.failure)
            return []
        if self.continued[number] and self.sessions.uses_replies:
            self.prompts[number] = (*messages, Message("assistant", prediction.text))
        ended_ns = prediction.timing.done_ns or self.sessions.clock()
        return [one for one in self.children[number] if self._release(one, ended_ns)]

    def _due(self, number: int, turn: SessionTurn) -> int:
        due_ns = self.due_ns[number] + round(turn.delay * 1e9)
        if self.sessions.uses_times and turn.at is not None and self.root.at is not None:
            return self.begun_ns + round((turn.at - self.root.at) * 1e9)
        return due_ns

    def _release(self, number: int, ended_ns: int) -> bool:
        """Note that a turn has ended that another one waits for; return whether it was the last."""
        self.due_ns[number] = max(self.due_ns[number], ended_ns)
        self.missing[number] -= 1
        return self.missing[number] == 0

    def _messages(self, turn: SessionTurn) -> tuple[Message, ...]:
        if not self.sessions.uses_replies or turn.added is None or turn.parent not in self.prompts:
            return turn.messages()
        before = self.prompts[turn.parent]
        self.continued[turn.parent] -= 1
        if not self.continued[turn.parent]:
            del self.prompts[turn.parent]
        return (*before, *map(_without_call, turn.added()))

    def _fail(self, number: int, failure: Failure) -> None:
        self.skip(replace(self.root, turn=number), failure)
        self._skip_followers(number, failure)

    def _skip_followers(self, number: int, failure: Failure) -> None:
        """Record all turns that depend on a failed one as not sent."""
        message = f"not sent: turn {number} of its session failed ({failure.message})"
        waiting = list(self.children[number])
        while waiting:
            one = waiting.pop(0)
            if self.missing[one] < 0:
                continue
            self.missing[one] = -1
            self.skip(replace(self.root, turn=one), replace(failure, message=message))
            waiting += self.children[one]


def _without_call(message: Message) -> Message:
    """Return the result of a tool as a user's text: the model's own reply did not make the recorded call."""
    return replace(message, role="user", tool_call_id=None) if message.role == "tool" else message


class TurnRequests:
    """Makes the requests of turns from those of their sessions, in the form that the backend takes."""

    def __init__(self, one: PreparedSubtask) -> None:
        self._one = one
        self._names = {sample.id: str(sample.fields.get(SESSION, sample.id)) for sample in one.samples}
        self._cache_buster = one.cache_buster()

    def __call__(
        self, root: Request, number: int, turn: SessionTurn, messages: tuple[Message, ...]
    ) -> Request:
        """Return the request of a turn with these messages; its log record names the session."""
        params = self._one.renderer.turn_params(root.params, turn.max_tokens)
        request = replace(root, turn=number, messages=messages, params=params, facts={}, at=None)
        request = self._one.convert(request)
        if turn.facts:  # a generated prompt, which its dataset makes different in every run
            request = replace(request, facts=turn.facts)
        elif self._one.nonce:
            request = with_mark(request, self._one.nonce)
        session, facts = self._names[root.sample_id], dict(turn.facts)
        if turn_round := root.facts.get("round"):
            if self._cache_buster is not None:
                request = self._cache_buster.request(request, turn_round)
                facts = dict(request.facts)
            facts["round"] = turn_round
            session = f"{session}-{turn_round}"
        return replace(request, facts={**facts, SESSION: session})

    def first(self, sample: Sample) -> Request | None:
        """Return the request of the first turn of a session; None if it cannot be made."""
        root = self._one.render(sample)
        if root is None:
            return None
        turn = self._one.renderer.turns(sample)[0]
        return self(root, 0, turn, turn.messages())


def sessions_of(one: PreparedSubtask, clock: Clock) -> Sessions | None:
    """Return the sessions of a subtask; None if its task has none."""
    if not one.has_sessions:
        return None
    load = one.subtask.load
    return Sessions(
        {sample.id: sample for sample in one.samples},
        one.renderer.turns,
        TurnRequests(one),
        clock,
        uses_replies=one.task.prompt.conversation == "every",
        uses_times=load.use_timestamp,
    )
