"""Ask the model that judges: through the engine, logged like any run, and nothing twice.

A question is known by its content: the judge, what it is asked, and its parameters. So scoring again sends
nothing, and neither does another answer that reads the same. A failed question is asked again the next time.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import orjson

from aisb._errors import ConfigError, RunError, ServiceError
from aisb._evaluator import Ask
from aisb._options import injected_types
from aisb._types import Prediction, Request
from aisb_engine._data.prompts import cross
from aisb_engine._http.client import connect
from aisb_engine._http.waiting import waiting_for
from aisb_engine._progress import Display, Progress
from aisb_engine._record.log import read_folder
from aisb_engine._record.manifest import now
from aisb_engine._record.predictions import prompt_of
from aisb_engine._resolve.params import check_values, misspellings, refuse_not_sent, sends, unknown_to

if TYPE_CHECKING:
    from aisb._backend import Backend
    from aisb._plugins import Plugins
    from aisb_engine._record.runfolder import RunFolder
from aisb_engine._replies.marks import known_marks
from aisb_engine._replies.thoughts import VisibleText
from aisb_engine._spec import Judge, Load, RunSpec, Task

MAX_CONCURRENT_QUESTIONS = 32

JudgeAnswer = Callable[[Request, Progress], Awaitable[Prediction]]
"""Answers one request, and counts it."""


class AnswerRequests(Protocol):
    """How the judge's service is asked: `answer_requests` of the engine, which sends, retries and logs.

    Scoring is handed it, so that it knows nothing of sending.
    """

    def __call__(
        self,
        backend: Backend,
        load: Load,
        folder: Path,
        *,
        session: int,
        note: Callable[[str], None],
        say: Callable[[str], None],
    ) -> AbstractAsyncContextManager[JudgeAnswer]:
        """Return what answers requests while the block runs; attempts are logged in the folder.

        An answer raises ServiceError when nothing has succeeded for longer than `load.outage`.
        """


@dataclass(slots=True)
class JudgeTally:
    """What judging one subtask took. `found` were in the log; tokens are those of all replies."""

    questions: int = 0
    found: int = 0
    failed: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    not_sent: set[str] = field(default_factory=set)

    def add(self, prediction: Prediction) -> None:
        """Count the tokens of one reply."""
        if prediction.usage:
            self.input_tokens = (self.input_tokens or 0) + (prediction.usage.input_tokens or 0)
            self.output_tokens = (self.output_tokens or 0) + (prediction.usage.output_tokens or 0)

    def told(self, judge: str) -> str:
        """Say it in one line."""
        words = f"judged by {judge}: {self.questions} questions, {self.found} of them asked before"
        if self.input_tokens is not None:
            words += f", {self.input_tokens:,} tokens in, {self.output_tokens:,} out"
        words += f", {self.failed} failed" if self.failed else ""
        return words + (
            f"; its backend does not send {', '.join(sorted(self.not_sent))}" if self.not_sent else ""
        )


@dataclass(slots=True)
class Judging:
    """The judge of a run while answers are scored; its service is looked for at the first new question.

    Without `answer_requests` nothing is sent: a question that was never asked is an error. `again` is the
    command that goes on with it. `wait` is how many seconds a service that is still loading is waited for.
    """

    judge: Judge
    plugins: Plugins
    folder: Path
    log_file: Path
    answer_requests: AnswerRequests | None = None
    session: int = 0
    again: str = "the same command"
    wait: float = 0.0
    tally: JudgeTally = field(default_factory=JudgeTally)
    progress: Progress = field(init=False)
    _known: dict[tuple[str, int, int], Prediction] = field(default_factory=dict)
    _counted: set[tuple[str, int, int]] = field(default_factory=set)
    _under_way: dict[tuple[str, int, int], asyncio.Task[Prediction]] = field(default_factory=dict)
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    _answer: JudgeAnswer | None = None
    _unready: str | None = None
    _display: Display | None = None
    _backend: Backend | None = None
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    def __post_init__(self) -> None:
        self._known = {key: p for key, p in read_folder(self.folder).latest.items() if p.failure is None}
        self.begin("")

    @property
    def name(self) -> str:
        """The judge's name."""
        return self.judge.model.abbr

    @property
    def concurrency(self) -> int:
        """How many answers are to be judged at a time, so that the judge is kept as busy as its load says."""
        return max(MAX_CONCURRENT_QUESTIONS, self.judge.load.clients(self._made()))

    def begin(self, task: str, questions: int = 0) -> None:
        """Begin to count for another subtask, which will ask this many questions."""
        self.tally = JudgeTally()
        self._counted.clear()
        self.progress = Progress(self.name, f"judging {task}", self.log_file, total=questions)

    @contextmanager
    def shown(self, display: Display) -> Iterator[None]:
        """Show how far the judging is, where there is something to ask."""
        progress = self.progress
        progress.phase, progress.started = "asking", time.monotonic()
        self._display = display
        display.start([progress])
        try:
            yield
            progress.phase = "done"
        except BaseException:
            progress.phase = "failed"
            raise
        finally:
            progress.ended = time.monotonic()
            display.stop()
            self._display = None

    def told(self) -> dict[str, Any]:
        """Return what judging the subtask took, as results keep it."""
        tally = self.tally
        return {
            "model": self.name,
            "questions": tally.questions,
            "asked_before": tally.found,
            "failed": tally.failed,
            "input_tokens": tally.input_tokens,
            "output_tokens": tally.output_tokens,
        }

    async def ask(self, request: Request) -> Prediction:
        """Answer one question, from the log where it was asked before. The text is without reasoning.

        Raises:
            ServiceError: the judge cannot be reached, or does not serve its model.
            RunError: the log cannot be written; or nothing is to be sent, and this was never asked.
        """
        request = self._ready(request)
        self.tally.questions += 1
        found = self._known.get(request.key)
        if found is not None:
            self.tally.found += 1
            self.progress.finished += 1
            self.progress.resumed += 1
        elif self.answer_requests is None:
            raise RunError(
                f"the judge {self.name} was not asked about every answer yet, and this command asks nothing\n"
                f"  let it judge first, with {self.again}"
            )
        else:
            sending = self._under_way.get(request.key)
            if sending is None:
                sending = self._under_way[request.key] = asyncio.create_task(
                    self._send(request, self.answer_requests)
                )
                sending.add_done_callback(_seen)
            found = await asyncio.shield(sending)
        if found.failure is not None:
            self.tally.failed += 1
        elif found.key not in self._counted:
            self._counted.add(found.key)
            self.tally.add(found)
        marks = known_marks(self.plugins, self.judge.model.marks)
        return replace(found, text=VisibleText.of(found.text, marks).text)

    def _ready(self, request: Request) -> Request:
        """Return what is sent, with its content in place of the sample's id."""
        backend = self._made()
        params = {**self.judge.params, **request.params, **self.judge.forced}
        for name in unknown_to(backend, params):  # of the evaluator: the judge's own are checked
            del params[name]
            self.tally.not_sent.add(name)
        if request.repeat and sends(backend, "seed"):
            params.setdefault("seed", self.judge.load.seed + request.repeat)
        of = request.sample_id
        request = cross(replace(request, params=params), backend.takes, self.judge.model.system)
        model = self.judge.model
        prompt = prompt_of(request)
        content = [model.backend, model.options.get("model"), prompt, params]
        digest = hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS, default=str)).hexdigest()
        return replace(request, sample_id=digest[:20], facts={"about": of, "prompt": prompt})

    async def _send(self, request: Request, answer_requests: AnswerRequests) -> Prediction:
        try:
            answer = await self._opened(answer_requests)
            try:
                found = await answer(request, self.progress)
            except ServiceError as error:
                self._unready = self._not_ready(error)
                raise ServiceError(self._unready) from error
            if found.failure is None:
                self._known[request.key] = found
            return found
        finally:
            self._under_way.pop(request.key, None)

    async def _opened(self, answer_requests: AnswerRequests) -> JudgeAnswer:
        """Look for the service and open the log, once."""
        async with self._opening:
            if self._unready is not None:
                raise ServiceError(self._unready)
            if self._answer is None:
                backend = self._made()
                self.log_file.parent.mkdir(parents=True, exist_ok=True)
                lines = self._stack.enter_context(self.log_file.open("a", encoding="utf-8"))

                def note(line: str) -> None:
                    lines.write(f"{now()} {line}\n")
                    lines.flush()

                try:
                    async with waiting_for(backend, self.wait, note):
                        info = await backend.probe()
                except ServiceError as error:
                    note(str(error))
                    self._unready = self._not_ready(error)
                    raise ServiceError(self._unready) from error
                for line in info.notes:
                    note(line)

                def say(line: str) -> None:
                    note(line)
                    if self._display is not None:
                        self._display.say(f"the judge {self.name}: {line}")

                answering = answer_requests(
                    backend, self.judge.load, self.folder, session=self.session, note=note, say=say
                )
                self._answer = await self._stack.enter_async_context(answering)
            return self._answer

    def _not_ready(self, error: ServiceError) -> str:
        return (
            f"the judge {self.name}: {error}\n"
            f"  when it is ready, go on with {self.again}: what it has said is kept"
        )

    def _made(self) -> Backend:
        """Return the judge's backend.

        Raises:
            UsageError: it cannot be made, or would not honour a parameter.
        """
        if self._backend is None:
            self._backend = judge_backend(self.judge, self.plugins)
        return self._backend

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._stack.aclose()
        if self._backend is not None:
            with suppress(Exception):
                await self._backend.aclose()


