"""List runs: what each ran, its status and its headline, without reading its log.

All functions only read, also a run that another command is writing.
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
from aisb._deprecated import Renamed
from aisb._errors import AisbError, RunError
from aisb_engine._record.manifest import other_sessions
from aisb_engine._record.old_keys import update_keys
from aisb_engine._record.runfolder import TIMESTAMP, RunFolder, write_atomically
from aisb_engine._reporting.headlines import read_headline

Status = Literal["running", "done", "partial", "failed", "stopped", "killed", "crashed"]
STATUSES: Mapping[Status, str] = {
    "running": "a command is writing it",
    "done": "it ended with exit code 0",
    "partial": "it ended, but some of its requests were not sent",
    "failed": "it ended with an exit code other than 0",
    "stopped": "it was stopped by Ctrl-C or SIGTERM (exit code 130)",
    "killed": "its command ended without recording it, or is on another machine",
    "crashed": "it ended at an unexpected exception (exit code 70)",
}
"""The states of a run, each with its meaning."""
PROGRESS = "progress.json"


@dataclass(frozen=True, slots=True)
class RunInfo:
    """One run, as described by its folder. `scores` are the headline metrics in percent, by model and task.

    `results` has the same results with their intervals and outcomes. `remarks` are notes on a score: rules of
    a trial, or an average over only some groups. `not_sent` is the number of requests that were left when the
    last sending command ended. That command also determines the status; scoring and reporting do not change
    it. `figures` are the headline of a performance run, by model and task. `served` is the identity of each
    model's service: its version, the revision of the weights, the hash of the chat template. `tags` and
    `note` are what a user wrote about the run. `unreadable` is the reason if nothing else is known.
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
    not_sent: int = 0
    command: tuple[str, ...] = ()
    imported: str | None = None
    served: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    scores: Mapping[tuple[str, str], float] = field(default_factory=dict)
    results: Mapping[tuple[str, str], Result] = field(default_factory=dict)
    remarks: Mapping[tuple[str, str], str] = field(default_factory=dict)
    figures: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    note: str = ""
    unreadable: str = ""

    not_asked = Renamed("not_sent")

    @property
    def pages(self) -> list[Path]:
        """The HTML pages of its reporters, summaries first."""
        made = sorted(self.folder.path.glob("summary/*.html"), reverse=True)
        return [*made, *sorted(self.folder.path.glob("performances/*/*.html"))]


def is_written(folder: RunFolder) -> bool:
    """Return whether a command is writing this run: whether its lock is taken."""
    try:
        with (folder.path / ".lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False  # closing the file releases the lock


def read_run(folder: RunFolder) -> RunInfo:
    """Read the description and the status of one run."""
    written = is_written(folder)
    manifest = _table(folder.manifest)
    sending = [one for one in manifest.get("sessions") or () if isinstance(one, Mapping)]
    every = [*sending, *(one for one in other_sessions(folder) if isinstance(one, Mapping))]
    sessions = sorted(every, key=lambda session: str(session.get("started")))
    last = _deciding(sending or sessions)
    code = last.get("exit_code")
    known: dict[str, Any] = {
        "started": sessions[0].get("started") if sessions else None,
        "ended": None if written else last.get("ended"),
        "exit_code": None if written else code,
        "command": tuple(map(str, last.get("command") or ())),
        "imported": manifest.get("imported"),
        "served": _served(manifest),
        **_notes(folder),
    }
    not_sent = _not_sent(manifest)
    status = _status(code, written=written, partial=not_sent > 0 or _left_out(manifest))
    known["not_sent"] = not_sent
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
            results={(one.model, one.task): one for one, _ in scored},
            remarks={(one.model, one.task): remark for one, _ in scored if (remark := _remark(one))},
            figures=_figures(folder, subtasks),
            **known,
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        return RunInfo(folder, status, unreadable=f"{folder.config} cannot be read: {error}", **known)


def read_progress(folder: RunFolder) -> dict[str, Any]:
    """Return the progress that the writing command saves every second; empty if there is none."""
    table = _table(folder.path / "log" / PROGRESS)
    for one in table.get("subtasks", ()):
        if one.get("phase") == "asking":  # the word of earlier versions
            one["phase"] = "sending"
    return table


def write_notes(folder: RunFolder, tags: Iterable[str], note: str) -> None:
    """Write the tags and the note of a user about a run; they change nothing else in it.

    Raises:
        RunError: the file cannot be written.
    """
    table = {"tags": list(dict.fromkeys(tags)), "note": note}
    write_atomically(folder.notes_file, orjson.dumps(table, option=orjson.OPT_INDENT_2))


def started_at(folder: RunFolder) -> datetime | None:
    """Return the start of a run in local time, from the name of its folder."""
    with suppress(ValueError):
        return datetime.strptime(folder.timestamp[:15], "%Y%m%d_%H%M%S")  # noqa: DTZ007 - a name, local time
    return None


def removable(work_dir: Path, name: str) -> RunFolder:
    """Return a run that may be removed: one in the work folder itself that no command is writing.

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
            f"{path} has a name given by a user, such as a baseline to keep: it is not removed\n"
            f"  to remove it anyway: rm -r {path}"
        )
    if is_written(folder):
        with folder.lock():  # its error names the process
            pass
    return folder


def size(folder: RunFolder) -> int:
    """Return the size of a run's files in bytes."""
    total = 0
    for path in folder.path.rglob("*"):
        with suppress(OSError):
            total += path.lstat().st_size if path.is_file() else 0
    return total


def _deciding(sessions: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the command that determines the status: the last one that sent requests and was not refused."""
    accepted = [one for one in sessions if one.get("started_sending", True)]
    return next(reversed([*sessions[-1:], *accepted]), {})


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


def _notes(folder: RunFolder) -> dict[str, Any]:
    return {"tags": folder.tags, "note": str(_table(folder.notes_file).get("note") or "")}


def _not_sent(manifest: Mapping[str, Any]) -> int:
    """Return the number of requests that were not sent, from the manifest."""
    table = manifest.get("remaining")
    counts = table.values() if isinstance(table, Mapping) else ()
    return sum(count for count in counts if isinstance(count, int))


def _left_out(manifest: Mapping[str, Any]) -> bool:
    """Return whether a whole task could not be run."""
    tasks = manifest.get("tasks")
    tables = tasks.values() if isinstance(tasks, Mapping) else ()
    return any(isinstance(table, Mapping) and "skip_reason" in table for table in tables)


def _scores(folder: RunFolder) -> list[tuple[Result, float]]:
    """Return the results with a headline, and its value."""
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
    """Return the headlines of a performance run, as far as a reporter wrote them."""
    headlines = {(model, task): read_headline(folder, model, task) for model, task in subtasks}
    return {pair: headline for pair, headline in headlines.items() if headline is not None}


def _table(path: Path) -> dict[str, Any]:
    """Read a JSON object; it is empty if the file is missing or being replaced."""
    with suppress(OSError, ValueError):
        data = update_keys(path, orjson.loads(path.read_bytes()))
        if isinstance(data, dict):
            return data
    return {}
