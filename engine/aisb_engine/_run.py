"""One command's run, from what was asked to what is shown: resolve, ask, score, report.

`mode` chooses which parts of that line run, and nothing else: `all` is the whole line, `infer` asks, `eval`
scores and shows, `viz` shows. `perf` asks under a load and shows how fast the answers came, `perf_viz` shows
that again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import tomli_w

from aisb import FinishedRun
from aisb._errors import AisbError, ConfigError, RunError, UnknownName, UsageError
from aisb._options import bind
from aisb._plugins import Plugins
from aisb_engine._faults import PluginFaults
from aisb_engine._load.asking import Asking, run_loop, unasked
from aisb_engine._load.loads import check_load, with_rows
from aisb_engine._progress import Display, Silent
from aisb_engine._record.manifest import Manifest, command_line
from aisb_engine._record.runfolder import RunFolder, write_atomically
from aisb_engine._reporting.finished import open_finished_run
from aisb_engine._reporting.following import Followable
from aisb_engine._reporting.measuring import check_measuring, measuring_options
from aisb_engine._reporting.reporters import chosen_reporters, make_reporters, show
from aisb_engine._resolve.catalog import Catalog, Selection, read_user_file
from aisb_engine._resolve.config import RunInput, resolve
from aisb_engine._resolve.names import split_names
from aisb_engine._resolve.params import fit_params
from aisb_engine._resolve.rules import (
    changed_rules,
    own_input,
    own_spec,
    refuse_asking_keys,
    refuse_other_requests,
    run_file,
    with_own_rules,
)
from aisb_engine._resolve.secrets import mask_options
from aisb_engine._resolve.tables import Setting, overlay
from aisb_engine._spec import Judge, Load, RunSpec, RunTable
from aisb_engine._stopper import Stopper

Mode = Literal["all", "infer", "eval", "viz", "perf", "perf_viz"]
ASKING = frozenset({"all", "infer", "perf"})
"""The modes that send requests."""
INTERRUPTED = 130
PERFORMANCE_LOAD = {"retries": 0, "num_warmups": 1}
"""What a performance run does unless it is told otherwise: a request that failed is a failure."""

HEAD = """\
# This run, resolved: `aisb run -c` with this file does it again. What is sent stands in [[subtasks]]:
# `params` from files, `forced` from flags; a row's own max_tokens stands between them.
"""


@dataclass(slots=True)
class Command:
    """What a command was told: names, files and flags (`asked`), and which run in which folder.

    `words` are what the manifest keeps as the command line; None stands for this process's own.
    """

    asked: RunInput
    mode: Mode = "all"
    reuse: str | None = None
    work_dir: Path = Path("outputs/default")
    data_dir: Path | None = None
    words: list[str] | None = None


@dataclass(slots=True)
class Ended:
    """How a run ended: what the last lines say, and the exit code.

    `faulty` says that a plugin raised somewhere, so that what is shown is not all that was wanted.
    """

    folder: RunFolder
    asked: int = 0
    failed: int = 0
    interrupted: bool = False
    faulty: bool = False
    exit_code: int = 0
    reports: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def plan(command: Command, plugins: Plugins) -> tuple[RunSpec, RunFolder | None]:
    """Resolve a command, and find the run that it goes on with.

    Raises:
        UsageError: a name, key, value or run folder is not as it must be.
    """
    folder = RunFolder.find(command.work_dir, command.reuse) if command.reuse else None
    if folder is None:
        if command.mode in {"eval", "viz", "perf_viz"}:
            raise UsageError(
                f"--mode {command.mode} needs a run to read: --reuse TIMESTAMP, or --reuse for the latest"
            )
        spec = resolve(plugins, command.asked)
        for name, options in spec.run.reporter_options.items():
            where = f"run.reporter_options.{name}"
            if name not in plugins.names("reporter"):
                raise ConfigError(where, str(UnknownName("reporter", name, plugins.names("reporter"))))
            if options:
                bind(plugins.find("reporter", name).factory, options, where=where)
        return _for_mode(spec, command.mode, plugins), None
    asked = command.asked
    known = run_file(folder)
    _check_kind(folder, command.mode, performance=bool(known.get("run", {}).get("performance")))
    names = Catalog(plugins)
    asked = replace(
        asked,
        models=[_known_as("models", name, known, names) for name in split_names(asked.models)],
        datasets=[_known_as("tasks", name, known, names) for name in split_names(asked.datasets)],
        file=folder.config,
        tables=overlay(own_input(folder).tables, asked.tables),
    )
    spec = resolve(plugins, asked)
    if command.mode == "eval":
        refuse_asking_keys(map(Setting.parse, asked.sets), folder)
        refuse_other_requests(own_spec(folder, plugins), spec, folder)
    return _for_mode(spec, command.mode, plugins), folder


def _check_kind(folder: RunFolder, mode: Mode, *, performance: bool) -> None:
    """Refuse to go on with a performance run, whose clock has stopped, or to show a run as what it is not.

    Raises:
        UsageError: says which mode fits the run.
    """
    if performance and mode != "perf_viz":
        raise UsageError(
            f"{folder} is a performance run, which cannot be resumed: its load would not be the one it "
            f"was asked for\n  show it again with --mode perf_viz --reuse {folder.timestamp}, or start a new "
            "one without --reuse"
        )
    if not performance and mode in {"perf", "perf_viz"}:
        raise UsageError(
            f"{folder} is no performance run\n  start one with --mode perf and without --reuse; "
            f"--mode viz --reuse {folder.timestamp} shows this one"
        )


def _for_mode(spec: RunSpec, mode: Mode, plugins: Plugins) -> RunSpec:
    """Return a run with what its mode implies where nothing else was said; check its loads.

    Raises:
        ConfigError: a load contradicts itself, or cannot be paced.
        UsageError: a reporter or backend cannot be made, or a parameter that is set would not be sent: better
            said before hours of asking.
    """
    spec = with_rows(spec, plugins)
    if mode == "perf":
        spec = spec.model_copy(
            update={
                "run": spec.run.model_copy(update={"performance": True}),
                "subtasks": [
                    s.model_copy(update={"load": _over(s.load, PERFORMANCE_LOAD)}) for s in spec.subtasks
                ],
            }
        )
    doubts: list[str] = []
    if mode in {"all", "eval"}:
        from aisb_engine._scoring.judging import check_judge

        doubts = check_judge(spec, plugins)
    for subtask in spec.subtasks:
        check_load(subtask.load)
        if subtask.load.pressure_time and mode != "perf" and not spec.run.performance:
            raise ConfigError(
                "load.pressure_time", "asks rows again and again, which only --mode perf can show"
            )
    if mode != "infer":
        make_reporters(spec.run, plugins)
        names, options = chosen_reporters(spec.run, plugins), spec.run.reporter_options
        check_measuring(names, options, plugins, performance=spec.run.performance)
    return fit_params(spec, plugins, doubts) if mode in ASKING else spec


def _over(load: Load, defaults: Mapping[str, Any]) -> Load:
    """Return a load with other defaults."""
    unset = {key: value for key, value in defaults.items() if key not in load.model_fields_set}
    return load.model_copy(update=unset)


def execute(
    command: Command, plugins: Plugins, display: Display | None = None, *, stopper: Stopper | None = None
) -> Ended:
    """Run the parts of the line that the mode chooses.

    With a stopper, which a program holds, no signal handler is set.

    Raises:
        AisbError: see its kinds; what had finished before is kept in the run folder.
    """
    spec, found = plan(command, plugins)
    folder = found or RunFolder.create(command.work_dir, datetime.now())  # noqa: DTZ005 - local time
    display = Followable(display or Silent(), folder)
    ended, faults = Ended(folder), PluginFaults(folder)
    own = own_spec(folder, plugins) if found else spec
    with folder.lock():
        _save_config(folder, spec, again=False)
        manifest = Manifest.open(folder, plugins, asks=command.mode in ASKING)
        session = manifest.begin(command.words or command_line())
        try:
            if command.mode == "all":
                _check_graders(spec, plugins, faults, display)
            if command.mode in ASKING:
                _ask(
                    Asking(
                        spec,
                        folder,
                        plugins,
                        manifest,
                        display,
                        command.data_dir,
                        session,
                        performance=command.mode == "perf",
                        stopper=stopper,
                        faults=faults,
                        begun=partial(_save_config, folder, spec, again=True),
                    ),
                    ended,
                    faults,
                )
            if command.mode in {"all", "eval"} and not ended.interrupted:
                _score(
                    _Scoring(spec, own, folder, plugins, manifest, display, session, stopper), ended, faults
                )
            # What a performance run measured before it was interrupted is shown: it cannot be resumed.
            if command.mode in {"perf", "perf_viz"} or (
                command.mode in {"all", "eval", "viz"} and not ended.interrupted
            ):
                if spec.run.performance and not chosen_reporters(spec.run, plugins):
                    ended.notes.append("no reporter for performance is installed: only the log is kept")
                finished, ended.reports = report(spec.run, folder, plugins, faults)
                if spec.run.require_valid and spec.run.performance:
                    _require_valid(spec, finished)
            ended.faulty = ended.faulty or bool(faults.faults)
            ended.notes += faults.lines()
            ended.exit_code = _exit_code(spec, ended)
        except AisbError as error:
            ended.exit_code = error.exit_code
            for line in faults.lines(kept=found is not None or folder.was_asked):
                error.add_note(f"  {line}")
            if folder.was_asked:
                error.add_note(f"what was answered is kept in {folder}")
            raise
        except (KeyboardInterrupt, asyncio.CancelledError):
            ended.exit_code = INTERRUPTED
            raise
        finally:
            manifest.end(ended.exit_code)
            if found is None and not folder.was_asked:
                folder.remove()  # nothing was sent: there is nothing to keep
    return ended


def _check_graders(spec: RunSpec, plugins: Plugins, faults: PluginFaults, display: Display) -> None:
    """Name the graders that cannot be made before anything is sent."""
    from aisb_engine._scoring.scoring import check_graders

    for name, task in spec.tasks.items():
        known = len(faults.faults)
        check_graders(task, plugins, faults)
        for fault in faults.faults[known:]:
            display.say(f"{name}: {fault.line}")


def _ask(asking: Asking, ended: Ended, faults: PluginFaults) -> None:
    """Send what has no answer yet, and keep how that went."""
    try:
        run_loop(asking)
    except RunError:  # a full disk, a lost worker: what was measured until then is shown
        if asking.performance and asking.folder.was_asked:
            with suppress(AisbError):
                report(asking.spec.run, asking.folder, asking.plugins, faults)
        raise
    finally:
        ended.asked = sum(piece.progress.total for piece in asking.pieces)
        ended.failed = sum(piece.progress.failed for piece in asking.pieces)
        if not asking.performance:  # there a row that is not sent is no failed request
            broken = sum(len(piece.broken) * piece.subtask.repeats for piece in asking.pieces)
            ended.asked += broken
            ended.failed += broken
    ended.notes += [
        f"{p.task} · {p.model}: {p.failed} failed, the first is request {p.first_failure}\n  see {p.log_file}"
        for p in (piece.progress for piece in asking.pieces)
        if p.failed
    ]
    ended.interrupted = asking.interrupted
    if asking.interrupted and not asking.performance:
        ended.notes.append(f"{unasked(asking.pieces)} of {ended.asked} requests have no answer yet")


class _Scoring(NamedTuple):
    """What one command scores: by which rules, and what the run's own are."""

    spec: RunSpec
    own: RunSpec
    folder: RunFolder
    plugins: Plugins
    manifest: Manifest
    display: Display
    session: int
    stopper: Stopper | None


