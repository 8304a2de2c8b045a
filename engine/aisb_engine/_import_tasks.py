"""Find the tasks that grade the answers of another tool: by name, by the user's choice, or by a group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from aisb import AisbError, ImportedTask, UsageError
from aisb._plugins import Plugins
from aisb_engine._resolve.catalog import Catalog, Selection
from aisb_engine._resolve.config import RunInput
from aisb_engine._resolve.layers import Resolver
from aisb_engine._spec import Task


class GradingTask(NamedTuple):
    """The task that grades imported answers, if there is one, and its group that they belong to.

    `why_ungraded` is the reason why a task with their name cannot grade them.
    """

    task: Task | None
    group: str | None = None
    variant: str | None = None
    why_ungraded: str = ""


class GradingTasks:
    """Finds the task that grades the answers of another tool."""

    def __init__(self, plugins: Plugins, chosen: Mapping[str, str], file: Path | None) -> None:
        self._catalog = Catalog(plugins)
        self._resolver = Resolver(plugins, self._catalog, RunInput(file=file))
        self._own = self._resolver.user.get("tasks", {})
        self._chosen = chosen

    def find(self, one: ImportedTask) -> GradingTask:
        """Return the task, with its group if the tool has each group as a task: `mmlu_anatomy`."""
        chosen = self._chosen.get(one.task, self._chosen.get("*"))
        name = chosen or one.graded_by or one.task
        try:
            selection, _ = self._catalog.find("task", Selection.parse(name), self._own)
        except AisbError:
            if chosen is not None:
                raise
            return self._grouped(name)
        task = self._resolver.show(name)
        if task.environment is not None:
            reason = (
                f"the task {task.name} grades the state of an environment ({task.environment.use}) at the "
                "end, which imported answers do not have"
            )
            if chosen is not None:
                raise UsageError(
                    f"{reason}\n  import them without --as {name}, which keeps them ungraded, or run the "
                    f"task: aisb run --datasets {name}"
                )
            return GradingTask(None, why_ungraded=reason)
        groups = task.dataset.select.get(group_field(task) or "", [])
        return GradingTask(task, groups[0] if len(groups) == 1 else None, selection.variant)

    def _grouped(self, name: str) -> GradingTask:
        """Return the task whose name is a prefix of this name; the rest of it is the group."""
        names = {*self._own, *(entry.name for entry in self._catalog.entries("task"))}
        for known in sorted(names, key=len, reverse=True):
            if name.startswith((f"{known}_", f"{known}-")):
                task = self._resolver.show(known)
                if task.sample.group:
                    return GradingTask(task, name[len(known) + 1 :])
        return GradingTask(None)


def with_variant_names(gradings: Sequence[GradingTask]) -> list[GradingTask]:
    """Return the tasks; if two variants of a task are imported, add the variants to the names."""
    variants: dict[str, set[str | None]] = {}
    for one in gradings:
        if one.task is not None:
            variants.setdefault(one.task.name, set()).add(one.variant)
    return [
        one._replace(task=one.task.model_copy(update={"name": f"{one.task.name}-{one.variant}"}))
        if one.task is not None and one.variant and len(variants[one.task.name]) > 1
        else one
        for one in gradings
    ]


def with_consecutive_positions(
    found: Sequence[ImportedTask], gradings: Sequence[GradingTask]
) -> Iterator[ImportedTask]:
    """Yield tasks with consecutive row positions where several of them belong to one group of a task."""
    begins: dict[tuple[str, str, str | None], dict[str, int]] = {}
    for one, grading in zip(found, gradings, strict=True):
        if grading.task is None:
            yield one
            continue
        known = begins.setdefault((one.model, grading.task.name, grading.group), {"": 0})
        begin = known.setdefault(one.task, known[""])
        known[""] = max([known[""], *(begin + row.position + 1 for row in one.rows)])
        yield replace(one, rows=tuple(replace(row, position=begin + row.position) for row in one.rows))


def group_field(task: Task) -> str | None:
    text = task.sample.group or ""
    return text[1:-1] if text.startswith("{") and text.endswith("}") else None
