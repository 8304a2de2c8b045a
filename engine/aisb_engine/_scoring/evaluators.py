"""Create the evaluators of a task, by the names in their scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aisb._evaluator import Ask, Evaluator
from aisb_engine._faults import ComponentError, PluginFaults, make
from aisb_engine._scoring.rows import GraderOfRows, parted

if TYPE_CHECKING:
    from aisb._plugins import Plugins
    from aisb_engine._spec import GradingUse, Task


def evaluator_uses(task: Task) -> dict[str, GradingUse]:
    """Return the evaluators of a task by the names in their scores.

    Evaluators that are limited to some rows form one evaluator; the first represents all of them.
    """
    uses: dict[str, GradingUse] = {}
    parts = parted(task.evaluate)
    for position, use in enumerate(task.evaluate):
        if use.only:
            uses.setdefault("+".join(part.use for part in parts), use)
            continue
        count = sum(other.use == use.use for other in task.evaluate[:position])
        uses[f"{use.use}-{count + 1}" if count else use.use] = use
    return uses


def make_evaluators(
    task: Task, plugins: Plugins, ask: Ask | None = None, *, faults: PluginFaults | None = None
) -> dict[str, Evaluator]:
    """Create the evaluators of a task, by the names in their scores.

    With `faults`, an evaluator whose factory raises is recorded there and omitted.

    Raises:
        ComponentError: a factory raised.
    """
    created: dict[str, Evaluator] = {}
    for name, use in evaluator_uses(task).items():
        try:
            created[name] = make_evaluator(use, task, plugins, ask)
        except ComponentError as error:
            if faults is None:
                raise
            faults.add(error, f"task {task.name}")
    return created


def make_evaluator(use: GradingUse, task: Task, plugins: Plugins, ask: Ask | None = None) -> Evaluator:
    """Create one evaluator of a task; if it is limited to some rows, all such evaluators as one.

    Raises:
        ComponentError: a factory raised.
    """

    def create(part: GradingUse) -> Evaluator:
        where = f"task.evaluate[{task.evaluate.index(part)}]"
        evaluator: Evaluator = make(plugins, "evaluator", part.use, part.options, where=where, ask=ask)
        return evaluator

    if not use.only:
        return create(use)
    return GraderOfRows([(part, create(part)) for part in parted(task.evaluate)])
