"""Pack a run into a capsule: all that a third party needs to recompute its numbers, without keys.

It contains the configuration, the manifest, the tasks, the log with its samples, and the published files:
predictions, results and performance tables. Pages, readable logs, and files in the layout of another tool are
left out, since they can be recreated.
"""

from __future__ import annotations

import asyncio
import gzip
import re
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from aisb import AisbError, RunError, UsageError
from aisb_analysis._archive import CHUNK_BYTES, ArchiveWriter
from aisb_analysis._known_secrets import Masker
from aisb_engine import (
    OpenedRun,
    inspect_log,
    is_being_written,
    read_run_json,
    read_toml,
    recompute_results,
    rewrite_log,
)

if TYPE_CHECKING:
    from aisb_engine import Plugins, RunFolder, Task

ARCHIVE_VERSION = 1
LEFT_OUT = "(left out)"
PACKED = (
    "configs/*.toml",
    "configs/manifest.json",
    "logs/commands.json",
    "judge/judge.toml",
    "judge/*/worker-*",
    "log/*/*/episodes.jsonl",
    "log/*/*/identity.json",
    "log/*/*/imported.json",
    "log/*/*/load.json",
    "log/*/*/questions/worker-*",
    "log/*/*/samples.jsonl.gz",
    "log/*/*/vitals-*.jsonl",  # the name of the next in earlier versions
    "log/*/*/client_health-*.jsonl",
    "log/*/*/worker-*",
    "performances/*/*.csv",
    "performances/*/*.json",
    "performances/*/*.npz",
)
"""The packed files of a run folder; `PACKED_OWN` and `tasks/*.toml` are added."""
PACKED_OWN = ("predictions/*/*.jsonl", "results/*/*.json", "results/*/*_scores.jsonl")
"""The packed files of the folder for own predictions and results, which may be a subfolder of the run."""

PackedChange = Callable[[Any], Any]


class CannotWriteError(RunError):
    """The capsule cannot be written on this machine."""

    exit_code = 5


class Packed(NamedTuple):
    """A written capsule. `sha256` is the hash of the file; `notes` are for its readers."""

    path: Path
    sha256: str
    files: int
    notes: tuple[str, ...]


def write_capsule(run: OpenedRun, target: Path, plugins: Plugins, *, prompts: bool = True) -> Packed:
    """Write a capsule of a run. The same run always gives the same bytes.

    Without `prompts`, the prompts, their rows, and the texts of options are left out.

    Raises:
        RunError: the run is being written, was last scored as a trial, or its files are damaged.
        UsageError: something in the run is a symbolic link.
        CannotWriteError: the capsule cannot be written.
    """
    folder = run.folder
    if is_being_written(folder):
        raise RunError(f"{folder} is being written: pack it after its command has ended")
    _refuse_trials(run)
    masker = Masker(run.spec, plugins)
    try:
        with tempfile.TemporaryDirectory(prefix=".aisb-pack-", dir=target.absolute().parent) as temporary:
            staged = Path(temporary) / folder.timestamp
            summed_by = {name: _fields_summed_by(task) for name, task in run.spec.tasks.items()}
            stage = _Stage(folder, staged, masker, prompts=prompts, summed_by=summed_by)
            stage.copy_all()
            ungraded = _ungraded(run, staged, plugins) if masker.count or not prompts else {}
            made = Path(temporary) / "capsule"
            archive = ArchiveWriter(made)
            for path in sorted(p for p in staged.rglob("*") if p.is_file()):
                name = path.relative_to(temporary).as_posix()
                archive.add(name, _pieces(path), large=path.stat().st_size >= 2**31)
            sha256 = archive.close(
                {
                    "capsule": ARCHIVE_VERSION,
                    "aisb": version("aisb-core"),
                    "run": folder.timestamp,
                    "prompts": prompts,
                    "masked": masker.count,
                    "damaged": stage.damaged,
                    "records": stage.records,
                    "ungraded": {key: sorted(map(list, found)) for key, found in ungraded.items()},
                }
            )
            made.replace(target)
    except OSError as error:
        raise CannotWriteError(f"{target} cannot be written: {error.strerror}") from error
    return Packed(target, sha256, len(archive.entries), tuple(_notes(stage, ungraded)))


