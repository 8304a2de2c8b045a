"""Many runs at a glance: what each was, how it stands, and what came out, without reading its log.

Everything here only reads, and a run that another command is writing is read all the same.
"""

from __future__ import annotations

import fcntl
import tomllib
from collections.abc import Iterable, Mapping, Sequence
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
from aisb_engine._reporting.headlines import read_headline

Status = Literal["running", "done", "partial", "failed", "stopped", "killed", "crashed"]
STATUSES: Mapping[Status, str] = {
    "running": "a command is writing it now",
    "done": "it ended with exit code 0",
    "partial": "it ended, and some of its requests were not asked",
    "failed": "it ended with another exit code than 0",
    "stopped": "it was stopped by Ctrl-C or SIGTERM (exit code 130)",
    "killed": "its command ended without saying so, or is on another machine",
    "crashed": "it ended at an exception that nobody expected (exit code 70)",
}
"""The states of a run, each with its meaning."""
PROGRESS = "progress.json"


@dataclass(frozen=True, slots=True)
class RunInfo:
    """One run as its folder tells of it. `scores` are the headline metrics, in percent, by model and task.

    `remarks` say what must be known beside a score: rules on trial, or an average over some of the groups.
    `not_asked` is how many requests were still to be asked when the last command that asked ended. How a run
    stands follows from that command: scoring it, or showing it, changes nothing. `figures` are the
    headline of a performance run, by model and task. `served` is what each model's service said of itself:
    its version, the revision of the weights, the hash of the chat template. `unreadable` says why nothing
    more is known.
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
    not_asked: int = 0
    command: tuple[str, ...] = ()
    imported: str | None = None
    served: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    scores: Mapping[tuple[str, str], float] = field(default_factory=dict)
    remarks: Mapping[tuple[str, str], str] = field(default_factory=dict)
    figures: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
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
    asking = [one for one in manifest.get("sessions") or () if isinstance(one, Mapping)]
    every = [*asking, *(one for one in other_sessions(folder) if isinstance(one, Mapping))]
    sessions = sorted(every, key=lambda session: str(session.get("started")))
    last = _deciding(asking or sessions)
    code = last.get("exit_code")
    known: dict[str, Any] = {
        "started": sessions[0].get("started") if sessions else None,
        "ended": None if written else last.get("ended"),
        "exit_code": None if written else code,
        "command": tuple(map(str, last.get("command") or ())),
        "imported": manifest.get("imported"),
        "served": _served(manifest),
    }
    not_asked = _not_asked(manifest)
    status = _status(code, written=written, partial=not_asked > 0 or _left_out(manifest))
    known["not_asked"] = not_asked
    try:
        config = tomllib.loads(folder.config.read_text("utf-8"))
        subtasks = tuple((s["model"], s["task"]) for s in config.get("subtasks", ()))
        performance = bool(config.get("run", {}).get("performance"))
        scored = _scores(folder)
        return RunInfo(
            folder,
            status,
            "performance" if performance else "accuracy",
            tuple(dict.fromkeys(model for model, _ in subtasks)),
            tuple(dict.fromkeys(task for _, task in subtasks)),
            subtasks,
            scores={(one.model, one.task): value for one, value in scored},
            remarks={(one.model, one.task): remark for one, _ in scored if (remark := _remark(one))},
            figures=_figures(folder, subtasks),
            **known,
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
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


def _deciding(sessions: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the command that says how a run stands: the last that asked, and was not refused before."""
    begun = [one for one in sessions if one.get("begun", True)]
    return next(reversed([*sessions[-1:], *begun]), {})


def _status(code: Any, *, written: bool, partial: bool) -> Status:
    if written:
        return "running"
    if code is None:
        return "killed"
    ends: Mapping[Any, Status] = {130: "stopped", 70: "crashed"}
    return ends.get(code) or ("partial" if partial else "done" if code == 0 else "failed")


def _served(manifest: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    models = manifest.get("models")
    tables = models.items() if isinstance(models, Mapping) else ()
    found = {name: table.get("identity") for name, table in tables if isinstance(table, Mapping)}
    return {name: table for name, table in found.items() if isinstance(table, Mapping)}


def _not_asked(manifest: Mapping[str, Any]) -> int:
    """Return how many requests of a run have not been asked, as far as its manifest says it."""
    table = manifest.get("remaining")
    counts = table.values() if isinstance(table, Mapping) else ()
    return sum(count for count in counts if isinstance(count, int))


def _left_out(manifest: Mapping[str, Any]) -> bool:
    """Say whether a whole task could not be asked."""
    tasks = manifest.get("tasks")
    tables = tasks.values() if isinstance(tasks, Mapping) else ()
    return any(isinstance(table, Mapping) and "not_asked" in table for table in tables)


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
) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Return the headlines of a performance run, as far as it has been shown."""
    headlines = {(model, task): read_headline(folder, model, task) for model, task in subtasks}
    return {pair: headline for pair, headline in headlines.items() if headline is not None}


def _table(path: Path) -> dict[str, Any]:
    """Read a JSON object; what is missing, or is being replaced this moment, is empty."""
    with suppress(OSError, ValueError):
        data = orjson.loads(path.read_bytes())
        if isinstance(data, dict):
            return data
    return {}
