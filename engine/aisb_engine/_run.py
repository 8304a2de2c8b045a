"""Execute a run from end to end: resolve, send requests, score, report.

`mode` selects the stages: `all` runs every stage, `infer` only sends, `eval` scores and reports, `viz`
reports. `perf` sends under load and reports the performance, `perf_viz` reports it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aisb import FinishedRun
from aisb._deprecated import Renamed
from aisb._errors import AisbError, RunError, StorageError
from aisb._plugins import Plugins
from aisb_engine._budget import TokenBudget
from aisb_engine._faults import PluginFaults
from aisb_engine._load.answering import answer_requests
from aisb_engine._load.inference import infer
from aisb_engine._load.stage import InferenceStage
from aisb_engine._plan import SCORING, SENDING_MODES, Mode, RunCommand, RunKinds, plan, shown_kinds
from aisb_engine._progress import Display, Silent
from aisb_engine._record.log import read_folder
from aisb_engine._record.manifest import Manifest, command_line
from aisb_engine._record.runfolder import RunFolder
from aisb_engine._record.stored import summary_of
from aisb_engine._reporting.finished import open_finished_run
from aisb_engine._reporting.following import Followable
from aisb_engine._reporting.measuring import check_measuring, measuring_options
from aisb_engine._reporting.reporters import chosen_reporters, make_reporters, show_run
from aisb_engine._resolve.catalog import read_user_file
from aisb_engine._resolve.rules import changed_rules, own_spec
from aisb_engine._resolve.secrets import secret_settings_of
from aisb_engine._run_config import keep_late_judge, save_config
from aisb_engine._spec import LOCAL, RunSpec, RunTable, Subtask
from aisb_engine._stopper import SignalStop, Stopper, event_loop, sigterm_as_ctrl_c

if TYPE_CHECKING:
    from aisb_engine._record.predictions import LoggedAnswers
    from aisb_engine._scoring.graders import RunGraders
    from aisb_engine._scoring.judging import Judging
    from aisb_engine._scoring.results import ScoredSubtask

INTERRUPTED = 130
DEFECT_EXIT_CODE = 70
"""The exit code for a defect of aisb: an unexpected exception."""


@dataclass(slots=True)
class ExecutedRun:
    """The result of a command: the run folder, notes for the user, and the exit code.

    `stopped_because` is the reason if the run stopped itself early, after too many failures or an outage of
    the service; `stopped_code` is the exit code for it. `secret_settings` lists the settings with secrets.
    The run folder does not keep them, so the user must pass them again to resume the run. `finished` is the
    run as reporters received it, if any ran. `faulty` is true if a plugin failed, so that the reports may be
    incomplete.
    """

    folder: RunFolder
    finished: FinishedRun | None = None
    requests: int = 0
    failed: int = 0
    interrupted: bool = False
    stopped_because: str = ""
    stopped_code: int = 0
    faulty: bool = False
    exit_code: int = 0
    reports: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    secret_settings: list[str] = field(default_factory=list)

    asked, give_again = Renamed("requests"), Renamed("secret_settings")

    @property
    def is_stopped(self) -> bool:
        """Whether the run stopped before all requests were sent, by Ctrl-C or by itself."""
        return self.interrupted or bool(self.stopped_because)


def execute(
    command: RunCommand, plugins: Plugins, display: Display | None = None, *, stopper: Stopper | None = None
) -> ExecutedRun:
    """Run the stages that the mode selects.

    SIGTERM stops the run like Ctrl-C. With a `stopper`, through which a calling program stops the run, no
    signal handler is installed.

    Raises:
        AisbError: one of its subclasses; the run folder keeps everything that was done before it.
    """
    spec, existing = plan(command, plugins)
    folder = existing or RunFolder.create(command.work_dir, datetime.now())  # noqa: DTZ005 - local time
    if existing is None and spec.run.files_apart:
        folder.keep_apart()
    display = Followable(display or Silent(), folder)
    ended, faults = ExecutedRun(folder, secret_settings=secret_settings_of(spec)), PluginFaults(folder)
    own = own_spec(folder, plugins) if existing else spec
    kinds, own_stopper = shown_kinds(command.mode, spec), stopper or Stopper()
    with folder.lock(), nullcontext() if stopper else sigterm_as_ctrl_c():
        with _remove_on_error(folder, resumed=existing is not None):
            save_config(folder, spec, again=False)
            manifest = Manifest.open(folder, plugins, sends=command.mode in SENDING_MODES)
            session = manifest.begin(command.words or command_line())
        with _record_end(
            ended, faults, manifest, resumed=existing is not None, measured=spec.run.performance
        ):
            budget = budget_of(spec, folder)
            graders = None
            if command.mode in SCORING:
                graders = _graders(command, spec, folder, plugins, session=session, budget=budget)
            answers: dict[str, LoggedAnswers] = {}
            if graders is not None and command.mode == "all":
                graders.check(faults, display)
            if command.mode in SENDING_MODES:
                stage = InferenceStage(
                    spec,
                    folder,
                    plugins,
                    manifest,
                    display,
                    command.data_dir,
                    session,
                    faults,
                    performance=command.mode == "perf",
                    timed="performance" in kinds,
                    scored=graders is not None,
                    stopper=stopper,
                    on_start=partial(_begin, manifest, folder, spec),
                    budget=budget,
                    other_model=partial(_other_model, folder, spec, plugins, session=session, budget=budget),
                )
                with _record_inference(stage, ended):
                    try:
                        with event_loop(_new_loop()) as runner:
                            runner.run(infer(stage))
                    finally:
                        _note_unsent(stage)
                answers = stage.answers
                del stage  # frees all rows, which scoring does not need
            with nullcontext() if stopper else SignalStop(own_stopper, stopped=ended.interrupted):
                if graders is not None and not ended.is_stopped:
                    with event_loop() as runner:
                        scored = runner.run(
                            _score(
                                graders,
                                own,
                                folder,
                                display,
                                faults=faults,
                                answers=answers,
                                manifest=manifest,
                                stopper=own_stopper,
                            )
                        )
                    ended.notes += scored.notes
                    ended.faulty = scored.unmade > 0
                    ended.failed += scored.unjudged + (0 if ended.requests else scored.failed)
                if _is_shown(command.mode, ended):
                    models = _model_tables(spec)
                    finished, ended.reports = report(spec.run, folder, plugins, faults, kinds, models=models)
                    ended.finished = finished
                    if "performance" in kinds:
                        _check_performance(spec, finished, ended, plugins)
            ended.faulty = ended.faulty or bool(faults.faults)
            ended.notes += faults.lines()
            ended.exit_code = _exit_code(spec, ended)
    return ended


@contextmanager
def _remove_on_error(folder: RunFolder, *, resumed: bool) -> Iterator[None]:
    """Remove a new folder if its configuration cannot be written, because the run could not be resumed."""
    try:
        yield
    except BaseException:
        if not resumed:
            with suppress(OSError):
                folder.remove()
        raise


def _begin(manifest: Manifest, folder: RunFolder, spec: RunSpec) -> None:
    """Save the configuration, and note in the manifest that requests are being sent."""
    save_config(folder, spec, again=True)
    manifest.note_begun()


def _note_unsent(stage: InferenceStage) -> None:
    """Note in the manifest the number of unsent requests of each subtask, if the run sent any."""
    if not stage.manifest.has_begun:
        return
    for one in stage.subtasks:
        progress = stage.progress[one.subtask.key]
        waiting = progress.phase == "waiting"
        stage.manifest.note_not_sent(
            one.subtask.key, one.count() if waiting else progress.total - progress.finished
        )


@contextmanager
def _record_end(
    ended: ExecutedRun, faults: PluginFaults, manifest: Manifest, *, resumed: bool, measured: bool
) -> Iterator[None]:
    """Record in the manifest how the run in the block ended; remove its folder if nothing was sent.

    `measured` marks a performance run, which cannot be resumed.
    """
    folder = ended.folder
    ended.exit_code = DEFECT_EXIT_CODE  # the block replaces it when it ends normally
    try:
        yield
    except AisbError as error:
        ended.exit_code = error.exit_code
        for line in faults.lines(kept=resumed or folder.has_log):
            error.add_note(f"  {line}")
        if folder.has_log:
            error.add_note(f"the answers so far are kept in {folder}")
            if isinstance(error, StorageError) and not measured:
                error.add_note(f"resume with: {folder.command('aisb run --reuse')}")
        raise
    except (KeyboardInterrupt, asyncio.CancelledError) as stop:
        ended.exit_code = INTERRUPTED
        if folder.has_log:
            stop.add_note(f"the answers so far are kept in {folder}")
        raise
    finally:
        manifest.end(ended.exit_code)
        if not resumed and not folder.has_log:
            folder.remove()


def budget_of(spec: RunSpec, folder: RunFolder) -> TokenBudget | None:
    """Return the token budget of a run with what its logs have used; None if it has none."""
    if spec.run.token_budget is None:
        return None
    budget = TokenBudget(spec.run.token_budget)

    def add(log: Path, *, of_judge: bool = False) -> None:
        answers = read_folder(log).latest.entries.values()
        budget.add_all(map(summary_of, answers), of_judge=of_judge)

    for subtask in spec.subtasks:
        add(folder.log(subtask.model, subtask.task))
        add(folder.questions(subtask.model, subtask.task), of_judge=True)
    if spec.judge is not None:
        add(folder.judge(spec.judge.model.abbr), of_judge=True)
    return budget


def _other_model(
    folder: RunFolder,
    spec: RunSpec,
    plugins: Plugins,
    subtask: Subtask,
    *,
    session: int,
    budget: TokenBudget | None,
) -> Judging | None:
    """Return what asks the judge for the environment of a subtask; None if the environment asks nothing."""
    from aisb_engine._scoring.judges import asks_in_turns
    from aisb_engine._scoring.judging import judging_of

    if not asks_in_turns(spec.tasks[subtask.task], plugins):
        return None
    return judging_of(
        folder,
        spec,
        plugins,
        answer_requests=answer_requests,
        session=session,
        asked_in=folder.questions(subtask.model, subtask.task),
        budget=budget,
    )


def _graders(
    command: RunCommand,
    spec: RunSpec,
    folder: RunFolder,
    plugins: Plugins,
    *,
    session: int,
    budget: TokenBudget | None,
) -> RunGraders:
    """Create the graders of the run, with its judge model.

    A run that is scored later is graded in this process, unless this command names a launcher: the one that
    sent the requests may be gone.
    """
    from aisb_engine._scoring.graders import RunGraders
    from aisb_engine._scoring.judging import judging_of

    judging = judging_of(
        folder, spec, plugins, answer_requests=answer_requests, session=session, budget=budget
    )
    launcher = spec.run.launcher if command.mode != "eval" or command.names_launcher else LOCAL
    return RunGraders(spec, plugins, judging, launcher)


async def _score(
    graders: RunGraders,
    own: RunSpec,
    folder: RunFolder,
    display: Display,
    *,
    faults: PluginFaults,
    answers: dict[str, LoggedAnswers],
    manifest: Manifest,
    stopper: Stopper,
) -> ScoredSubtask:
    """Score every subtask, unless the run is stopped.

    `own` is the run's own configuration; scoring by other rules is a trial.
    """
    from aisb_engine._scoring.results import score_run

    tasks = manifest.data.get("tasks", {})
    left_out = {name: facts["skip_reason"] for name, facts in tasks.items() if "skip_reason" in facts}
    spec = graders.spec
    if own.judge is None and spec.judge is not None:
        keep_late_judge(folder, spec.judge)
    with stopper.holding():
        return await score_run(
            graders,
            folder,
            display,
            faults=faults,
            answers=answers,
            left_out=left_out,
            trials={name: changed_rules(own, spec, name) for name in spec.tasks},
        )


def _is_shown(mode: Mode, ended: ExecutedRun) -> bool:
    """Return whether to call reporters: also for a stopped performance run, which cannot be resumed."""
    return mode in {"perf", "perf_viz"} or (mode in {"all", "eval", "viz"} and not ended.is_stopped)


def _check_performance(spec: RunSpec, finished: FinishedRun, ended: ExecutedRun, plugins: Plugins) -> None:
    """Add a note if no reporter shows performance; raise if a required certificate is not VALID."""
    if not chosen_reporters(spec.run, plugins, ("performance",)):
        ended.notes.append("no reporter for performance is installed: the run has only the log")
    if spec.run.require_valid:
        _require_valid(spec, finished)


@contextmanager
def _record_inference(stage: InferenceStage, ended: ExecutedRun) -> Iterator[None]:
    """Record the result of the inference stage that runs in the block, even if it raises."""
    try:
        yield
    except RunError:  # such as a full disk or a lost worker: report the measurements so far
        if stage.performance and stage.folder.has_log:
            with suppress(AisbError):
                kinds: RunKinds = ("performance",)
                models = _model_tables(stage.spec)
                report(stage.spec.run, stage.folder, stage.plugins, stage.faults, kinds, models=models)
        raise
    finally:
        ended.requests, ended.failed = stage.requests, stage.failed
    ended.interrupted = stage.interrupted
    ended.stopped_because, ended.stopped_code = stage.stopped_because, stage.stopped_code
    if ended.stopped_because:
        ended.notes.append(f"stopped: {ended.stopped_because}")
    if ended.is_stopped and not stage.performance:
        ended.notes.append(f"{stage.unanswered} of {ended.requests} requests have no answer yet")


def _new_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return a function that creates an event loop: uvloop's if it is installed, else None for asyncio's."""
    try:
        import uvloop
    except ImportError:
        return None
    make: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return make


