"""Many runs at a glance: what each was, how it stands, and what came out, without reading its log.

Everything here only reads, and a run that another command is writing is read all the same.
"""

from __future__ import annotations

import fcntl
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import orjson

from aisb import Result
from aisb._errors import AisbError, RunError
from aisb_engine._record.manifest import other_sessions
from aisb_engine._record.runfolder import TIMESTAMP, RunFolder

Status = Literal["running", "done", "failed", "stopped", "killed"]
STATUSES: Mapping[Status, str] = {
    "running": "a command is writing it now",
    "done": "it ended with exit code 0",
    "failed": "it ended with another exit code than 0 and 130",
    "stopped": "it was stopped by a person (exit code 130)",
    "killed": "its command ended without saying so, or is on another machine",
}
PROGRESS = "progress.json"


@dataclass(frozen=True, slots=True)
class RunInfo:
    """One run as its folder tells of it. `scores` are the headline metrics, in percent, by model and task.

    `remarks` say what must be known beside a score: rules on trial, or an average over some of the groups.
    `figures` are those of a performance run, by model and task. `unreadable` says why nothing more is known.
    """

    folder: RunFolder
    status: Status
    kind: Literal["accuracy", "performance"] = "accuracy"
    models: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    subtasks: tuple[tuple[str, str], ...] = ()
    started: str | None = None
    ended: str | None = None
    exit_code: int | None = None
    command: tuple[str, ...] = ()
    imported: str | None = None
    scores: Mapping[tuple[str, str], float] = field(default_factory=dict)
    remarks: Mapping[tuple[str, str], str] = field(default_factory=dict)
    figures: Mapping[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)
    unreadable: str = ""

    @property
    def pages(self) -> list[Path]:
        """The pages that reporters made of it, the summaries first."""
        made = sorted(self.folder.path.glob("summary/*.html"), reverse=True)
        return [*made, *sorted(self.folder.path.glob("performances/*/*.html"))]


def is_written(folder: RunFolder) -> bool:
    """Say whether a command is writing this run: whether its lock is held."""
    try:
        with (folder.path / ".lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False  # the lock that was taken goes with the file


def read_run(folder: RunFolder) -> RunInfo:
    """Read what one run was, and how it stands."""
    written = is_written(folder)
    manifest = _table(folder.manifest)
    every = [*(manifest.get("sessions") or ()), *other_sessions(folder)]
    sessions = sorted(
        (s for s in every if isinstance(s, Mapping)), key=lambda session: str(session.get("started"))
    )
    last = sessions[-1] if sessions else {}
    code = last.get("exit_code")
    known: dict[str, Any] = {
        "started": sessions[0].get("started") if sessions else None,
        "ended": None if written else last.get("ended"),
        "exit_code": None if written else code,
        "command": tuple(map(str, last.get("command") or ())),
        "imported": manifest.get("imported"),
    }
    status = _status(code, written=written)
    try:
        config = tomllib.loads(folder.config.read_text("utf-8"))
        subtasks = tuple((s["model"], s["task"]) for s in config.get("subtasks", ()))
        performance = bool(config.get("run", {}).get("performance"))
        scored = [] if performance else _scores(folder)
        return RunInfo(
            folder,
            status,
            "performance" if performance else "accuracy",
            tuple(dict.fromkeys(model for model, _ in subtasks)),
            tuple(dict.fromkeys(task for _, task in subtasks)),
            subtasks,
            scores={(one.model, one.task): value for one, value in scored},
            remarks={(one.model, one.task): remark for one, _ in scored if (remark := _remark(one))},
            figures=_figures(folder, subtasks) if performance else {},
            **known,
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        return RunInfo(folder, status, unreadable=f"{folder.config} cannot be read: {error}", **known)


def read_progress(folder: RunFolder) -> dict[str, Any]:
    """Return how far a run is, as the command that writes it says every second; empty where none does."""
    return _table(folder.path / "log" / PROGRESS)


def started_at(folder: RunFolder) -> datetime | None:
    """Return when a run began, in local time, as its folder's name says it."""
    with suppress(ValueError):
        return datetime.strptime(folder.timestamp[:15], "%Y%m%d_%H%M%S")  # noqa: DTZ007 - a name, local time
    return None


def removable(work_dir: Path, name: str) -> RunFolder:
    """Return the run that may be removed: one in the work folder itself, which no command is writing.

    Raises:
        RunError: there is no such run there, or it is being written.
    """
    folder = RunFolder.find(work_dir, name)
    path = folder.path
    if path.is_symlink() or path.resolve().parent != work_dir.resolve():
        raise RunError(
            f"{path} is not in the work folder {work_dir}, and only runs in it are removed\n"
            f"  name its work folder with -w, or remove the folder yourself"
        )
    if not TIMESTAMP.fullmatch(path.resolve().name):
        raise RunError(
            f"{path} has been given a name of its own, as a baseline that is kept: it is not removed\n"
            f"  to remove it all the same: rm -r {path}"
        )
    if is_written(folder):
        with folder.lock():  # whose error says by which process
            pass
    return folder


def size(folder: RunFolder) -> int:
    """Return how many bytes a run's files take."""
    total = 0
    for path in folder.path.rglob("*"):
        with suppress(OSError):
            total += path.lstat().st_size if path.is_file() else 0
    return total


def _status(code: Any, *, written: bool) -> Status:
    if written:
        return "running"
    if code is None:
        return "killed"
    return "done" if code == 0 else "stopped" if code == 130 else "failed"


def _scores(folder: RunFolder) -> list[tuple[Result, float]]:
    """Return the results that have a headline, with its value."""
    from aisb_engine._reporting.finished import open_finished_run

    with suppress(AisbError):
        return [
            (one, one.headline.value)
            for one in open_finished_run(folder.path).results
            if one.headline is not None and one.headline.value is not None
        ]
    return []


def _remark(result: Result) -> str:
    groups = result.headline.groups if result.headline else None
    parts = ["{} of {} groups".format(*groups)] if groups else []
    if result.trial:
        parts.append(f"other rules than the task's own: {', '.join(result.trial)}")
    return "; ".join(parts)


def _figures(
    folder: RunFolder, subtasks: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], Mapping[str, str]]:
    """Return the "Common Metric" tables of a performance run, as it was shown."""
    found = {}
    for model, task in subtasks:
        base = folder.performances(model, task)
        table = _table(base.with_name(f"{base.name}.json"))
        found[model, task] = {
            str(name): str(value["total"])
            for name, value in table.items()
            if isinstance(value, Mapping) and "total" in value
        }
    return {key: table for key, table in found.items() if table}


def _table(path: Path) -> dict[str, Any]:
    """Read a JSON object; what is missing, or is being replaced this moment, is empty."""
    with suppress(OSError, ValueError):
        data = orjson.loads(path.read_bytes())
        if isinstance(data, dict):
            return data
    return {}