def _seen(sending: asyncio.Task[Prediction]) -> None:
    """Take note of how a question ended, also where nobody waits for its answer any more."""
    if not sending.cancelled():
        sending.exception()


def is_judged(task: Task, plugins: Plugins) -> bool:
    """Say whether an evaluator of a task asks a model."""
    return any(
        Ask in injected_types(plugins.find("evaluator", use.use).factory).values() for use in task.evaluate
    )


def check_judge(spec: RunSpec, plugins: Plugins) -> list[str]:
    """Refuse to begin where answers are to be judged and nothing says by whom, or the judge cannot be made.

    Return lines on names of its parameters that look misspelt.

    Raises:
        ConfigError: says how a judge is named, or which of its parameters is not right.
        UsageError: its backend cannot be made.
    """
    judged = [task.name for task in spec.tasks.values() if is_judged(task, plugins)]
    if not judged:
        return []
    if spec.judge is None:
        raise missing_judge_error(judged[0])
    backend = judge_backend(spec.judge, plugins)
    params = {**spec.judge.params, **spec.judge.forced}
    return [f"judge {spec.judge.model.abbr}: {line}" for line in misspellings(backend, params)]


def judge_backend(judge: Judge, plugins: Plugins) -> Backend:
    """Make the backend of a judge.

    Raises:
        UsageError: it cannot be made, or would not honour a parameter.
    """
    model = judge.model
    backend: Backend = connect(plugins.make("backend", model.backend, model.options, where="judge.options"))
    params = {**judge.params, **judge.forced}
    check_values(params, "judge.")
    places = dict.fromkeys(params, "[judge], or the model that it is based on")
    refuse_not_sent(backend, model.backend, places, "judge.")
    backend.check_params(params)
    return backend


def missing_judge_error(task: str) -> ConfigError:
    """Return the error for a task that needs a judge."""
    return ConfigError(
        "judge",
        f"{task} is judged by a model, and none is named\n"
        "  name one with --judge NAME (any model, with --judge-url where it is served), "
        "or write a table [judge] in aisb.toml",
    )


def judging_of(
    folder: RunFolder,
    spec: RunSpec,
    plugins: Plugins,
    *,
    answer_requests: AnswerRequests | None = None,
    session: int = 0,
) -> Judging | None:
    """Return the judging of a run, with what its judge has said before; None where no judge is named.

    Without `answer_requests` nothing is sent.
    """
    if spec.judge is None:
        return None
    name = spec.judge.model.abbr
    return Judging(
        spec.judge,
        plugins,
        folder.judge(name),
        folder.judge_log(name),
        answer_requests=answer_requests,
        session=session,
        again=f"aisb score {folder}",
        wait=spec.run.wait,
    )
