"""Let a named judge grade tasks without an evaluator, and the texts of user-provided data files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aisb_engine._resolve.catalog import Catalog
from aisb_engine._resolve.tables import overlay, validate
from aisb_engine._spec import Task
from aisb_engine._spec.task import GradingUse

OWN_DATA = "custom"
"""The dataset of tasks that are made from user-provided data files."""


def judged_tasks(tasks: Mapping[str, Task], catalog: Catalog) -> dict[str, Task]:
    """Return tasks by name; those without a better grader are graded by the judge.

    A plugin defines this grading as the kind `judged` in its `grading.toml`. It applies to tasks of single
    requests without an evaluator, and to the texts of user-provided data files, which a reply would have to
    repeat word for word otherwise.
    """
    gradings = catalog.gradings
    if "judged" not in gradings:
        return dict(tasks)
    judged = _uses(gradings["judged"], "evaluate")
    texts = {key: _uses(gradings.get("text", {}), key) for key in ("postprocess", "evaluate")}
    return {name: _judged(task, judged, texts) for name, task in tasks.items()}


def _judged(task: Task, judged: list[GradingUse], texts: Mapping[str, list[GradingUse]]) -> Task:
    if not task.evaluate:
        fits = task.mode == "gen" and task.is_single and task.prompt.tokens is None
        return task.model_copy(update={"evaluate": judged}) if fits else task
    if task.dataset.use != OWN_DATA:
        return task
    evaluate: list[GradingUse] = []
    for use in task.evaluate:
        if _unlimited(use) in texts["evaluate"]:
            evaluate += [one.model_copy(update={"only": use.only}) if use.only else one for one in judged]
        else:
            evaluate.append(use)
    if evaluate == task.evaluate:
        return task
    kept = [use for use in task.postprocess if _unlimited(use) not in texts["postprocess"]]
    if any(use.only for use in task.evaluate):  # the steps of the other kinds of answers look the same
        kept = [use for use in task.postprocess if use.only.get("answer_kind") != "text"]
    return task.model_copy(update={"evaluate": evaluate, "postprocess": kept})


def _uses(grading: Mapping[str, Any], key: str) -> list[GradingUse]:
    return [validate(GradingUse, use, f"grading.{key}") for use in grading.get(key, ())]


def _unlimited(use: GradingUse) -> GradingUse:
    """Return a use as it would apply to all rows."""
    return validate(GradingUse, overlay({"use": use.use}, use.options), "grading")
