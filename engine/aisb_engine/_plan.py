"""Plan a command: resolve its configuration, find the run that it resumes, refuse what cannot work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from aisb._deprecated import Renamed
from aisb._errors import AisbError, ConfigError, UnknownName, UsageError
from aisb._options import bind
from aisb._plugins import Plugins
from aisb._report import RunKind
from aisb_engine._deprecated import renamed_argument
from aisb_engine._load.lengths import with_lengths
from aisb_engine._load.loads import check_load, is_open, with_rows
from aisb_engine._record.runfolder import RunFolder
from aisb_engine._reporting.measuring import check_measuring, check_tiers, check_tokenizers
from aisb_engine._reporting.reporters import chosen_reporters, make_reporters
from aisb_engine._resolve.catalog import Catalog, Selection
from aisb_engine._resolve.config import RunInput, resolve, run_limits
from aisb_engine._resolve.judge import is_named
from aisb_engine._resolve.names import split_names
from aisb_engine._resolve.params import fit_params
from aisb_engine._resolve.rules import (
    own_input,
    own_spec,
    refuse_asking_keys,
    refuse_other_requests,
    run_file,
)
from aisb_engine._resolve.secrets import refuse_masked
from aisb_engine._resolve.tables import Setting, overlay
from aisb_engine._spec import Load, RunSpec

Mode = Literal["all", "infer", "eval", "viz", "perf", "perf_viz"]
SENDING_MODES = frozenset({"all", "infer", "perf"})
"""The modes that send requests."""
SCORING = frozenset({"all", "eval"})
"""The modes that score answers."""
RunKinds = tuple[RunKind, ...]
PERFORMANCE_LOAD = {"retries": 0, "num_warmups": 1}
"""Load defaults of a performance run: a failed request counts as a failure, it is not retried."""
TIMED_LOAD = {"retries": 0}
"""Load defaults of an accuracy run with an open loop: retries would add requests to the timed load."""


@renamed_argument("asked", "run_input")
@dataclass(slots=True)
class RunCommand:
    """The input of a command: names, files and flags (`run_input`), and the run folder to use.

    `words` is the command line for the manifest; None selects that of this process.
    """

    run_input: RunInput
    mode: Mode = "all"
    reuse: str | None = None
    work_dir: Path = Path("outputs/default")
    data_dir: Path | None = None
    words: list[str] | None = None
    asked = Renamed("run_input")

    @property
    def names_launcher(self) -> bool:
        """Whether the command itself names a launcher, and not only the configuration of the run."""
        run_input = self.run_input
        tables = (run_input.run, run_input.tables.get("run", {}))
        is_set = any(Setting.parse(text).path == ("run", "launcher") for text in run_input.sets)
        return is_set or any("launcher" in table for table in tables)


def plan(command: RunCommand, plugins: Plugins) -> tuple[RunSpec, RunFolder | None]:
    """Resolve a command, and find the run that it resumes.

    Raises:
        UsageError: a name, key, value or run folder is invalid.
    """
    folder = RunFolder.find(command.work_dir, command.reuse) if command.reuse else None
    if folder is None:
        if command.mode in {"eval", "viz", "perf_viz"}:
            raise UsageError(
                f"--mode {command.mode} needs a run to read: --reuse TIMESTAMP, or --reuse for the latest"
            )
        spec = with_lengths(resolve(plugins, command.run_input), command.run_input.lengths, plugins)
        for name, options in spec.run.reporter_options.items():
            where = f"run.reporter_options.{name}"
            if name not in plugins.names("reporter"):
                raise ConfigError(where, str(UnknownName("reporter", name, plugins.names("reporter"))))
            if options:
                bind(plugins.find("reporter", name).factory, options, where=where)
        _refuse_idle_judge(command, spec, plugins)
        return _for_mode(spec, command.mode, plugins), None
    run_input = command.run_input
    known = run_file(folder)
    _check_kind(folder, command.mode, performance=bool(known.get("run", {}).get("performance")))
    names = Catalog(plugins)
    run_input = replace(
        run_input,
        models=[_known_as("models", name, known, names) for name in split_names(run_input.models)],
        datasets=[_known_as("tasks", name, known, names) for name in split_names(run_input.datasets)],
        file=folder.config,
        tables=overlay(own_input(folder).tables, run_input.tables),
    )
    spec = with_lengths(resolve(plugins, run_input), run_input.lengths, plugins)
    _refuse_idle_judge(command, spec, plugins)
    if command.mode == "eval":
        refuse_asking_keys(map(Setting.parse, run_input.sets), folder)
        refuse_other_requests(own_spec(folder, plugins), spec, folder)
    return _for_mode(spec, command.mode, plugins, doubts=_joining(spec, known)), folder


def _refuse_idle_judge(command: RunCommand, spec: RunSpec, plugins: Plugins) -> None:
    """Refuse a command that names a judge for tasks that are graded without one.

    A judge in `aisb.toml` is for any run that needs one; a judge in the command is meant for this run.

    Raises:
        UsageError: no answer of this run would be judged.
    """
    if not is_named(command.run_input.judge):
        return
    from aisb_engine._scoring.judges import asks_in_turns, is_judged

    tasks = spec.tasks.values()
    if command.mode in SENDING_MODES and any(asks_in_turns(task, plugins) for task in tasks):
        return
    if command.mode in {"perf", "perf_viz"}:
        raise UsageError(f"--judge has no effect in --mode {command.mode}, which scores nothing; omit it")
    if not any(is_judged(task, plugins) for task in tasks):
        names = ", ".join(spec.tasks)
        verb = "is" if len(spec.tasks) == 1 else "are"
        if not any(task.is_single for task in spec.tasks.values()):
            raise UsageError(
                f"--judge has no effect: {names} {verb} of several turns, for which there is no "
                "default question to a judge\n  omit --judge, or give the task the evaluator "
                '"judge" with a prompt (docs/scoring.md)'
            )
        raise UsageError(
            f"--judge has no effect: {names} {verb} graded without a model\n  omit --judge, or let "
            """the judge grade the answers: --set 'task.evaluate=[{use="judge"}]'"""
        )


def _joining(spec: RunSpec, known: Mapping[str, Any]) -> list[str]:
    """Return the limits of the run that a subtask takes over if it is added."""
    before = {(table.get("model"), table.get("task")) for table in known.get("subtasks", ())}
    lines = []
    for subtask in spec.subtasks:
        if (subtask.model, subtask.task) in before:
            continue
        taken = {**run_limits(known, subtask.model)["load"], **run_limits(known, subtask.model)["forced"]}
        present = {**subtask.load.model_dump(mode="json", exclude_unset=True), **subtask.forced}
        kept = ", ".join(f"{key} {value}" for key, value in taken.items() if present.get(key) == value)
        if kept:
            lines.append(f"{subtask.task} · {subtask.model} joins the run and takes its limits: {kept}")
    return lines


def _check_kind(folder: RunFolder, mode: Mode, *, performance: bool) -> None:
    """Refuse to resume a performance run, and to turn an accuracy run into one.

    Raises:
        UsageError: the message names the modes that fit the run.
    """
    if performance and mode in SENDING_MODES:
        raise UsageError(
            f"{folder} is a performance run, which cannot be resumed: the rest would be measured under "
            f"another load\n  show it again with: {folder.command('aisb run --mode perf_viz --reuse')}\n"
            f"  score it with: {folder.command('aisb score')}\n  or start a new one without --reuse"
        )
    if not performance and mode == "perf":
        raise UsageError(
            f"{folder} is not a performance run, and cannot become one\n  start one with --mode perf and "
            "without --reuse\n  show how fast this one was with: "
            f"{folder.command('aisb run --mode perf_viz --reuse')}"
        )


def shown_kinds(mode: Mode, spec: RunSpec) -> RunKinds:
    """Return the kinds of report for a run. A complete run with an open loop has both kinds."""
    if mode in {"perf", "perf_viz"}:
        return ("performance",)
    return ("accuracy", "performance") if is_timed(mode, spec) else ("accuracy",)


def is_timed(mode: Mode, spec: RunSpec) -> bool:
    """Return whether a run reports its performance."""
    opened = mode == "all" and any(is_open(subtask.load) for subtask in spec.subtasks)
    return opened or mode in {"perf", "perf_viz"}


def _for_mode(spec: RunSpec, mode: Mode, plugins: Plugins, *, doubts: Sequence[str] = ()) -> RunSpec:
    """Apply the defaults of a mode to a run, and validate its loads, judge and reporters.

    Everything that can be checked is checked here, since the run may take hours.

    Raises:
        ConfigError: a load contradicts itself, or cannot be paced.
        UsageError: a reporter or backend cannot be created, or a parameter would not be sent.
    """
    if mode in SENDING_MODES:
        for model in spec.models.values():
            refuse_masked(model.options, f"models.{model.name}")
    if spec.judge and mode in SCORING:
        refuse_masked(spec.judge.model.options, "judge")
    spec = with_rows(spec, plugins)
    if mode == "perf":
        spec = spec.model_copy(update={"run": spec.run.model_copy(update={"performance": True})})
    if mode in SENDING_MODES and is_timed(mode, spec):
        defaults = PERFORMANCE_LOAD if mode == "perf" else TIMED_LOAD
        loads = [_over(s.load, defaults) for s in spec.subtasks]
        subtasks = [s.model_copy(update={"load": load}) for s, load in zip(spec.subtasks, loads, strict=True)]
        spec = spec.model_copy(update={"subtasks": subtasks})
    doubts = [*spec.doubts, *doubts]
    if mode in {"all", "eval"} or (mode in SENDING_MODES and any(t.environment for t in spec.tasks.values())):
        from aisb_engine._scoring.judges import check_judge

        doubts += check_judge(spec, plugins, answers=mode in SCORING)
    for subtask in spec.subtasks:
        check_load(subtask.load)
        for key in ("pressure_time", "duration"):
            if getattr(subtask.load, key) and mode != "perf" and not spec.run.performance:
                raise ConfigError(f"load.{key}", "repeats rows, which only --mode perf can report")
    if mode != "infer":
        kinds = shown_kinds(mode, spec)
        make_reporters(spec.run, plugins, kinds)
        names, options = chosen_reporters(spec.run, plugins, kinds), spec.run.reporter_options
        check_measuring(names, options, plugins, performance="performance" in kinds)
        check_tiers(spec.run.tiers)
        if "performance" in kinds:
            check_tokenizers(spec.models)
    return fit_params(spec, plugins, doubts) if mode in SENDING_MODES else spec


def _over(load: Load, defaults: Mapping[str, Any]) -> Load:
    """Return a load with other defaults for its unset keys."""
    unset = {key: value for key, value in defaults.items() if key not in load.model_fields_set}
    return load.model_copy(update=unset)


def _known_as(kind: Literal["models", "tasks"], text: str, known: Mapping[str, Any], catalog: Catalog) -> str:
    """Return the name under which a resolved run has a model or task; `text` may be an alias of it."""
    tables: Mapping[str, Any] = known.get(kind, {})
    if text in tables:
        return text
    meant = str(Selection.parse(text))
    with suppress(AisbError):
        selection, _ = catalog.find("model" if kind == "models" else "task", Selection.parse(text))
        meant = str(selection._replace(select={}))
    for name, table in tables.items():
        if meant in {table.get("name"), table.get("base")}:
            return name
    return text
