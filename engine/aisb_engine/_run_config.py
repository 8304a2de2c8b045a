"""Save the configuration of a run in its folder, resolved, so that the file reproduces the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tomli_w

from aisb_engine._record.runfolder import RunFolder, write_atomically
from aisb_engine._resolve.catalog import read_user_file
from aisb_engine._resolve.rules import with_own_rules
from aisb_engine._resolve.secrets import mask_options
from aisb_engine._resolve.tables import overlay
from aisb_engine._spec import Judge, RunSpec

FILE_HEADER = """\
# This run, resolved: `aisb run -c` with this file does it again. [[subtasks]] has the parameters to send:
# `params` from files, `forced` from flags. A row's own max_tokens overrides the first, not the second.
"""


def resolved(spec: RunSpec) -> dict[str, Any]:
    """Return a resolved run as the tables of a configuration file: secrets masked, unset keys omitted."""
    return {
        "run": {**_plain(spec.run), "resolved": True},
        "models": {
            name: {**_plain(m), "options": mask_options(m.options)} for name, m in spec.models.items()
        },
        "tasks": {name: _plain(task) for name, task in spec.tasks.items()},
        "subtasks": [_plain(subtask) for subtask in spec.subtasks],
        **({"judge": _judge_table(spec.judge)} if spec.judge else {}),
        **({"launcher": spec.launcher} if spec.launcher else {}),
    }


def _judge_table(judge: Judge) -> dict[str, Any]:
    """Return the judge as one complete model table."""
    model = {**_plain(judge.model), "options": mask_options(judge.model.options)}
    return {**model, "params": judge.params, "forced": judge.forced, "load": _plain(judge.load)}


def keep_late_judge(folder: RunFolder, judge: Judge) -> None:
    """Save the judge of a run that was started without one, so that the answers can be graded again."""
    write_atomically(folder.late_judge, tomli_w.dumps(_judge_table(judge), multiline_strings=True).encode())


def save_config(folder: RunFolder, spec: RunSpec, *, again: bool) -> None:
    """Write the resolved run, merged with what earlier commands saved in the same folder.

    Without `again`, an existing file is left unchanged.
    """
    tables = resolved(spec)
    if folder.config.exists():
        if not again:
            return
        tables = _merged(read_user_file(folder.config), tables)
    write_atomically(folder.config, (FILE_HEADER + tomli_w.dumps(tables, multiline_strings=True)).encode())


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two resolved runs: tables of the new one win, except the grading rules of existing tasks."""
    tasks = dict(old.get("tasks", {}))
    for name, table in new["tasks"].items():
        tasks[name] = with_own_rules(tasks[name], table) if name in tasks else table
    pairs = {(s["model"], s["task"]): s for s in (*old.get("subtasks", ()), *new["subtasks"])}
    run = overlay(old.get("run", {}), new["run"])
    for key in ("models", "datasets"):
        run[key] = list(dict.fromkeys([*old.get("run", {}).get(key, ()), *new["run"].get(key, ())]))
    return {
        "run": run,
        "models": {**old.get("models", {}), **new["models"]},
        "tasks": tasks,
        "subtasks": list(pairs.values()),
        **({"judge": judge} if (judge := new.get("judge", old.get("judge"))) else {}),
        **({"launcher": new["launcher"]} if "launcher" in new else {}),
    }


def _plain(model: Any) -> dict[str, Any]:
    table: dict[str, Any] = model.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    return table
