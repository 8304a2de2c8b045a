"""The rules by which a run is scored: its own, or others for a trial; and the keys that may differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from aisb._errors import UsageError
from aisb._plugins import Plugins
from aisb_engine._record.manifest import flatten_tables, identity_differences
from aisb_engine._record.runfolder import RunFolder
from aisb_engine._resolve.catalog import read_user_file
from aisb_engine._resolve.config import RunInput, resolve
from aisb_engine._resolve.tables import Setting
from aisb_engine._spec import Judge, RunSpec, Task

if TYPE_CHECKING:
    from aisb_engine._spec import Subtask

SCORING_KEYS = frozenset(
    {
        ("postprocess",),
        ("evaluate",),
        ("repeats",),
        ("logprob", "normalise"),
        ("sample", "target"),
        ("sample", "target_letter"),
        ("sample", "target_index"),
        ("sample", "clean"),
        ("sample", "cluster"),
        ("sample", "areas"),
    }
)
"""Keys of a task that only scoring reads, not the requests."""

ASKING_RUN_KEYS = frozenset({"models", "datasets", "max_num_workers", "performance", "resolved", "selection"})
"""Keys of `[run]` that affect requests."""


def run_file(folder: RunFolder) -> dict[str, Any]:
    """Return a run's own configuration as plain tables.

    If the run was started without a judge and scored with one later, that judge is part of it.
    """
    table = read_user_file(folder.config)
    if "judge" not in table and folder.late_judge.exists():
        table["judge"] = read_user_file(folder.late_judge)
    return table


def own_input(folder: RunFolder) -> RunInput:
    """Return the input that resolves to the run as it was started."""
    late = run_file(folder).get("judge")
    return RunInput(file=folder.config, tables={"judge": late} if late else {})


def own_spec(folder: RunFolder, plugins: Plugins) -> RunSpec:
    """Return the specification of a run as it was started, with its own rules.

    Raises:
        UsageError: its configuration can no longer be resolved.
    """
    return resolve(plugins, own_input(folder))


def refuse_asking_keys(sets: Iterator[Setting], folder: RunFolder) -> None:
    """Refuse to score with a setting that affects requests, since they have been sent already.

    Raises:
        UsageError: the message names the key, and how to start a new run.
    """
    for setting in sets:
        if not _belongs_to_scoring(setting.path):
            raise _refusal(".".join(setting.path), folder, f"--set {'.'.join(setting.path)}=…")


def refuse_other_requests(own: RunSpec, spec: RunSpec, folder: RunFolder) -> None:
    """Refuse to score with flags that affect requests, if they differ from the run's.

    Raises:
        UsageError: the message names the first key that differs, with both values.
    """
    before = {subtask.key: subtask for subtask in own.subtasks}
    for subtask in spec.subtasks:
        old = before.get(subtask.key)
        if old is None:
            continue
        lines = identity_differences(
            _requests(own.tasks[old.task], old), _requests(spec.tasks[subtask.task], subtask)
        )
        if lines:
            raise _refusal(lines[0], folder, "the same flags")


def _refusal(what: str, folder: RunFolder, words: str) -> UsageError:
    return UsageError(
        f"{what}: this affects requests, and those of {folder} have been sent already\n"
        f"  start a new run, without --reuse: aisb run --models … --datasets … with {words}"
    )


def _belongs_to_scoring(path: tuple[str, ...]) -> bool:
    root, *rest = path
    if root == "run":
        return rest[0] not in ASKING_RUN_KEYS
    if root in {"judge", "launcher"} or path == ("load", "workers"):  # the last two also place the graders
        return True
    below = tuple(rest if root == "task" else rest[1:] if root == "tasks" else ())
    return any(below[: len(key)] == key for key in SCORING_KEYS)


def _requests(task: Task, subtask: Subtask) -> dict[str, Any]:
    """Return what determines the requests to send, by key."""
    table = task.model_dump(mode="json", exclude_unset=True, exclude_none=True, exclude={"params"})
    flat = flatten_tables("task", table)
    sent = {key: value for key, value in flat.items() if not _belongs_to_scoring(tuple(key.split(".")))}
    load = subtask.load.model_dump(mode="json", exclude_unset=True, exclude_none=True, exclude={"workers"})
    return {**sent, **flatten_tables("params", subtask.merged), **flatten_tables("load", load)}


def changed_rules(own: RunSpec, spec: RunSpec, task: str) -> tuple[str, ...]:
    """Return the keys in which the rules for a task differ from the run's own."""
    if task not in own.tasks:
        return ()
    old, new = (_rules(one.tasks[task]) for one in (own, spec))
    changed = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    if own.judge and spec.judge and _judged_by(own.judge) != _judged_by(spec.judge):
        changed.append("judge")
    return tuple(changed)


def _rules(task: Task) -> Mapping[str, Any]:
    table = task.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    flat = flatten_tables("task", {key: value for key, value in table.items() if key != "base"})
    return {key: value for key, value in flat.items() if _belongs_to_scoring(tuple(key.split(".")))}


def _judged_by(judge: Judge) -> tuple[str, Any, Mapping[str, Any]]:
    """Return what a judge's verdicts depend on, which excludes its address and its load."""
    return judge.model.backend, judge.model.options.get("model"), {**judge.params, **judge.forced}


def with_own_rules(own: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the table of a task that is run again, with the rules that the run began with."""
    kept = dict(new)
    for key in ("postprocess", "evaluate", "repeats"):
        kept.pop(key, None)
        if key in own:
            kept[key] = own[key]
    for name, keys in (
        ("sample", ("target", "target_letter", "target_index", "clean", "cluster", "areas")),
        ("logprob", ("normalise",)),
    ):
        table = {key: value for key, value in new.get(name, {}).items() if key not in keys}
        table |= {key: value for key, value in own.get(name, {}).items() if key in keys}
        kept.pop(name, None)
        if table:
            kept[name] = table
    return kept