def report(
    run: RunTable,
    folder: RunFolder,
    plugins: Plugins,
    faults: PluginFaults,
    kinds: RunKinds = (),
    *,
    models: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[FinishedRun, list[Path]]:
    """Call the reporters of a run; return the run and the files they wrote. `faults` records their failures.

    `kinds` selects the default reporters if the run names none. `models` are tables of models that override
    those in the run's configuration.

    Raises:
        RunError: the run folder is damaged.
        UsageError: a reporter is unknown or cannot be created.
    """
    names = chosen_reporters(run, plugins, kinds)
    reporters = make_reporters(run, plugins, kinds)
    if models is None:
        models = read_user_file(folder.config).get("models", {}) if folder.config.exists() else {}
    measuring = measuring_options(names, run.reporter_options, plugins, models, tiers=run.tiers)
    finished = open_finished_run(folder.path, plugins=plugins, measuring=measuring)
    measured = finished.is_performance or "performance" in kinds
    check_measuring(names, run.reporter_options, plugins, performance=measured)
    return finished, show_run(finished, reporters, plugins, faults)


def _model_tables(spec: RunSpec) -> dict[str, dict[str, Any]]:
    return {
        name: model.model_dump(include={"tokenizer"}, exclude_none=True)
        for name, model in spec.models.items()
    }


def _require_valid(spec: RunSpec, finished: FinishedRun) -> None:
    """Raise `CheckError` unless every certificate is VALID."""
    from aisb_engine._performance.performance import require_valid

    require_valid(finished.performance, [(pair.model, pair.task) for pair in spec.subtasks])


def _exit_code(spec: RunSpec, ended: ExecutedRun) -> int:
    if ended.interrupted:
        return INTERRUPTED
    if ended.stopped_code:
        return ended.stopped_code
    return 1 if ended.faulty or ended.failed > spec.run.max_failures else 0