def secrets_mask(plugins: Plugins, run: OpenedRun | None = None) -> Callable[[Any], Any]:
    """Return a function that masks secrets in nested plain data, as a capsule does in messages.

    Masked are keys in the environment and keys of known formats; with `run` also those of its services.
    """
    masker = Masker(run.spec if run else None, plugins)
    return partial(masker.inside, mask=masker.words)


def masked_copy(run: OpenedRun, target: Path, plugins: Plugins) -> None:
    """Copy the files of a run that a capsule holds, with secrets masked, into a new folder `target`.

    Raises:
        RunError: the run is being written, or its files are damaged.
        UsageError: something in the run is a symbolic link.
        CannotWriteError: the copy cannot be written.
    """
    if is_being_written(run.folder):
        raise RunError(f"{run.folder} is being written: copy it after its command has ended")
    masker = Masker(run.spec, plugins)
    try:
        stage = _Stage(run.folder, target, masker, prompts=True, summed_by={})
        stage.copy_all()
        if stage.apart:  # the usual places have the files of another tool
            stage.copy_files(PACKED_OWN)
    except OSError as error:
        raise CannotWriteError(f"{target} cannot be written: {error.strerror}") from error


def own_patterns(folder: RunFolder) -> list[str]:
    """Return `PACKED_OWN` as patterns below the run folder."""
    apart = apart_name(folder)
    return [f"{apart}/{pattern}" if apart else pattern for pattern in PACKED_OWN]


def apart_name(folder: RunFolder) -> str:
    """Return the name of the subfolder with own predictions and results; empty if there is none."""
    return "" if folder.own_files == folder.path else folder.own_files.name


def _refuse_trials(run: OpenedRun) -> None:
    for path in sorted(run.folder.own_files.glob("results/*/*.json")):
        if trial := read_run_json(path).get("trial"):
            raise RunError(
                f"{path} was last scored as a trial by other rules ({', '.join(trial)}), which cannot be "
                "recomputed from the run\n  score it by its own rules first: "
                f"{run.folder.command('aisb score')}"
            )


def _notes(stage: _Stage, ungraded: Mapping[str, set[tuple[str, int]]]) -> Iterator[str]:
    if stage.masker.count:
        yield f"keys were masked in {stage.masker.count} texts"
    if stage.damaged:
        yield f"{stage.damaged} damaged sections of the log were left out"
    for key, found in ungraded.items():
        yield (f"{key}: {len(found)} answers cannot be graded again from the capsule; their grades are kept")


