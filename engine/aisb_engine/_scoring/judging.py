"""Ask the judge model: through the engine, logged like any run, and never twice with the same question.

A question is identified by its content: the judge, the messages and the parameters. Scoring again therefore
sends nothing, and identical answers are judged once. A failed question is asked again by the next command.
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

from aisb._deprecated import Renamed
from aisb._errors import RunError, ServiceError, UsageError
from aisb._types import Prediction, Request
from aisb_engine._budget import BudgetUsed
from aisb_engine._data.forms import convert_prompt
from aisb_engine._http.waiting import waiting_for
from aisb_engine._progress import Display, Progress
from aisb_engine._record.log import read_folder
from aisb_engine._record.manifest import now
from aisb_engine._record.predictions import prompt_of
from aisb_engine._resolve.params import sends, unknown_to
from aisb_engine._scoring.judge_tally import JudgeTally
from aisb_engine._scoring.judges import judge_backend

if TYPE_CHECKING:
    from aisb._backend import Backend
    from aisb._plugins import Plugins
    from aisb_engine._budget import TokenBudget
    from aisb_engine._record.runfolder import RunFolder
from aisb_engine._replies.marks import known_marks
from aisb_engine._replies.thoughts import VisibleText
from aisb_engine._spec import Judge, Load, RunSpec

MAX_CONCURRENT_QUESTIONS = 32

JudgeAnswer = Callable[[Request, Progress], Awaitable[Prediction]]
"""Sends one request, counts it, and returns the prediction."""


class AnswerRequests(Protocol):
    """Sends requests to the judge's service with retries and a log: the engine's `answer_requests`.

    It is passed in, since scoring must not import inference.
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
        """Return a function that answers requests while the block runs; attempts are logged in the folder.

        It raises ServiceError if nothing has succeeded for longer than `load.outage`.
        """


