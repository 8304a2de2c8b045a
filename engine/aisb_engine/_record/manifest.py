"""The manifest: which commands ran where and when, with which versions, on which data."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from aisb import __version__
from aisb._errors import RunError
from aisb._plugins import Plugins
from aisb_engine._masking import mask_command
from aisb_engine._record.runfolder import RunFolder, read_json, write_atomically
from aisb_engine._spec import Judge, Subtask, Task

IDENTITY_EXCLUDED = {"num_return_sequences"}
"""Parameters that only set the number of requests."""


class Manifest:
    """The manifest of one run, rewritten as a whole at each change.

    A command that sends nothing does not change it; such commands are listed in another file.
    """

    def __init__(self, folder: RunFolder, data: dict[str, Any], *, sends: bool = True) -> None:
        self.folder = folder
        self.data = data
        self._sessions: list[dict[str, Any]] = data["sessions"] if sends else other_sessions(folder)
        self._sends = sends

    @classmethod
    def open(cls, folder: RunFolder, plugins: Plugins, *, sends: bool = True) -> Manifest:
        """Read the manifest of a run, or create one; `sends` tells whether the command sends requests."""
        data = read_json(folder.manifest) if folder.manifest.exists() else {"sessions": []}
        data |= {
            "aisb": __version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "processors": os.cpu_count(),
            "plugins": {
                info.name: f"{info.distribution} {info.version}"
                for info in plugins.infos
                if info.state == "loaded"
            },
        }
        return cls(folder, data, sends=sends)

    def begin(self, command: Sequence[str]) -> int:
        """Record that a command works on the run; return its number, which log records contain."""
        session = {"started": now(), "command": mask_command(command), "ended": None, "exit_code": None}
        self._sessions.append(session | ({"started_sending": False} if self._sends else {}))
        self.save()
        return len(self.data["sessions"]) - self._sends

    def note_begun(self) -> None:
        """Record that the command sends requests: its input was compared with the run, and accepted."""
        self._sessions[-1]["started_sending"] = True
        self.save()

    @property
    def has_begun(self) -> bool:
        """Whether the current command has begun to send."""
        return bool(self._sessions[-1].get("started_sending"))

    def note_not_sent(self, subtask: str, requests: int) -> None:
        """Set the number of requests of a subtask that were not sent; `save` writes it."""
        self.data.setdefault("remaining", {})[subtask] = requests

    def end(self, exit_code: int) -> None:
        """Record how the latest command ended."""
        self._sessions[-1] |= {"ended": now(), "exit_code": exit_code}
        self.save()

    def note(self, table: str, name: str, values: Mapping[str, Any]) -> None:
        """Store facts on a model, task or subtask."""
        known = self.data.setdefault(table, {}).setdefault(name, {})
        known.update(values)

    def save(self) -> None:
        """Write the manifest, or the list of commands that send nothing."""
        file, data = (
            (self.folder.manifest, self.data) if self._sends else (self.folder.scorings, self._sessions)
        )
        write_atomically(file, orjson.dumps(data, option=orjson.OPT_INDENT_2))


def other_sessions(folder: RunFolder) -> list[dict[str, Any]]:
    """Return the commands that scored or reported on a run; runs of old versions list them elsewhere."""
    try:
        found = read_json(folder.scorings) if folder.scorings.exists() else []
    except RunError:  # a damaged list of commands must not prevent scoring
        return []
    return found if isinstance(found, list) else []


def now() -> str:
    """Return the wall-clock time, as ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def task_version(task: Task) -> str:
    """Return six hex digits: a hash of all keys of a task that are set and can change its score.

    It excludes paths, names, the summary, the model, and the selection of rows.
    """
    table = _without_row_count(task)
    kept: dict[str, Any] = {
        k: table[k]
        for k in (
            *("mode", "sample", "prompt", "environment", "params"),
            *("postprocess", "evaluate", "repeats", "logprob"),
        )
        if k in table
    }
    kept["dataset"] = {
        key: value
        for key, value in table["dataset"].items()
        if key not in {"path", "layouts", "columns", "use"}
    }
    kept["version"] = task.version
    return hashlib.sha256(orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)).hexdigest()[:6]


def _without_row_count(task: Task) -> dict[str, Any]:
    """Return a task's keys that are set, except the option for the number of rows."""
    table: dict[str, Any] = task.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    if "require_target" in table.get("sample", {}):
        sample = {key: value for key, value in table.pop("sample").items() if key != "require_target"}
        table |= {"sample": sample} if sample else {}
    return table


def identity(
    subtask: Subtask,
    task: Task,
    *,
    served: str | None,
    system: str | None,
    backend: str,
    data: str,
    shots: str | None,
    media: str | None = None,
    adapters: str | None = None,
    other: Judge | None = None,
) -> dict[str, Any]:
    """Return everything that determines a request, by key. A resumed run must have the same values.

    `other` is the second model of an environment, such as a simulated user. Keys for media, LoRA adapters and
    that model are present only in runs that use them.
    """
    table = _without_row_count(task)
    sample = {k: v for k, v in table.get("sample", {}).items() if k not in {"target", "clean", "cluster"}}
    dataset = {k: v for k, v in table["dataset"].items() if k not in {"path", "layouts", "columns"}}
    params = {k: v for k, v in subtask.merged.items() if k not in IDENTITY_EXCLUDED}
    return {
        **flatten_tables("task.prompt", table.get("prompt", {})),
        **(flatten_tables("task.environment", table["environment"]) if task.environment else {}),
        **flatten_tables("task.sample", sample),
        **flatten_tables("task.dataset", dataset),
        **flatten_tables("params", params),
        **({"task.logprob.continuation": task.logprob.continuation} if task.mode == "logprob" else {}),
        "model.backend": backend,
        "model.model": served,
        "model.system": system,
        "data.sha256": data,
        "data.shots_sha256": shots,
        **({"data.media_sha256": media} if media else {}),
        **({"model.lora_map_sha256": adapters} if adapters else {}),
        **(_other_identity(other) if other else {}),
    }


def _other_identity(other: Judge) -> dict[str, Any]:
    """Return what determines the replies of an environment's second model, such as a simulated user."""
    params = flatten_tables("judge.params", {**other.params, **other.forced})
    model = other.model
    return {
        "judge.backend": model.backend,
        "judge.model": model.options.get("model"),
        "judge.system": model.system,
        **params,
    }


def identity_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return a line for each key in which two identities differ, with both values."""
    return [
        f"{key}: was {_show(old.get(key))}, is {_show(new.get(key))}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]


def flatten_tables(path: str, value: Any) -> dict[str, Any]:
    """Return nested tables as one table with dotted paths."""
    if not isinstance(value, Mapping):
        return {path: value}
    return {
        key: found
        for name, below in value.items()
        for key, found in flatten_tables(f"{path}.{name}", below).items()
    }


def command_line() -> list[str]:
    """Return the words of this command, with the name of the program first."""
    return ["aisb", *sys.argv[1:]]


def _show(value: Any) -> str:
    if value is None:
        return "not set"
    text = orjson.dumps(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}…"