def _score(of: _Scoring, ended: Ended, faults: PluginFaults) -> None:
    """Grade what was answered, and keep how that went."""
    from aisb_engine._scoring.results import score_run

    tasks = of.manifest.data.get("tasks", {})
    if of.own.judge is None and of.spec.judge is not None:
        _keep_late_judge(of.folder, of.spec.judge)
    scoring = score_run(
        of.spec,
        of.folder,
        of.plugins,
        of.display,
        of.session,
        faults=faults,
        left_out={name: facts["not_asked"] for name, facts in tasks.items() if "not_asked" in facts},
        trials={name: changed_rules(of.own, of.spec, name) for name in of.spec.tasks},
    )
    scored = asyncio.run((of.stopper or Stopper()).guard(scoring))
    ended.notes += scored.notes
    ended.faulty = scored.unmade > 0
    ended.failed += scored.unjudged + (0 if ended.asked else scored.failed)


def report(
    run: RunTable, folder: RunFolder, plugins: Plugins, faults: PluginFaults
) -> tuple[FinishedRun, list[Path]]:
    """Let reporters show a run; return it and the files they wrote. A reporter that fails is in `faults`.

    Raises:
        RunError: the run folder is broken.
        UsageError: a reporter is unknown or cannot be made.
    """
    names = chosen_reporters(run, plugins)
    reporters = make_reporters(run, plugins)
    measuring = measuring_options(names, run.reporter_options, plugins)
    finished = open_finished_run(folder.path, plugins=plugins, measuring=measuring)
    check_measuring(names, run.reporter_options, plugins, performance=finished.is_performance)
    return finished, show(finished, reporters, plugins, faults)