class _Stage:
    """Copies the files to pack into a folder, with keys masked, and without prompts if required."""

    def __init__(
        self,
        folder: RunFolder,
        target: Path,
        masker: Masker,
        *,
        prompts: bool,
        summed_by: Mapping[str, Collection[str]],
    ) -> None:
        self.source, self.target, self.masker, self.prompts = folder.path, target, masker, prompts
        self.summed_by = summed_by
        self.apart = apart_name(folder)
        self.patterns = (*PACKED, *own_patterns(folder))
        self.damaged = 0
        self.records: dict[str, int] = {}

    def copy_all(self) -> None:
        self.copy_files(self.patterns)
        self._write_tasks()

    def copy_files(self, patterns: Iterable[str]) -> None:
        for pattern in patterns:
            for path in sorted(self.source.glob(pattern)):
                self._refuse_link(path)
                if path.is_file():
                    self._copy(path, self.target / path.relative_to(self.source))

    def _refuse_link(self, path: Path) -> None:
        for part in (path, *path.parents):
            if part == self.source:
                return
            if part.is_symlink():
                raise UsageError(
                    f"{part} is a symbolic link, and a capsule contains only files of the run: "
                    "replace it with the file or folder itself"
                )

    def _copy(self, path: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        parts = path.relative_to(self.source).parts
        kind = parts[1] if parts[0] == self.apart else parts[0]
        if path.name.startswith("worker-"):
            self._copy_log(path, target)
        elif path.suffix == ".toml":
            target.write_bytes(self._toml(path))
        elif path.suffix == ".gz":
            target.write_bytes(self._samples(path))
        elif path.suffix == ".json":
            data = path.read_bytes()
            changes: dict[str, PackedChange] = {"results": self._result, "performances": self.masker.inside}
            change: PackedChange = self.masker.inside if path.name == "identity.json" else self._words
            target.write_bytes(self._json(data, changes.get(kind, change)))
        elif path.suffix == ".jsonl":
            with path.open("rb") as lines, target.open("wb") as file:
                for line in lines:
                    file.write(self._json(line, self._answer, option=orjson.OPT_APPEND_NEWLINE))
        elif path.suffix == ".csv":
            target.write_bytes(self._text(path.read_bytes()))
        else:
            target.write_bytes(path.read_bytes())

    def _text(self, data: bytes) -> bytes:
        text = data.decode("utf-8", "surrogateescape")
        masked = self.masker.data(text)
        return data if masked == text else masked.encode("utf-8", "surrogateescape")

    def _json(self, data: bytes, change: PackedChange, *, option: int = orjson.OPT_INDENT_2) -> bytes:
        """Return JSON after a change; the same bytes if nothing changes."""
        try:
            before = orjson.loads(data)
        except ValueError:  # incomplete after a kill, so it is treated as text
            return self._text(data)
        after = change(before)
        return data if after == before else orjson.dumps(after, option=option)

    def _words(self, value: Any) -> Any:
        return self.masker.inside(value, self.masker.words)

    def _toml(self, path: Path) -> bytes:
        before = read_toml(path)
        after = {
            key: self.masker.inside(table) if key == "tasks" else self._words(table)
            for key, table in before.items()
        }
        return path.read_bytes() if after == before else _as_toml(after)

    def _answer(self, line: Any) -> Any:
        """Change a line of predictions, scores, episodes or client health."""
        if not self.prompts and "messages" in line:
            line = {**line, "messages": [_without_content(message) for message in line["messages"]]}
        if not self.prompts and "origin_prompt" in line:
            line = {**line, "origin_prompt": ""}
            failure = line.get("failure")
            if failure and failure.get("kind") == "row":
                line["failure"] = {**failure, "message": LEFT_OUT}
        return self.masker.inside(line)

    def _result(self, table: Any) -> Any:
        if not self.prompts and isinstance(table.get("details"), dict):
            details = {key: _without_prompt(entry) for key, entry in table["details"].items()}
            table = {**table, "details": details}
        return self.masker.inside(table)

    def _samples(self, path: Path) -> bytes:
        data = path.read_bytes()
        try:
            head, *rows = gzip.decompress(data).splitlines()
        except (OSError, EOFError, ValueError) as error:
            raise RunError(f"{path} is damaged: {error}") from error
        kept = self.summed_by.get(path.parent.name, ())
        changed = [self._json(row, partial(self._sample, kept=kept), option=0) for row in rows]
        if changed == rows:
            return data
        buffer = BytesIO()
        with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=3, mtime=0) as file:
            file.writelines(line + b"\n" for line in (head, *changed))
        return buffer.getvalue()

    def _sample(self, row: Any, *, kept: Collection[str]) -> Any:
        if not self.prompts:
            fields = {name: value for name, value in row["fields"].items() if name in kept}
            row = {**row, "fields": fields, "prompt": "", "choices": [""] * len(row["choices"])}
            row |= {"broken": LEFT_OUT} if row.get("broken") else {}
        return self.masker.inside(row)

    def _copy_log(self, path: Path, target: Path) -> None:
        with target.open("wb") as file:
            for record in rewrite_log(path, self._record):
                if record is None:
                    self.damaged += 1
                else:
                    file.write(record)
        name = target.relative_to(self.target.parent).as_posix()
        self.records[name] = inspect_log(target).records

    def _record(self, header: dict[str, Any]) -> bool:
        before = dict(header)
        for key in ("text", "reasoning", "tool_calls"):
            header[key] = self.masker.inside(header[key])
        header["failure"] = self.masker.inside(header["failure"], self.masker.words)
        extra = header.get("extra")
        if extra and not self.prompts and "prompt" in extra:
            extra = {key: value for key, value in extra.items() if key != "prompt"}
        header["extra"] = self.masker.inside(extra)
        return header != before

    def _write_tasks(self) -> None:
        """Write each task of the configuration to a separate file."""
        for config in sorted(self.target.glob("configs/*.toml")):
            for name, data in task_files(config).items():
                file = self.target / "tasks" / f"{name}.toml"
                file.parent.mkdir(exist_ok=True)
                file.write_bytes(data)


