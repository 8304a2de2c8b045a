"""Let a model act in an environment: model and environment take turns until one of them ends the episode.

Each turn is a request like any other: the runner sends, times, retries and logs it. An episode that an
earlier command did not finish starts again from its beginning, with the replies that are already in the log.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from aisb._environment import Environment, Episode
from aisb._errors import RunError, ServiceError
from aisb._evaluator import Ask
from aisb._types import Message, Prediction, Request, Sample, request_id
from aisb_engine._budget import BudgetUsed
from aisb_engine._faults import RAISED, ComponentError, describe, is_stop
from aisb_engine._load.prepared import AnswerFunction, PreparedSubtask
from aisb_engine._record.episodes import (
    EndedBy,
    EndedEpisode,
    EpisodeKey,
    EpisodeWriter,
    read_episodes,
)
from aisb_engine._record.predictions import message_table
from aisb_engine._replies.marks import known_marks
from aisb_engine._replies.thoughts import VisibleText

if TYPE_CHECKING:
    from aisb._plugins import Plugins


class AskTurn(Protocol):
    """Sends one turn as an ordinary request; `planned_ns` is when it should have been sent."""

    def __call__(self, request: Request, planned_ns: int | None) -> Awaitable[Prediction]:
        """Return the prediction of the last attempt."""


@dataclass(slots=True)
class Episodes:
    """The episodes of one subtask.

    `samples` maps ids to samples. `answers` holds the logged replies of earlier commands, `ended` the
    episodes that they finished. `visible` returns a reply's text without reasoning. `keep` is called with
    each episode when it ends; `record_fault` with the method that raised, the exception, and the episode's
    name. `unfinished` counts the episodes that this command started and did not finish. `ask` sends requests
    of the environment to another model, if it has one.
    """

    environment: Environment
    max_turns: int
    samples: Mapping[str, Sample]
    answers: AnswerFunction
    ended: Mapping[EpisodeKey, EndedEpisode]
    visible: Callable[[str], str]
    keep: Callable[[EndedEpisode], None]
    record_fault: Callable[[str, BaseException, str], None]
    ask: Ask | None = None
    unfinished: int = 0

    def is_done(self, sample_id: str, repeat: int) -> bool:
        """Return whether an earlier command finished this episode and its replies are in the log."""
        episode = self.ended.get((sample_id, repeat))
        if episode is None or episode.failure is not None:
            return False
        return all(self._answered((sample_id, repeat, turn)) for turn in range(episode.turns))

    def logged_replies(self, sample_id: str, repeat: int) -> Iterator[Prediction]:
        """Yield the replies that earlier commands got in an episode, turn after turn."""
        for turn in count():
            if not self._answered(key := (sample_id, repeat, turn)):
                return
            yield self.answers[key]

    async def run(
        self, request: Request, planned_ns: int | None, ask: AskTurn, is_over: Callable[[], bool]
    ) -> None:
        """Run the episode that begins with a request, and record how it ended.

        The episode stays unfinished if a request fails, or if the time is over before the next one
        (`is_over`); a resumed run continues with that turn.

        Raises:
            ServiceError: the other model of the environment cannot be reached.
            RunError: the log cannot be written.
        """
        conversation = _Conversation(request)
        during, ended_by, failure = "its call", cast("EndedBy | None", None), None  # as messages name it
        episode: Episode | None = None
        state: Mapping[str, Any] = {}
        try:
            episode = self.environment(self.samples[request.sample_id], request.repeat)
            during = "begin"
            conversation.add(await episode.begin())
            while ended_by is None:
                if is_over():
                    self.unfinished += 1
                    return
                reply = await self._reply(conversation.request(episode.tools), planned_ns, ask)
                if reply.failure is not None:
                    return
                planned_ns = None if planned_ns is None else reply.timing.done_ns
                reply = conversation.add_reply(reply, self.visible(reply.text))
                during = "respond"
                messages = await episode.respond(reply)
                if messages is None:
                    ended_by = "environment"
                elif conversation.turns >= self.max_turns:
                    ended_by = "max_turns"
                else:
                    conversation.add(messages)
            during = "state"
            state = dict(episode.state())
        except BudgetUsed:  # by a request to the other model; a run with a larger budget continues from here
            self.unfinished += 1
            return
        except (ServiceError, RunError):
            raise
        except RAISED as error:
            if is_stop(error):
                raise
            ended_by, failure = "failure", self._record_fault(request, during, error)
        finally:
            await self._close(request, episode)
        self.keep(conversation.ended(ended_by, state, failure))

    async def _reply(self, request: Request, planned_ns: int | None, ask: AskTurn) -> Prediction:
        if self._answered(request.key):
            return self.answers[request.key]
        return await ask(request, planned_ns)

    def _answered(self, key: tuple[str, int, int]) -> bool:
        answer = self.answers.get(key)
        return answer is not None and answer.failure is None

    async def _close(self, request: Request, episode: Episode | None) -> None:
        """Close an episode. An exception is recorded, but does not change how the episode ended."""
        if episode is None:
            return
        try:
            await episode.close()
        except RAISED as error:
            if is_stop(error):
                raise
            self._record_fault(request, "close", error)

    def _record_fault(self, request: Request, during: str, error: BaseException) -> str:
        self.record_fault(during, error, request_id(request.sample_id, request.repeat))
        return describe(error)


def episodes_of(
    one: PreparedSubtask, answers: AnswerFunction, folder: Path, plugins: Plugins
) -> Episodes | None:
    """Return the episodes of a subtask, given its log folder; None if the task has no environment."""
    table = one.task.environment
    if table is None or one.environment is None:
        return None
    marks = known_marks(plugins, one.model.marks)

    def record_fault(during: str, error: BaseException, name: str) -> None:
        one.record_fault(ComponentError.of(plugins, "environment", table.use, during, error), name)

    return Episodes(
        one.environment,
        table.max_turns,
        {sample.id: sample for sample in one.samples},
        answers,
        read_episodes(folder),
        visible=lambda text: VisibleText.of(text, marks).text,
        keep=EpisodeWriter(folder).append,
        record_fault=record_fault,
        ask=one.ask,
    )


class _Conversation:
    """The messages of an episode so far, and the request that asks for the next reply."""

    def __init__(self, request: Request) -> None:
        self._first = request
        self._messages = [*(request.messages or ())]
        self.turns = 0

    def add(self, messages: Sequence[Message]) -> None:
        """Append messages of the environment."""
        for message in messages:
            if not isinstance(message, Message):
                raise TypeError(f"it returned {message!r:.80} among its messages; each must be a Message")
        self._messages += messages

    def request(self, tools: Sequence[Mapping[str, Any]]) -> Request:
        """Return the request for the next reply."""
        params = {**self._first.params, "tools": list(tools)} if tools else self._first.params
        return replace(self._first, turn=self.turns, messages=tuple(self._messages), params=params)

    def add_reply(self, reply: Prediction, text: str) -> Prediction:
        """Append a reply; return it as the environment gets it, with an id for each tool call."""
        calls = tuple(
            {**call, "id": call.get("id") or f"call_{self.turns}_{position}"}
            for position, call in enumerate(reply.tool_calls)
        )
        self._messages.append(Message("assistant", text, tuple(map(_sendable, calls))))
        self.turns += 1
        return replace(reply, text=text, tool_calls=calls)

    def ended(self, ended_by: EndedBy | None, state: Mapping[str, Any], failure: str | None) -> EndedEpisode:
        """Return the finished episode for the record."""
        return EndedEpisode(
            self._first.sample_id,
            self._first.repeat,
            self.turns,
            ended_by or "failure",
            state,
            [message_table(message) for message in self._messages],
            failure,
        )


def _sendable(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call as the conversation repeats it.

    vLLM and llama.cpp parse the arguments of earlier calls for the chat template, and reject the request if
    they are not a JSON object. Such arguments are wrapped: they become the only member of an object.
    """
    arguments = call.get("arguments") or "{}"
    try:
        is_object = isinstance(json.loads(arguments), dict)
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        arguments = json.dumps({"arguments": arguments}, ensure_ascii=False)
    return {"id": call["id"], "name": call.get("name") or "", "arguments": arguments}