def _require_valid(spec: RunSpec, finished: FinishedRun) -> None:
    """Demand that every certificate is VALID: those that reporters showed, not measured again."""
    from aisb_engine._performance.performance import require_valid

    require_valid(finished.performance, [(pair.model, pair.task) for pair in spec.subtasks])


def _exit_code(spec: RunSpec, ended: Ended) -> int:
    if ended.interrupted:
        return INTERRUPTED
    return 1 if ended.faulty or ended.failed > spec.run.max_failures else 0


def resolved(spec: RunSpec) -> dict[str, Any]:
    """Return a resolved run as the tables of a configuration file: secrets masked, unset keys left out."""
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
    """Return the judge as one model table, which stands alone."""
    model = {**_plain(judge.model), "options": mask_options(judge.model.options)}
    return {**model, "params": judge.params, "forced": judge.forced, "load": _plain(judge.load)}


def _keep_late_judge(folder: RunFolder, judge: Judge) -> None:
    """Keep the judge of a run that was asked without one, so that it can be graded again."""
    write_atomically(folder.late_judge, tomli_w.dumps(_judge_table(judge), multiline_strings=True).encode())


def _save_config(folder: RunFolder, spec: RunSpec, *, again: bool) -> None:
    """Write the resolved run; what an earlier command asked for in the same folder stays in it.

    Unless `again`, a configuration that is there is left as it is.
    """
    mine = resolved(spec)
    if folder.config.exists():
        if not again:
            return
        mine = _united(read_user_file(folder.config), mine)
    write_atomically(folder.config, (HEAD + tomli_w.dumps(mine, multiline_strings=True)).encode())


def _united(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return two resolved runs as one: the new tables, but a task keeps the rules that it began with."""
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


def _known_as(kind: Literal["models", "tasks"], text: str, known: Mapping[str, Any], catalog: Catalog) -> str:
    """Return the name under which a resolved run has a model or task that may be given by another name."""
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
