"""Run episodes on workers: each worker makes the environment itself, and runs whole episodes.

Each line of a request file has the first request of an episode, its sample, and the replies that earlier
commands received. A worker sends these messages: `episode` (an episode that has ended, to be recorded),
`fault` (an exception of the environment) and `question` (a request of the environment to another model). The
run answers a question with `reply`, and adds to `take` the `replies` that a lost worker had received.
"""

from __future__ import annotations

import asyncio
import os
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from itertools import count
from typing import TYPE_CHECKING, Any

import orjson

from aisb._environment import Environment
from aisb._errors import AisbError, ConfigError
from aisb._evaluator import Ask
from aisb._options import arguments, bind
from aisb._running import Launcher
from aisb._types import Prediction, Request, Sample
from aisb_engine._faults import exception_from, exception_table, worker_error
from aisb_engine._load.episodes import Episodes
from aisb_engine._load.share import request_of
from aisb_engine._record.episodes import EndedEpisode, EpisodeKey
from aisb_engine._record.records import RECORD_HEADER, decode, encode
from aisb_engine._replies.marks import known_marks
from aisb_engine._replies.thoughts import VisibleText

if TYPE_CHECKING:
    from aisb._plugins import Plugins
    from aisb_engine._load.prepared import PreparedSubtask
    from aisb_engine._replies.marks import Marks

PERMISSION = "AISB_ALLOW_"
"""The prefix of variables that permit something to a component, such as running programs."""


def permissions() -> dict[str, str]:
    """Return the permissions of this command, for workers on another machine."""
    return {name: value for name, value in os.environ.items() if name.startswith(PERMISSION)}


def reply_text(prediction: Prediction) -> str:
    """Return a prediction as a record of the log, in base64."""
    return b64encode(encode(prediction, final=True, session=0)).decode("ascii")


def reply_from(text: str) -> Prediction:
    """Return the prediction that `reply_text` encoded."""
    return decode(memoryview(b64decode(text))[RECORD_HEADER.size :]).prediction


@dataclass(frozen=True, slots=True)
class EnvironmentRecipe:
    """How a worker makes the environment of a task: the import path of its factory, and the options."""

    place: str
    options: Mapping[str, Any]
    max_turns: int
    marks: Marks

    def make(self, ask: Ask) -> Environment:
        """Make the environment, in the process of a worker."""
        module, _, name = self.place.partition(":")
        factory = getattr(import_module(module), name)
        environment: Environment = factory(**arguments(factory, self.options, {Ask: ask}))
        return environment


