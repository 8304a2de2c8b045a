"""The graders of a run: postprocessors and evaluators, created once for each task."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from aisb_engine._faults import ComponentError, PluginFaults
from aisb_engine._scoring.evaluators import evaluator_uses, make_evaluator
from aisb_engine._scoring.judges import is_judged
from aisb_engine._scoring.judging import Judging
from aisb_engine._scoring.scoring import MAX_CONCURRENT_GRADES
from aisb_engine._scoring.steps import Steps
from aisb_engine._spec import LOCAL

if TYPE_CHECKING:
    from aisb._evaluator import Ask, Evaluator
    from aisb._plugins import Plugins
    from aisb_engine._progress import Display
    from aisb_engine._scoring.grading_job import EvaluatorRecipe
    from aisb_engine._spec import RunSpec, Subtask, Task


@dataclass(frozen=True, slots=True)
class Graders:
    """The postprocessors and evaluators of a task, and the errors of those that could not be created.

    `steps` is None if one of the postprocessors could not be created: then no answer can be found.
    `concurrency` is the number of answers to grade at once.
    """

    steps: Steps | None
    evaluators: Mapping[str, Evaluator]
    errors: Sequence[ComponentError]
    concurrency: int = MAX_CONCURRENT_GRADES


@dataclass(slots=True)
class RunGraders:
    """The graders of each task of a run: created at first use, and shared by all its models.

    `launcher` places the workers that grade, if it is not the local one.
    """

    spec: RunSpec
    plugins: Plugins
    judging: Judging | None = None
    launcher: str = LOCAL
    _by_task: dict[str, Graders] = field(default_factory=dict)

    def of(self, name: str) -> Graders:
        """Return the graders of a task.

        Raises:
            UsageError: a postprocessor or evaluator does not exist, or does not take its options.
        """
        if name not in self._by_task:
            task = self.spec.tasks[name]
            ask = self.judging.ask if self.judging and is_judged(task, self.plugins) else None
            self._by_task[name] = make_graders(task, self.plugins, ask)
        return self._by_task[name]

    @asynccontextmanager
    async def placed(self, subtask: Subtask, display: Display) -> AsyncIterator[Graders]:
        """Yield the graders of a subtask; a launcher that the user chose has workers for the slow ones.

        Raises:
            UsageError: a component does not exist, or does not take its options.
            RunError: the workers cannot be started.
        """
        graders, task = self.of(subtask.task), self.spec.tasks[subtask.task]
        recipes: Mapping[str, EvaluatorRecipe] = {}
        if self.launcher != LOCAL:
            from aisb_engine._scoring.launched import ANSWERS_PER_WORKER, launchable, launched_evaluators

            recipes = launchable(evaluator_uses(task), graders.evaluators, self.plugins)
        if not recipes:
            yield graders
            return
        workers = subtask.load.workers or 1
        async with launched_evaluators(
            recipes,
            graders.evaluators,
            self.plugins,
            launcher=self.launcher,
            options=self.spec.launcher,
            workers=workers,
            say=lambda line: display.say(f"{subtask.task} · {subtask.model}: {line}"),
        ) as evaluators:
            at_once = max(MAX_CONCURRENT_GRADES, ANSWERS_PER_WORKER * workers)
            yield replace(graders, evaluators=evaluators, concurrency=at_once)

    def check(self, faults: PluginFaults, display: Display) -> None:
        """Create the graders of all tasks and report failures before anything is sent, not hours later.

        Raises:
            UsageError: one does not exist, or does not take its options.
        """
        for name, task in self.spec.tasks.items():
            known = len(faults.faults)
            for error in self.of(name).errors:
                faults.add(error, f"task {task.name}")
            for fault in faults.faults[known:]:
                display.say(f"{name}: {fault.line}")


def make_graders(task: Task, plugins: Plugins, ask: Ask | None = None) -> Graders:
    """Create the postprocessors and evaluators of a task.

    Raises:
        UsageError: one does not exist, or does not take its options.
    """
    steps, errors = None, list[ComponentError]()
    try:
        steps = Steps.make(task.postprocess, plugins)
    except ComponentError as error:
        errors.append(error)
    evaluators: dict[str, Evaluator] = {}
    for name, use in evaluator_uses(task).items():
        try:
            evaluators[name] = make_evaluator(use, task, plugins, ask)
        except ComponentError as error:
            errors.append(error)
    return Graders(steps, evaluators, errors)
