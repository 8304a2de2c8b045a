"""Grade on a launcher's workers: the answers of evaluators that run programs or wait for another process."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aisb._data import DataFiles
from aisb._errors import AisbError, RunError
from aisb._evaluator import Ask, Evaluator
from aisb._options import arguments, bind
from aisb._types import Metric, Sample, Score
from aisb_engine._faults import RAISED, ComponentError, describe, is_stop
from aisb_engine._scoring.grading_job import EvaluatorRecipe, GradingJob, question, read_score

if TYPE_CHECKING:
    from aisb._plugins import Plugins
    from aisb._running import Launcher
    from aisb_engine._spec import GradingUse

ANSWERS_PER_WORKER = 2
"""Answers that a worker has at a time: one is graded while the message with the next one travels."""
ATTEMPTS = 3
"""How often an answer is graded whose workers are lost, and how often a worker is replaced."""
STOP_SECONDS = 5.0


@dataclass(slots=True, eq=False)
class _Question:
    """An answer that waits for its grade."""

    message: Mapping[str, Any]
    reply: asyncio.Future[Mapping[str, Any]]
    attempts: int = 0


@dataclass(slots=True)
class GradingWorkers:
    """The workers that grade the answers of one subtask.

    `error` wraps an exception of the launcher; `say` gets lines for the user.
    """

    launcher: Launcher
    jobs: Sequence[GradingJob]
    error: Callable[[BaseException], AisbError]
    say: Callable[[str], None]
    _waiting: deque[_Question] = field(default_factory=deque)
    _by_worker: dict[int, dict[int, _Question]] = field(default_factory=dict)
    _starting: set[int] = field(default_factory=set)
    _replaced: Counter[int] = field(default_factory=Counter)
    _question_count: int = 0
    _error: AisbError | None = None
    _taking: asyncio.Lock = field(default_factory=asyncio.Lock)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[GradingWorkers]:
        """Start the workers, and stop them after the block.

        Raises:
            RunError: they cannot be started.
            ComponentError: the launcher raised something else.
        """
        self._starting = set(range(len(self.jobs)))
        following: asyncio.Task[None] | None = None
        try:
            try:
                await self.launcher.start(self.jobs)
            except RAISED as error:
                if isinstance(error, AisbError) or is_stop(error):
                    raise
                raise self.error(error) from error
            following = asyncio.create_task(self._follow())
            yield self
        finally:
            if following is not None:
                async with self._taking:  # a worker that is being started must be known before it is stopped
                    following.cancel()
                await asyncio.gather(following, return_exceptions=True)
            await self._try(self.launcher.send({"stop": True}))
            await self._try(self.launcher.stop(STOP_SECONDS))
            await self._try(self.launcher.collect())

    async def grade(self, evaluator: str, answer: str | None, sample: Sample) -> Score:
        """Let a worker grade one answer.

        Raises:
            RunError: no worker is left.
            Exception: the evaluator raised.
        """
        if self._error is not None:
            raise self._error
        self._question_count += 1
        pending = _Question(
            question(self._question_count, evaluator, answer, sample),
            asyncio.get_running_loop().create_future(),
        )
        self._waiting.append(pending)
        await self._hand_out()
        return read_score(await pending.reply)

    async def _hand_out(self) -> None:
        """Give waiting answers to workers with the fewest."""
        while self._waiting and self._by_worker:
            number = min(self._by_worker, key=lambda one: len(self._by_worker[one]))
            if len(self._by_worker[number]) >= ANSWERS_PER_WORKER:
                return
            pending = self._waiting.popleft()
            if pending.reply.done():
                continue
            self._by_worker[number][pending.message["grade"]] = pending
            await self.launcher.send_to(number, pending.message)

    async def _follow(self) -> None:
        """Follow the messages of the workers; what ends them ends all questions that wait."""
        try:
            async for number, message in self.launcher.watch():
                async with self._taking:
                    await self._take(number, message)
            raise RunError("the workers ended before all answers were graded")
        except AisbError as error:
            self._end(error)
        except RAISED as error:
            if is_stop(error):
                raise
            self._end(self.error(error))

    async def _take(self, number: int, message: Mapping[str, Any]) -> None:
        if "error" in message:
            raise RunError(f"worker {number} cannot grade: {message['error']}")
        if "ready" in message:
            self._starting.discard(number)
            self._by_worker[number] = {}
        if "graded" in message and (pending := self._by_worker.get(number, {}).pop(message["graded"], None)):
            _answer(pending, message)
        if "say" in message:
            self.say(f"worker {number}: {message['say']}")
        if "lost" in message:
            await self._lose(number, message["lost"])
        await self._hand_out()

    async def _lose(self, number: int, reason: str) -> None:
        """Give the answers of a lost worker to others; start another one in its place.

        Raises:
            RunError: it was the last one.
        """
        unfinished = [*self._by_worker.pop(number, {}).values()]
        self._starting.discard(number)
        for pending in unfinished:
            pending.attempts += 1
            if pending.attempts < ATTEMPTS:
                self._waiting.appendleft(pending)
            else:
                _answer(
                    pending, {"raised": ["RunError", f"its worker was lost {ATTEMPTS} times: {reason}", ""]}
                )
        self._replaced[number] += 1
        self.say(f"{reason}; {len(unfinished)} answers are graded again")
        if self._replaced[number] <= ATTEMPTS and await self.launcher.replace(number):
            self._starting.add(number)
        if not self._by_worker and not self._starting:
            raise RunError(f"{reason}\n  the answers are kept: aisb score grades them")

    async def _try(self, step: Awaitable[None]) -> None:
        """Take a step of the end; the grades are there already, or another error is on its way."""
        try:
            await step
        except RAISED as error:
            if is_stop(error):
                raise
            self.say(f"the launcher failed: {describe(error)}")

    def _end(self, error: AisbError) -> None:
        self._error = error
        for pending in (
            *self._waiting,
            *(one for held in self._by_worker.values() for one in held.values()),
        ):
            if not pending.reply.done():
                pending.reply.set_exception(error)


def _answer(pending: _Question, message: Mapping[str, Any]) -> None:
    if not pending.reply.done():
        pending.reply.set_result(message)


class LaunchedEvaluator(Evaluator):
    """An evaluator whose answers workers grade. It aggregates here."""

    def __init__(self, name: str, evaluator: Evaluator, workers: GradingWorkers) -> None:
        self._name, self._evaluator, self._workers = name, evaluator, workers
        self.grades_none = evaluator.grades_none

    async def score(self, answer: str | None, sample: Sample) -> Score:
        """Let a worker grade one answer."""
        return await self._workers.grade(self._name, answer, sample)

    def ungraded_details(self, sample: Sample) -> Mapping[str, Any]:
        """Return the evaluator's own details."""
        return self._evaluator.ungraded_details(sample)

    def extra_metrics(self, scores: Sequence[Score]) -> list[Metric]:
        """Return the evaluator's own metrics."""
        return self._evaluator.extra_metrics(scores)

    def summarize(self, scores: Sequence[Score]) -> list[Metric] | None:
        """Aggregate as the evaluator does."""
        return self._evaluator.summarize(scores)