def _without_content(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Remove the content of a message of an episode, unless the model wrote it."""
    return message if message["role"] == "assistant" else {**message, "content": ""}


def _fields_summed_by(task: Task) -> set[str]:
    """Return the fields that summaries or graders need; they contain no text of a prompt."""
    templates = [text for text in task.sample.areas if isinstance(text, str)]
    named = {name for text in templates for name in re.findall(r"{(\w+)", text)}
    return named | {name for use in (*task.postprocess, *task.evaluate) for name in use.only}


def task_files(config: Path) -> dict[str, bytes]:
    """Return the task files of a resolved configuration by name."""
    tasks = read_toml(config).get("tasks", {})
    own = {"name", "base", "variant"}
    return {
        name: _as_toml({key: value for key, value in table.items() if key not in own})
        for name, table in tasks.items()
        if "/" not in name and not name.startswith(".")
    }


def _as_toml(table: Mapping[str, Any]) -> bytes:
    import tomli_w

    return tomli_w.dumps(table, multiline_strings=True).encode()


def _without_prompt(entry: Any) -> Any:
    if isinstance(entry, list):
        return [_without_prompt(one) for one in entry]
    return {**entry, "prompt": ""} if isinstance(entry, dict) and "prompt" in entry else entry


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(CHUNK_BYTES):
            yield piece


def _ungraded(run: OpenedRun, staged: Path, plugins: Plugins) -> dict[str, set[tuple[str, int]]]:
    """Return the answers whose grades cannot be recomputed from the packed files, by subtask."""
    packed = OpenedRun(type(run.folder)(staged), run.spec)
    found: dict[str, set[tuple[str, int]]] = {}
    for subtask in run.spec.subtasks:
        file = packed.folder.scores(subtask.model, subtask.task)
        if not file.exists():
            continue
        kept = [orjson.loads(line) for line in file.read_bytes().splitlines()]
        try:
            made = asyncio.run(recompute_results(packed, subtask, plugins))
            differing = made.settled | differing_answers(kept, made.scores)
        except AisbError:
            differing = frozenset((line["id"], line["repeat"]) for line in kept)
        if differing:
            found[f"{subtask.model}/{subtask.task}"] = set(differing)
    return found


def differing_answers(kept: Any, made: Any) -> set[tuple[str, int]]:
    """Return the answers, by sample and repeat, whose grades differ between two lists of scores."""

    def by_key(lines: Any) -> dict[tuple[str, int], list[Any]]:
        found: dict[tuple[str, int], list[Any]] = {}
        for line in lines:
            found.setdefault((line["id"], line["repeat"]), []).append(line)
        return found

    old, new = by_key(kept), by_key(made)
    return {key for key in {*old, *new} if old.get(key) != new.get(key)}
