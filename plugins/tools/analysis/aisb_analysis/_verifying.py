"""Verify a capsule: its hashes, its log, and all published numbers, which are recomputed.

A capsule is untrusted. Nothing is sent, and nothing outside a temporary folder is written. Nothing in it is
run, except programs of a model if the environment of this command allows it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from aisb import AisbError, RunError
from aisb_analysis._archive import INDEX, MOST_BYTES, Archive
from aisb_analysis._differences import (
    array_differences,
    line_differences,
    table_differences,
    value_differences,
)
from aisb_analysis._packing import ARCHIVE_VERSION, PACKED, own_patterns, task_files
from aisb_engine import (
    OpenedRun,
    PluginFaults,
    RunFolder,
    inspect_log,
    open_run,
    read_run_json,
    recompute_results,
    report_run,
    reporter_table,
)

if TYPE_CHECKING:
    from aisb_engine import Plugins, Recomputed, Subtask

NOT_COMPARED = ("scored", "graded_by", "first_error", "judge")
"""Keys of a result that depend on the scoring command, not on the answers."""


@dataclass(slots=True)
class Verified:
    """The result of verifying a capsule.

    `differing` lists numbers and files that differ; `unchecked` those that could not be recomputed, with the
    reason. `checked` counts the recomputed numbers.
    """

    run: str = ""
    sha256: str = ""
    differing: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: int = 0
    records: int = 0
    checked: dict[str, int] = field(default_factory=dict)

    def count(self, what: str, number: int = 1) -> None:
        """Count recomputed numbers."""
        self.checked[what] = self.checked.get(what, 0) + number


def verify_capsule(path: Path, plugins: Plugins, *, trust: bool = False) -> Verified:
    """Check a capsule.

    `trust` applies its configuration's permissions, such as running programs, without the environment's.

    Raises:
        UsageError: the file is not a capsule, or is a harmful archive.
    """
    archive = Archive(path)
    found = Verified(archive.index["run"], archive.sha256)
    if archive.index["capsule"] != ARCHIVE_VERSION:
        found.differing.append(
            f"{INDEX}: format {archive.index['capsule']}; this version of aisb reads {ARCHIVE_VERSION}"
        )
        return found
    with tempfile.TemporaryDirectory(prefix="aisb-verify-") as temporary:
        archive.unpack(Path(temporary))
        found.differing += archive.problems
        found.files = len(archive.files)
        folder = Path(temporary) / found.run
        found.differing += _unknown_files(archive.files, RunFolder(folder))
        if Path(found.run).name != found.run or not folder.is_dir():
            found.differing.append(f"{INDEX}: it has no run named {found.run!r}")
            return found
        sound = _check_logs(folder, archive.index, found)
        _check_tasks(folder, found)
        try:
            run = open_run(Path(temporary), str(folder), plugins)
        except AisbError as error:
            found.differing.append(f"the configuration cannot be read: {_line(error)}")
            return found
        _Check(run, archive.index, plugins, found, sound, trust=trust).run_all()
    return found


def _unknown_files(names: Iterable[str], folder: RunFolder) -> Iterator[str]:
    patterns = (*PACKED, *own_patterns(folder), "tasks/*.toml")
    for name in names:
        first, _, rest = name.partition("/")
        if first != folder.path.name or not any(_matches(rest, pattern) for pattern in patterns):
            yield f"{name} does not belong in a capsule"


def _matches(name: str, pattern: str) -> bool:
    parts, patterns = name.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(map(fnmatch, parts, patterns))


def _check_logs(folder: Path, index: Mapping[str, Any], found: Verified) -> set[str]:
    """Check every record of every log; return the log folders without problems."""
    sound, broken = set[str](), set[str]()
    expected = index.get("records") if isinstance(index.get("records"), dict) else {}
    seen = set()
    for path in sorted([*folder.glob("log/*/*/worker-*"), *folder.glob("judge/*/worker-*")]):
        name = path.relative_to(folder.parent).as_posix()
        seen.add(name)
        facts = inspect_log(path)
        found.records += facts.records
        problems = list(facts.problems[:20])
        if facts.damaged:
            problems.append(f"{facts.damaged} stretches are damaged")
        if facts.records != (expected or {}).get(name):
            problems.append(
                f"it has {facts.records} records, and the index says {(expected or {}).get(name)}"
            )
        (broken if problems else sound).add(path.parent.relative_to(folder).as_posix())
        found.differing += [f"{name}: {problem}" for problem in problems]
    found.differing += [f"{name} is missing" for name in expected or {} if name not in seen]
    return sound - broken


def _check_tasks(folder: Path, found: Verified) -> None:
    """Compare task files with the configuration, and the hashes of the data in both places."""
    made: dict[str, bytes] = {}
    try:
        for config in sorted(folder.glob("configs/*.toml")):
            made |= task_files(config)
        manifest = read_run_json(folder / "configs" / "manifest.json")
        noted = {
            name: (table.get("data") or {}).get("sha256") for name, table in manifest.get("tasks", {}).items()
        }
    except (AisbError, AttributeError, TypeError) as error:
        found.differing.append(f"the configuration cannot be read: {_line(error)}")
        return
    for path in sorted(folder.glob("tasks/*.toml")):
        if made.get(path.stem) != path.read_bytes():
            found.differing.append(f"tasks/{path.name}: it differs from the configuration")
    for path in sorted(folder.glob("log/*/*/identity.json")):
        name, kept = path.parent.name, _json(path)
        if isinstance(kept, dict) and noted.get(name) and kept.get("data.sha256") != noted[name]:
            found.differing.append(f"{path.relative_to(folder)}: the manifest has another hash of the data")


@dataclass(slots=True)
class _Check:
    """Compares the published numbers of a run with those recomputed from its log."""

    run: OpenedRun
    index: Mapping[str, Any]
    plugins: Plugins
    found: Verified
    sound: set[str]
    trust: bool

    def run_all(self) -> None:
        folder = self.run.folder.own_files
        known = {(one.model, one.task): one for one in self.run.spec.subtasks}
        for path in sorted(folder.glob("results/*/*")):
            pair = path.parent.name, path.name.removesuffix(".json").removesuffix("_scores.jsonl")
            if pair not in known:
                self._differs(path, "it belongs to no subtask of the run")
        for subtask in known.values():
            log = f"log/{subtask.model}/{subtask.task}"
            try:
                if self.run.folder.results(subtask.model, subtask.task).exists():
                    self._check_samples(subtask)
                    self._check_results(subtask)
            except AisbError as error:
                expected = subtask.key in self.index.get("ungraded", {}) or not self.index.get("prompts")
                lines = self.found.unchecked if expected else self.found.differing
                lines.append(f"{log}: {_line(error)}")
            except Exception as error:  # noqa: BLE001 - foreign data may cause any exception
                self.found.differing.append(f"{log}: cannot be recomputed: {_line(error)}")
        self._check_performance()

    def _check_samples(self, subtask: Subtask) -> None:
        """Refuse samples whose unpacked size exceeds the limit."""
        path = self.run.folder.log(subtask.model, subtask.task) / "samples.jsonl.gz"
        left = min(MOST_BYTES, 300 * path.stat().st_size + 10_000_000) if path.exists() else 0
        with gzip.open(path) if path.exists() else contextlib.nullcontext(io.BytesIO()) as file:
            while piece := file.read(1 << 20):
                left -= len(piece)
                if left < 0:
                    raise ValueError("its samples exceed the size limit")

    def _check_results(self, subtask: Subtask) -> None:
        folder, key = self.run.folder, f"{subtask.model}/{subtask.task}"
        settled = {(str(i), int(r)) for i, r in self.index.get("ungraded", {}).get(key, ())}
        if settled and self.index.get("prompts") and not self.index.get("masked"):
            self.found.differing.append(
                f"{INDEX}: nothing was left out, so all grades of {key} can be recomputed"
            )
            settled = set()
        allowed = self.trust or not _allows_itself(self.run, subtask)
        made = asyncio.run(
            recompute_results(self.run, subtask, self.plugins, settled=settled, regrade=allowed)
        )
        if not allowed:
            self._unchecked(key, len(made.settled), "its configuration allows running programs (use --trust)")
        elif made.why:
            self._unchecked(key, len(made.settled), made.why)
        elif settled:
            why = (
                "prompts were left out, or keys masked"
                if not self.index.get("prompts")
                else "keys were masked"
            )
            self._unchecked(key, len(settled), why)
        self._compare_results(subtask, made)
        self._compare_lines(folder.scores(subtask.model, subtask.task), made.scores, "grades")
        kept = sum((line["id"], line["repeat"]) in made.settled for line in made.scores)
        self.found.count("grades", -kept)
        self._compare_lines(folder.predictions(subtask.model, subtask.task), made.predictions, "predictions")
        self._check_strangers(subtask, {(line["id"], line["repeat"]) for line in made.predictions})

    def _check_strangers(self, subtask: Subtask, asked: set[tuple[str, int]]) -> None:
        log = self.run.folder.log(subtask.model, subtask.task)
        keys = {key[:2] for path in log.glob("worker-*") for key in inspect_log(path).keys}
        if strangers := sorted(keys - asked):
            first = "{}.r{}".format(*strangers[0])
            self._differs(
                log, f"it answers {len(strangers)} requests that are not in the run, such as {first}"
            )

    def _unchecked(self, key: str, answers: int, why: str) -> None:
        self.found.unchecked.append(f"{key}: {answers} grades were not recomputed: {why}")

    def _compare_results(self, subtask: Subtask, made: Recomputed) -> None:
        path = self.run.folder.results(subtask.model, subtask.task)
        published = read_run_json(path)
        results = dict(made.results)
        left_out = {*NOT_COMPARED, *(("disputed", "faults") if made.settled else ())}
        if published.get("graded_by") != results["graded_by"]:
            self.found.notes.append(
                f"{subtask.model}/{subtask.task}: it was graded by {_versions(published.get('graded_by'))}, "
                f"and here by {_versions(results['graded_by'])}"
            )
        if "tokens" not in published:  # a run of an earlier version
            left_out.add("tokens")
        names = {(one["name"], one["group"]) for one in results["metrics"]}
        if made.settled and made.why:  # an evaluator that is not installed has its own numbers
            for one in [
                one for one in published.get("metrics", ()) if (one["name"], one["group"]) not in names
            ]:
                self.found.unchecked.append(
                    f"{path.relative_to(self.run.folder.path)}: {one['name']}: {made.why}"
                )
                left_out.add(one["name"])
            published["metrics"] = [
                one for one in published.get("metrics", ()) if (one["name"], one["group"]) in names
            ]
        old = {key: value for key, value in published.items() if key not in left_out}
        new = {key: value for key, value in results.items() if key not in left_out}
        for line in value_differences(old, new):
            self._differs(path, line)
        self.found.count("metrics", len(new["metrics"]))

    def _compare_lines(self, path: Path, made: Iterable[Mapping[str, Any]], what: str) -> None:
        if not path.exists():
            if what == "grades":
                self._differs(path, "it is missing")
            return
        try:
            published = [orjson.loads(line) for line in path.read_bytes().splitlines()]
        except ValueError as error:
            self._differs(path, f"it is damaged: {error}")
            return
        keys = ("id", "repeat", "turn") if what == "predictions" else ("id", "repeat", "evaluator")
        for line in line_differences(published, made, keys):
            self._differs(path, line)
        self.found.count(what, len(published))

    def _check_performance(self) -> None:
        """Write the performance tables again, and compare them file by file."""
        folder = self.run.folder.path
        published = sorted(folder.glob("performances/*/*"))
        if not published:
            return
        if "performance" not in self.plugins.names("reporter"):
            self.found.unchecked.append("performances/: the reporter `performance` is not installed")
            return
        kept = folder.parent / "published"
        shutil.move(folder / "performances", kept)
        for path in kept.glob("*/*_details.json"):
            model, task = path.parent.name, path.name.removesuffix("_details.json")
            if f"log/{model}/{task}" not in self.sound:
                self.found.unchecked.append(f"performances/{model}/{task}: its log is damaged or missing")
                continue
            try:
                self._write_performance(_json(path), _percentiles(kept / model / f"{task}.csv"))
            except AisbError as error:
                self.found.differing.append(f"performances/{model}/{task}: {_line(error)}")
                continue
            except Exception as error:  # noqa: BLE001 - foreign data
                self.found.differing.append(f"performances/{model}/{task}: {_line(error)}")
                continue
            for file in sorted(kept.glob(f"{model}/{task}*")):
                if file.name.removeprefix(task) in SUMMARY_SUFFIXES:
                    self._compare_table(file, folder / "performances" / model / file.name)
        stems = {path.name.removesuffix("_details.json") for path in kept.glob("*/*_details.json")}
        for file in kept.glob("*/*"):
            if not any(file.name == stem + ending for stem in stems for ending in SUMMARY_SUFFIXES):
                self._differs(
                    folder / "performances" / file.relative_to(kept), "it does not follow from the run"
                )

    def _write_performance(self, details: Any, percentiles: list[float]) -> None:
        """Measure the run with the options of the published numbers."""
        table = reporter_table(self.run.folder, ["performance"], ())
        tokenizer = table.reporter_options.get("performance", {}).get("tokenizer")
        if tokenizer and not self.trust:
            raise _not_here(f"its tokens are counted by the tokenizer {tokenizer} (--trust loads it)")
        options: dict[str, Any] = {
            "show": False,
            "dialects": list(details.get("dialects") or ()),
            "objectives": dict((details.get("goodput") or {}).get("objectives", {})),
            **({"percentiles": percentiles} if percentiles else {}),
            **({"tokenizer": tokenizer} if tokenizer else {}),
        }
        table.reporter_options.clear()
        table.reporter_options["performance"] = options
        faults = PluginFaults()
        with contextlib.redirect_stdout(io.StringIO()):
            report_run(table, self.run.folder, self.plugins, faults)
        for line in faults.lines():
            raise _not_here(line)

    def _compare_table(self, published: Path, made: Path) -> None:
        if not made.exists():
            self._differs(made, "it does not follow from the run")
            return
        if published.suffix == ".json":
            lines = value_differences(_without_sentences(_json(published)), _without_sentences(_json(made)))
        elif published.suffix == ".csv":
            lines = table_differences(published.read_bytes(), made.read_bytes())
        else:
            lines = array_differences(published, made)
        for line in lines:
            self._differs(made, line)
        self.found.count("performance tables")

    def _differs(self, path: Path, line: str) -> None:
        self.found.differing.append(f"{path.relative_to(self.run.folder.path)}: {line}")


SUMMARY_SUFFIXES = (".csv", ".json", "_requests.csv", "_details.json", "_details.npz")
SENTENCES = frozenset(("not_steady", "notes", "reason", "reasons"))


def _without_sentences(details: Any) -> Any:
    """Remove sentences from performance details, since versions word them differently."""
    if isinstance(details, dict):
        return {key: _without_sentences(value) for key, value in details.items() if key not in SENTENCES}
    if isinstance(details, list):
        return [_without_sentences(one) for one in details]
    return details


def _allows_itself(run: OpenedRun, subtask: Subtask) -> bool:
    """Return whether a task's options grant a permission that the environment otherwise has to grant."""
    uses = run.spec.tasks[subtask.task].evaluate
    return any(name.startswith("allow") and value for use in uses for name, value in use.options.items())


def _not_here(why: str) -> AisbError:
    return AisbError(f"cannot be recomputed: {why}")


def _percentiles(table: Path) -> list[float]:
    """Return the percentiles that a table of performance parameters has as columns."""
    head = table.read_text("utf-8", "replace").partition("\n")[0].split(",") if table.exists() else []
    return [float(name[1:]) for name in head if re.fullmatch(r"P\d{1,2}(\.\d{1,6})?", name)]


def _versions(table: Any) -> str:
    return ", ".join(f"{name} {version}" for name, version in dict(table or {}).items()) or "nothing known"


def _line(error: BaseException) -> str:
    text = str(error).partition("\n")[0]
    return text if isinstance(error, AisbError) else f"{type(error).__name__} {text}"


def _json(path: Path) -> Any:
    with contextlib.suppress(RunError):
        return read_run_json(path)
    return None