def launchable(
    uses: Mapping[str, GradingUse], evaluators: Mapping[str, Evaluator], plugins: Plugins
) -> dict[str, EvaluatorRecipe]:
    """Return recipes of the evaluators whose answers workers may grade, by the names in their scores.

    These are the evaluators with an asynchronous `score`: they wait for a program or another process. Those
    that ask a judge or open data files stay in this process, and so do those for only some rows.
    """
    recipes = {}
    for name, evaluator in evaluators.items():
        use = uses[name]
        component = plugins.find("evaluator", use.use)
        waits = inspect.iscoroutinefunction(evaluator.score) and not evaluator.questions_per_answer
        if use.only or component.place is None or not waits:
            continue
        options = bind(component.factory, use.options)
        if {*arguments(component.factory, use.options, {DataFiles: None, Ask: None})} <= {*options}:
            recipes[name] = EvaluatorRecipe(component.place, options)
    return recipes


@asynccontextmanager
async def launched_evaluators(
    recipes: Mapping[str, EvaluatorRecipe],
    evaluators: Mapping[str, Evaluator],
    plugins: Plugins,
    *,
    launcher: str,
    options: Mapping[str, Any],
    workers: int,
    say: Callable[[str], None],
) -> AsyncIterator[dict[str, Evaluator]]:
    """Start workers, and yield the evaluators; those with a recipe let the workers grade.

    Raises:
        UsageError: there is no such launcher, or it does not take its options.
        RunError: the workers cannot be started.
    """

    def error(raised: BaseException) -> ComponentError:
        return ComponentError.of(plugins, "launcher", launcher, "", raised)

    variables = {name: value for name, value in os.environ.items() if name.startswith("AISB_")}
    jobs = [GradingJob(number, recipes, variables) for number in range(workers)]
    placed = plugins.make("launcher", launcher, options, where="launcher")
    number = "1 worker" if workers == 1 else f"{workers} workers"
    say(f"{', '.join(recipes)}: graded on {number} of the launcher {launcher}")
    async with GradingWorkers(placed, jobs, error, say).running() as graded_by:
        yield {
            name: LaunchedEvaluator(name, evaluator, graded_by) if name in recipes else evaluator
            for name, evaluator in evaluators.items()
        }