@dataclass(slots=True)
class Judging:
    """The judge of a run during scoring. It connects to its service at the first new question.

    Without `answer_requests` nothing is sent, and a new question is an error. `again` is the command that
    continues the scoring. `wait` is the time in seconds to wait for a service that is still loading. The
    tokens of new questions count in the `budget`; once it is used, a new question is an error.
    """

    judge: Judge
    plugins: Plugins
    folder: Path
    log_file: Path
    answer_requests: AnswerRequests | None = None
    session: int = 0
    again: str = "the same command"
    wait: float = 0.0
    budget: TokenBudget | None = None
    tally: JudgeTally = field(default_factory=JudgeTally)
    progress: Progress = field(init=False)
    _logged: dict[tuple[str, int, int], Prediction] = field(default_factory=dict)
    _counted: set[tuple[str, int, int]] = field(default_factory=set)
    _pending: dict[tuple[str, int, int], asyncio.Task[Prediction]] = field(default_factory=dict)
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    _answer: JudgeAnswer | None = None
    _unready: str | None = None
    _display: Display | None = None
    _backend: Backend | None = None
    _turns: asyncio.Semaphore | None = None
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    def __post_init__(self) -> None:
        self._logged = {key: p for key, p in read_folder(self.folder).latest.items() if p.failure is None}
        self.begin("")

    @property
    def name(self) -> str:
        """The judge's name."""
        return self.judge.model.abbr

    @property
    def concurrency(self) -> int:
        """The number of answers to grade concurrently, so that the judge gets the load that is set for it."""
        return max(MAX_CONCURRENT_QUESTIONS, self.judge.load.clients(self._judge_backend()))

    def begin(self, task: str, questions: int = 0) -> None:
        """Reset the counts for a subtask, which will ask this number of questions."""
        self.tally = JudgeTally()
        self._counted.clear()
        self.progress = Progress(self.name, f"judging {task}", self.log_file, total=questions)

    @contextmanager
    def show_progress(self, display: Display) -> Iterator[None]:
        """Show the progress of judging while the block runs, if there is something to ask."""
        progress = self.progress
        progress.phase, progress.started = "sending", time.monotonic()
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

    shown = Renamed("show_progress")

    def summary(self) -> dict[str, Any]:
        """Return the summary of judging the subtask for the results file."""
        tally = self.tally
        return {
            "model": self.name,
            "questions": tally.questions,
            "answered_in_log": tally.found,
            "failed": tally.failed,
            "input_tokens": tally.input_tokens,
            "output_tokens": tally.output_tokens,
            "replies": tally.replies,
            "tokens_reported": tally.reported,
        }

    told = Renamed("summary")

    async def ask(self, request: Request) -> Prediction:
        """Answer one question, from the log if it was asked before. The text has no reasoning.

        Raises:
            ServiceError: the judge cannot be reached, or does not serve its model.
            RunError: the log cannot be written, or the question is new and nothing may be sent.
            BudgetUsed: the question is new, and the token budget of the run is used.
        """
        request = self._ready(request)
        self.tally.questions += 1
        prediction = self._logged.get(request.key)
        if prediction is not None:
            self.tally.found += 1
            self.progress.finished += 1
            self.progress.resumed += 1
        elif self.answer_requests is None:
            raise RunError(
                f"the judge {self.name} was not asked about every answer yet, "
                "and this command sends nothing\n"
                f"  complete the judging first, with: {self.again}"
            )
        else:
            sending = self._pending.get(request.key)
            if sending is None:
                sending = self._pending[request.key] = asyncio.create_task(
                    self._send(request, self.answer_requests)
                )
                sending.add_done_callback(_retrieve_exception)
            prediction = await asyncio.shield(sending)
        if prediction.failure is not None:
            self.tally.failed += 1
        elif prediction.key not in self._counted:
            self._counted.add(prediction.key)
            self.tally.add(prediction)
        marks = known_marks(self.plugins, self.judge.model.marks)
        return replace(prediction, text=VisibleText.of(prediction.text, marks).text)

    def _ready(self, request: Request) -> Request:
        """Return the request to send, with a hash of its content in place of the sample id."""
        backend = self._judge_backend()
        params = {**self.judge.params, **request.params, **self.judge.forced}
        if "tools" in params and "tools" in unknown_to(backend, params):
            raise UsageError(
                f"the requests to the judge {self.name} have tools, which its backend does not send"
            )
        for name in unknown_to(backend, params):  # set by the evaluator; the judge's own are checked already
            del params[name]
            self.tally.not_sent.add(name)
        if request.repeat and sends(backend, "seed"):
            params.setdefault("seed", self.judge.load.seed + request.repeat)
        of, model = request.sample_id, self.judge.model
        request = convert_prompt(replace(request, params=params), backend.prompt_form, model.system)
        prompt = prompt_of(request)
        content = [model.backend, model.options.get("model"), prompt, params]
        digest = hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS, default=str)).hexdigest()
        return replace(request, sample_id=digest[:20], facts={"about": of, "prompt": prompt})

    async def _send(self, request: Request, answer_requests: AnswerRequests) -> Prediction:
        try:
            answer = await self._opened(answer_requests)
            if self.budget is None:
                found = await self._answered(answer, request)
            else:
                # Where a question waits for its turn, so that only those in flight exceed the budget.
                self._turns = self._turns or asyncio.Semaphore(self.judge.load.clients(self._judge_backend()))
                async with self._turns:
                    if why := self.budget.stop_reason():
                        raise BudgetUsed(why)
                    found = await self._answered(answer, request)
                    self.budget.add(found, of_judge=True)
            if found.failure is None:
                self._logged[request.key] = found
            return found
        finally:
            self._pending.pop(request.key, None)

    async def _answered(self, answer: JudgeAnswer, request: Request) -> Prediction:
        try:
            return await answer(request, self.progress)
        except ServiceError as error:
            self._unready = self._not_ready(error)
            raise ServiceError(self._unready) from error

    async def _opened(self, answer_requests: AnswerRequests) -> JudgeAnswer:
        """Connect to the service and open the log, once."""
        async with self._opening:
            if self._unready is not None:
                raise ServiceError(self._unready)
            if self._answer is None:
                backend = self._judge_backend()
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
                except UsageError as error:  # a key whose variable is not set; a RunError ends the scoring
                    note(str(error))
                    raise RunError(self._not_ready(error)) from error
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

    def _not_ready(self, error: ServiceError | UsageError) -> str:
        return (
            f"the judge {self.name}: {error}\n"
            f"  when it is ready, continue with: {self.again}\n  the verdicts so far are kept"
        )

    def _judge_backend(self) -> Backend:
        """Return the judge's backend.

        Raises:
            UsageError: it cannot be created, or does not support a parameter.
        """
        if self._backend is None:
            self._backend = judge_backend(self.judge, self.plugins)
        return self._backend

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop asking, and close the connections and the log."""
        tasks = list(self._pending.values())
        is_used = self.budget is not None and bool(self.budget.stop_reason())
        for task in () if is_used else tasks:  # what is in flight when a budget is used is kept
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._stack.aclose()
        if self._backend is not None:
            with suppress(Exception):
                await self._backend.aclose()


def _retrieve_exception(sending: asyncio.Task[Prediction]) -> None:
    """Retrieve the exception of a question that nobody waits for any more, which asyncio would report."""
    if not sending.cancelled():
        sending.exception()


def judging_of(
    folder: RunFolder,
    spec: RunSpec,
    plugins: Plugins,
    *,
    answer_requests: AnswerRequests | None = None,
    session: int = 0,
    asked_in: Path | None = None,
    budget: TokenBudget | None = None,
) -> Judging | None:
    """Return the judge of a run, with its logged answers; None if the run has no judge.

    Without `answer_requests` nothing is sent. `asked_in` is the folder of the questions of an environment, if
    it is not an evaluator that asks.
    """
    if spec.judge is None:
        return None
    name = spec.judge.model.abbr
    return Judging(
        spec.judge,
        plugins,
        asked_in or folder.judge(name),
        folder.judge_log(name),
        answer_requests=answer_requests,
        session=session,
        again=folder.command("aisb run --reuse" if asked_in else "aisb score"),
        wait=spec.run.wait,
        budget=budget,
    )