@dataclass(slots=True)
class SharedEpisodes:
    """The episodes of one subtask while workers run them, as the main process sees them.

    `ended` are the episodes that have ended in this command.
    """

    recipe: EnvironmentRecipe
    episodes: Episodes
    ended: set[EpisodeKey] = field(default_factory=set)
    _answering: set[asyncio.Task[None]] = field(default_factory=set)

    @classmethod
    def of(cls, one: PreparedSubtask, episodes: Episodes, plugins: Plugins) -> SharedEpisodes:
        """Return the episodes of a subtask that workers will run.

        Raises:
            ConfigError: other processes cannot make the environment.
        """
        table = one.task.environment
        assert table is not None  # noqa: S101 - it has episodes
        component = plugins.find("environment", table.use)
        if component.place is None:
            raise ConfigError("load.workers", f"environment {table.use!r} cannot be imported; use one worker")
        options = bind(component.factory, table.options)
        marks = known_marks(plugins, one.model.marks)
        return cls(EnvironmentRecipe(component.place, options, table.max_turns, marks), episodes)

    def attach(self, request: Request) -> dict[str, Any]:
        """Return what a worker needs for the episode that a request begins: sample and logged replies."""
        sample = self.episodes.samples[request.sample_id]
        option = orjson.OPT_NON_STR_KEYS
        attached = {"sample": orjson.dumps(sample, default=str, option=option).decode()}
        replies = self.episodes.logged_replies(request.sample_id, request.repeat)
        return {**attached, "replies": [reply_text(reply) for reply in replies]}

    def follow(self, number: int, message: Mapping[str, Any], launcher: Launcher) -> None:
        """Record what a worker reports about its episodes, and answer its questions."""
        if "fault" in message:
            during, raised, name = message["fault"]
            self.episodes.record_fault(during, exception_from(raised), name)
        if "episode" in message:
            episode = EndedEpisode(**message["episode"])
            self.ended.add(episode.key)
            self.episodes.keep(episode)
        if "question" in message:
            task = asyncio.create_task(self._answer(number, message, launcher))
            self._answering.add(task)
            task.add_done_callback(self._answered)

    async def close(self) -> None:
        """Forget the questions that were not answered yet."""
        for task in [*self._answering]:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._answering.discard(task)
        if not task.cancelled():
            task.exception()  # the worker may be gone, and its question with it

    async def _answer(self, number: int, message: Mapping[str, Any], launcher: Launcher) -> None:
        reply: dict[str, Any] = {"reply": message["question"]}
        try:
            ask = self.episodes.ask
            assert ask is not None  # noqa: S101 - the environment was given one
            reply["prediction"] = reply_text(await ask(request_of({**message["request"]})))
        except AisbError as error:
            reply |= {"error": str(error), "exit_code": error.exit_code}
        await launcher.send_to(number, reply)


class WorkerEpisodes:
    """The samples and earlier replies of the episodes that a worker was given."""

    def __init__(self, send: Callable[[Mapping[str, Any]], None]) -> None:
        self._send = send
        self._samples: dict[str, Sample] = {}
        self._replies: dict[tuple[str, int, int], Prediction] = {}
        self._questions: dict[str, asyncio.Future[Mapping[str, Any]]] = {}
        self._numbers = count()

    def make(self, recipe: EnvironmentRecipe) -> Episodes:
        """Return the episodes, with an environment of this process."""
        return Episodes(
            recipe.make(self.ask),
            recipe.max_turns,
            self._samples,
            self._replies,
            {},
            visible=lambda text: VisibleText.of(text, recipe.marks).text,
            keep=lambda episode: self._send({"episode": _plain(asdict(episode))}),
            record_fault=lambda during, error, name: self._send(
                {"fault": [during, exception_table(error), name]}
            ),
            ask=self.ask,
        )

    def read(self, request: Request, attached: Mapping[str, Any]) -> None:
        """Take what is attached to the request that begins an episode."""
        table = orjson.loads(attached["sample"])
        self._samples[request.sample_id] = Sample(**{**table, "choices": tuple(table["choices"])})
        self._take(attached["replies"])

    def handle(self, message: Mapping[str, Any]) -> None:
        """Take the replies that a lost worker got, or the reply to a question."""
        self._take(message.get("replies", ()))
        waiting = self._questions.pop(message.get("reply", ""), None)
        if waiting is not None and not waiting.done():
            waiting.set_result(message)

    async def ask(self, request: Request) -> Prediction:
        """Let the run ask another model: it keeps the log, and counts the tokens.

        Raises:
            ServiceError: the model cannot be reached.
            RunError: the log cannot be written.
        """
        # With the id of the process: a new worker in the place of a lost one must not get its replies.
        number = f"{os.getpid()}-{next(self._numbers)}"
        future = self._questions[number] = asyncio.get_running_loop().create_future()
        self._send({"question": number, "request": _plain(request)})
        message = await future
        if "error" in message:
            raise worker_error(message)
        return reply_from(message["prediction"])

    def _take(self, replies: Iterable[str]) -> None:
        for prediction in map(reply_from, replies):
            self._replies[prediction.key] = prediction


def _plain(value: Any) -> Any:
    """Return a value as JSON values."""
    return orjson.loads(orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS))
