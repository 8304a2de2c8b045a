"""The run folder: the paths of a run's files, finding a run by its name, and the lock for one writer."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from aisb._deprecated import Renamed
from aisb._errors import RunError, StorageError, did_you_mean
from aisb._report import command_on, write_file
from aisb_engine._record.old_keys import update_keys

TIMESTAMP = re.compile(r"\d{8}_\d{6}(_\d+)?")
_LATEST = re.compile(r"latest(?:~([0-9]{1,9}))?")
MAX_SAME_SECOND = 1000
"""The maximum number of runs, or scoring passes, with the same second in their names."""
APART = "aisb"
"""The subfolder of a run for its own files, if the folder has another tool's layout."""
write_atomically = write_file
"""Write bytes to a file as a whole: readers see the old content or the new, never a part."""


class RunFolder:
    """One run on disk. Its paths are derived from the safe names of models and tasks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.timestamp = path.name

    def __str__(self) -> str:
        return str(self.path)

    def command(self, words: str) -> str:
        """Return a command on this run for a shell: `words`, such as `aisb score`, followed by the run."""
        return command_on(self.path, words)

    @classmethod
    def create(cls, work_dir: Path, now: datetime) -> RunFolder:
        """Create a folder named after the time; a second one in the same second gets `_2`.

        Raises:
            RunError: the folder cannot be created.
        """
        try:
            work_dir.mkdir(parents=True, exist_ok=True)
            for stamp in _stamps(now):
                path = work_dir / stamp
                try:
                    path.mkdir()
                except FileExistsError:
                    continue
                return cls(path)
        except OSError as error:
            raise StorageError(
                f"the work folder {work_dir} cannot be written: {error.strerror}; name another with -w"
            ) from error
        raise RunError(f"{work_dir} has a thousand runs of this second")

    @classmethod
    def find(cls, work_dir: Path, name: str) -> RunFolder:
        """Find a run by its timestamp, path or tag, `latest`, or `latest~2`: the second before the latest.

        Raises:
            RunError: there is none, and the message lists the five latest; or several runs have the tag.
        """
        runs = cls.list(work_dir)
        if latest := _LATEST.fullmatch(name):
            # A command that was killed at its start leaves a folder that cannot be read or resumed.
            begun = [run for run in runs if run.config.exists()]
            if not begun:
                others = [run for run in runs if run.is_of_another_tool]
                hint = f"\n  {others[-1].how_to_import}" if others else ""
                raise RunError(f"there is no run in {work_dir} yet; -w names another work folder{hint}")
            back = int(latest[1] or 0)
            if back >= len(begun):
                raise RunError(
                    f"no run {name!r}: {work_dir} has {len(begun)}, so latest~{len(begun) - 1} is the oldest"
                )
            return begun[-1 - back]
        for path in (work_dir / name, Path(name)):
            if cls(path).is_of_another_tool:
                raise RunError(cls(path).how_to_import)
            if (path / "configs").is_dir():
                return cls(path)
        if tagged := [run for run in reversed(runs) if name in run.tags]:
            if len(tagged) == 1:
                return tagged[0]
            several = ", ".join(run.timestamp for run in tagged[:5])
            raise RunError(
                f"{len(tagged)} runs have the tag {name!r}; name one by its timestamp: {several}"
                + (", …" if len(tagged) > 5 else "")
            )
        ours = [run.timestamp for run in reversed(runs) if not run.is_of_another_tool]
        shown = ", ".join(ours[:5])
        hint = f"the latest in {work_dir}: {shown}" if ours else f"there is no run in {work_dir} yet"
        # Any two times are alike as texts: only one of the same day may be meant.
        meant = [one for one in ours if not TIMESTAMP.fullmatch(name) or one[:8] == name[:8]]
        near = did_you_mean(name, ["latest", *meant])
        raise RunError(f"no run {name!r}{near}\n  {hint}" if near else f"no run {name!r}; {hint}")

    @classmethod
    def list(cls, work_dir: Path) -> list[RunFolder]:
        """Return the runs in a work folder, oldest first."""
        if not work_dir.is_dir():
            return []
        found = [p for p in work_dir.iterdir() if TIMESTAMP.fullmatch(p.name) and (p / "configs").is_dir()]
        return [cls(path) for path in sorted(found, key=_order)]

    @property
    def notes_file(self) -> Path:
        """The file of the tags and the note that a user gave the run."""
        return self.path / "configs" / "notes.json"

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that a user gave the run; none if they cannot be read."""
        try:
            tags = json.loads(self.notes_file.read_bytes())["tags"]
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return ()
        return tuple(map(str, tags)) if isinstance(tags, list) else ()

    @property
    def is_of_another_tool(self) -> bool:
        """Whether the folder holds results, and no run of aisb: its configuration is missing."""
        holds_results = any((self.path / name).is_dir() for name in ("predictions", "performances"))
        return holds_results and not any(self.path.glob("configs/*.toml"))

    @property
    def how_to_import(self) -> str:
        """What a user can do with a folder of another tool."""
        if (self.path / "predictions").is_dir():
            command = f"aisb import {shlex.quote(str(self.path))}"
            return f"{self.path} was not written by aisb; score the answers in it with: {command}"
        return f"{self.path} was not written by aisb, so it can be neither resumed nor shown"

    @property
    def own_files(self) -> Path:
        """The folder for predictions and results: the run folder, or its subfolder for own files."""
        apart = self.path / APART
        return apart if apart.is_dir() else self.path

    def keep_apart(self) -> None:
        """Use a subfolder for predictions and results: another tool's layout uses their usual paths."""
        (self.path / APART).mkdir(exist_ok=True)

    @property
    def config(self) -> Path:
        """The resolved run, in the form of an `aisb.toml`."""
        usual = self.path / "configs" / f"{self.timestamp}.toml"
        if not usual.exists():  # a renamed folder has a file with its old name
            return next(self.path.glob("configs/*.toml"), usual)
        return usual

    @property
    def manifest(self) -> Path:
        """The manifest: which commands ran where and when, on which data."""
        return self.path / "configs" / "manifest.json"

    def log(self, model: str, task: str) -> Path:
        """The folder of the log files that workers write."""
        return self.path / "log" / model / task

    def questions(self, model: str, task: str) -> Path:
        """The folder with the log of what the environment of a subtask asked another model."""
        return self.log(model, task) / "questions"

    def infer_log(self, model: str, task: str) -> Path:
        """The log lines of inference."""
        return self.path / "logs" / "infer" / model / f"{task}.out"

    def eval_log(self, model: str, task: str) -> Path:
        """The log lines of scoring."""
        return self.path / "logs" / "eval" / model / f"{task}.out"

    def judge(self, judge: str) -> Path:
        """The folder with the log of a judge, for all subtasks."""
        return self.path / "judge" / judge

    @property
    def late_judge(self) -> Path:
        """The judge's configuration of a run that was started without a judge, and scored with one later."""
        return self.path / "judge" / "judge.toml"

    @property
    def scorings(self) -> Path:
        """The list of commands that scored or reported on the run; they do not change `configs/`."""
        return self.path / "logs" / "commands.json"

    def judge_log(self, judge: str) -> Path:
        """The log lines of a judge."""
        return self.path / "logs" / "judge" / f"{judge}.out"

    @property
    def plugin_log(self) -> Path:
        """The tracebacks of plugins' exceptions."""
        return self.path / "logs" / "plugins.log"

    def predictions(self, model: str, task: str) -> Path:
        """The predictions, one line for each sample, repeat and turn."""
        return self.own_files / "predictions" / model / f"{task}.jsonl"

    def predictions_json(self, model: str, task: str) -> Path:
        """The predictions by id, in the form that other tools read."""
        return self.own_files / "predictions" / model / f"{task}.json"

    def results(self, model: str, task: str, scoring: str | None = None) -> Path:
        """The metrics of the latest scoring pass, or of the pass with this name."""
        folder = self.own_files / "results" / (f"passes/{scoring}" if scoring else "")
        return folder / model / f"{task}.json"

    def new_pass(self, now: datetime) -> str:
        """Return the name of a new scoring pass: the time; a second one in the same second gets `_2`."""
        passes = self.own_files / "results" / "passes"
        return next(stamp for stamp in _stamps(now) if not (passes / stamp).exists())

    def scores(self, model: str, task: str) -> Path:
        """The grades of all answers in the latest scoring pass, one line each."""
        return self.own_files / "results" / model / f"{task}_scores.jsonl"

    def performances(self, model: str, task: str) -> Path:
        """The path of performance files without their suffix, which each file adds to the task's name."""
        return self.path / "performances" / model / task

    @property
    def has_log(self) -> bool:
        """Whether a worker has begun to log."""
        return any(self.path.glob("log/*/*/worker-*"))

    was_asked = Renamed("has_log")

    def remove(self) -> None:
        """Remove a run that sent nothing."""
        shutil.rmtree(self.path)

    def _refuse_links(self) -> None:
        """Refuse a run that contains a symbolic link: writing to it would change files outside the run."""
        for path in self.path.rglob("*"):
            if path.is_symlink():
                raise RunError(
                    f"{path} is a symbolic link, and aisb does not write through links; "
                    "replace it by the file or folder itself"
                )

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Prevent other commands from writing this run; the lock ends with the process, even if it is killed.

        Raises:
            RunError: another process has it, or the run contains a symbolic link.
            StorageError: the folder cannot be written.
        """
        self._refuse_links()
        path = self.path / ".lock"
        try:
            file = path.open("a+")
        except OSError as error:
            raise StorageError(
                f"{self.path} cannot be written: {error.strerror}; "
                f"it can still be read, as by {self.command('aisb runs show')}"
            ) from error
        with file:
            try:
                _take(file)
            except OSError as error:
                file.seek(0)
                raise RunError(
                    f"{self.path} is being written by process {file.read().strip() or '?'}; "
                    f"wait for it, or end it, and try again"
                ) from error
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield


def _take(file: IO[str]) -> None:
    """Take the lock of a run. Commands that test whether it is taken hold it for a moment, so try again."""
    for wait in (0.01, 0.05, 0.2):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(wait)
        else:
            return
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _stamps(now: datetime) -> Iterator[str]:
    """Yield the possible names for something of this second, in order."""
    stamp = now.strftime("%Y%m%d_%H%M%S")
    yield stamp
    yield from (f"{stamp}_{number}" for number in range(2, MAX_SAME_SECOND))


def read_json(path: Path) -> Any:
    """Read a JSON file of a run; its keys get their current names.

    Raises:
        RunError: it is missing or broken.
    """
    try:
        return update_keys(path, json.loads(path.read_bytes()))
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is not JSON: {error}") from error


def _order(path: Path) -> tuple[str, int]:
    stamp, _, number = path.name[15:].partition("_")
    return path.name[:15], int(number or stamp or 1)


def json_line(table: Mapping[str, Any]) -> bytes:
    """Return a table with values of plugins as one line of valid JSON.

    Values that JSON does not have are stored as text. Lone surrogates are replaced by `?`.
    """
    import orjson

    try:
        return orjson.dumps(table, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS, default=str)
    except TypeError:  # keys that are not texts, surrogates, integers of more than 64 bits
        text = json.dumps(table, default=str, skipkeys=True)
        plain = json.loads(text, parse_constant=lambda _: None)
        return json.dumps(plain, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
