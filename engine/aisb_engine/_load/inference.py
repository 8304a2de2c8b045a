"""The inference stage: prepare the requests, probe the models, and run every subtask."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import FrameType
from typing import Literal, TextIO

from aisb._errors import (
    AisbError,
    CheckFailed,
    ConfigError,
    PluginError,
    RunError,
    ServiceError,
    StorageError,
)
from aisb._types import Request
from aisb_engine._load.clock import RunClock
from aisb_engine._load.connection_limits import check_files
from aisb_engine._load.episode_workers import SharedEpisodes
from aisb_engine._load.episodes import Episodes, episodes_of
from aisb_engine._load.launching import LaunchedSubtask
from aisb_engine._load.load_record import LoadRecord
from aisb_engine._load.loads import is_open, plan_times
from aisb_engine._load.placing import Placing
from aisb_engine._load.prefix_cache import WARM_UP
from aisb_engine._load.prepared import AnswerFunction, PreparedSubtask
from aisb_engine._load.preparing import prepare
from aisb_engine._load.probing import close_backends, probe_models
from aisb_engine._load.recording import record_inputs
from aisb_engine._load.runner import Note, SubtaskRunner
from aisb_engine._load.sessions import TurnRequests, sessions_of
from aisb_engine._load.share import LoadShare, RequestSource
from aisb_engine._load.stage import InferenceStage
from aisb_engine._load.token_budget import BudgetedLog
from aisb_engine._progress import Progress
from aisb_engine._record.log import Log, LogWriter, read_folder
from aisb_engine._record.manifest import now
from aisb_engine._record.predictions import read_logged_answers, write_predictions
from aisb_engine._stopper import SignalStop, Stopper

OPEN_LOOP_LEAD_NS = 2_000_000
"""The first request of an open loop is due this long after everything is ready, at the earliest."""
AISBENCH_RESUME_LINE = "Found {} tmp items, run infer task from the last interrupted position"
"""The line that AISBench prints for a resumed run, for scripts that search for it; only with its layout."""


async def infer(stage: InferenceStage) -> None:
    """Send every request that has no answer yet.

    Raises:
        ServiceError: a service cannot be reached, or does not serve the model; nothing was sent.
        UsageError: data or a component is missing, or the run's log belongs to other requests.
        PluginError: a plugin raised at every task, so that there is nothing to send.
        RunError: the log cannot be written, or a worker was lost.
    """
    check_files()
    with (stage.stopper or Stopper()).holding():
        try:
            with nullcontext() if stage.stopper else SignalStop(Stopper()):  # reading data can take long
                prepare(stage)
            if stage.left_out and not stage.subtasks:
                raise PluginError(f"nothing can be sent: {', '.join(stage.left_out)} could not be prepared")
            placing = Placing(stage.spec, stage.plugins, stage.subtasks)
            placing.check(stage.display)
            await probe_models(stage, placing)
            record_inputs(stage)
            _check_budget(stage, placing)
            stage.on_start()
            slots: asyncio.PriorityQueue[int] = asyncio.PriorityQueue()
            for slot in range(stage.spec.run.max_num_workers):
                slots.put_nowait(slot)
            tasks: list[asyncio.Task[None]] = []
            with _show_progress(stage):
                # All subtasks, and all workers on this machine, share one clock.
                began_ns = time.perf_counter_ns()
                for one in stage.subtasks:
                    task = asyncio.create_task(run_subtask(stage, one, placing, slots, began_ns))
                    tasks.append(task)
                await _wait_for_all(stage, tasks)
        finally:
            for other in stage.other_models:
                await other.aclose()
            await close_backends(stage)


async def run_subtask(
    stage: InferenceStage,
    one: PreparedSubtask,
    placing: Placing,
    slots: asyncio.PriorityQueue[int],
    began_ns: int,
) -> None:
    """Run one subtask as soon as a slot is free: warm-ups, then the load, here or on workers.

    Raises:
        RunError: the log cannot be written, or a worker was lost.
        ConfigError: a trace cannot be followed.
    """
    slot = await slots.get()
    try:
        if stage.stopping.is_set():
            return
        folder = stage.folder.log(one.subtask.model, one.subtask.task)
        progress, load = stage.progress[one.subtask.key], one.subtask.load
        with _subtask_log(stage, one, progress) as note:
            log = read_folder(folder, keep_answers=False)
            episodes = episodes_of(one, log.latest, folder, stage.plugins)
            answers = _resume(stage, one, progress, log, note)
            source, count = plan_requests(one, progress, answers, episodes)
            if stage.budget is not None and (reason := stage.budget.stop_reason()) and any(source()):
                stage.stop(reason, CheckFailed.exit_code)
                return
            clock = RunClock(began_ns)
            cache_buster = one.cache_buster()
            share = LoadShare(
                load,
                load.clients(one.backend),
                processes=one.workers,
                repeats=one.subtask.repeats,
                cache_buster=cache_buster,
                on_outage=_on_outage(stage, one),
            )

            def say(line: str) -> None:
                note(line)
                stage.display.say(f"{one.name}: {line}")

            runner = SubtaskRunner(one.backend, share, clock, progress, note, stage.stopping)
            runner.say, runner.on_failure, runner.episodes = say, stage.check_failures, episodes
            runner.sessions = sessions_of(one, clock)
            record = LoadRecord(one, progress, clock, cache_buster, placing.at_once)
            placement, loads_in_workers = placing.placement(one, slot), placing.loads_in_workers(one)
            if count and not loads_in_workers:  # a model in worker processes cannot answer warm-ups here
                await _warm_up(runner, one, record)
            async with record.recording(
                folder,
                note,
                stage.stopping,
                counted=stage.timed,
                watched=one.backend.local and not loads_in_workers,
            ):
                if stage.stopping.is_set():
                    pass
                elif placement is not None:
                    shared = None if episodes is None else SharedEpisodes.of(one, episodes, stage.plugins)
                    await LaunchedSubtask(runner, one, placement, record, stage.performance, shared).run(
                        source(),
                        lambda at: record.start(at, folder),
                        folder=folder,
                        session=stage.session,
                        began_ns=began_ns,
                    )
                else:

                    async def start() -> int:
                        return record.start(clock(), folder) + (OPEN_LOOP_LEAD_NS if share.is_open else 0)

                    runner.health_file = share.health_file(folder)
                    with LogWriter(share.log_file(folder), session=stage.session) as log_writer:
                        runner.log = log_writer
                        if stage.budget is not None:
                            runner.log = BudgetedLog(log_writer, stage.budget, runner.stop_sending)
                        for line in await runner.run(source, start):
                            record.remark(line)
            is_left = progress.finished < progress.total or (episodes is not None and episodes.unfinished > 0)
            if is_left and stage.budget is not None and (reason := stage.budget.stop_reason()):
                stage.stop(reason, CheckFailed.exit_code)
    except ServiceError as error:
        stage.stop(f"{one.name}: {error}", error.exit_code)
    finally:
        slots.put_nowait(slot)


def _check_budget(stage: InferenceStage, placing: Placing) -> None:
    """Refuse a token budget if other processes would send requests, whose tokens are not counted here.

    Raises:
        ConfigError: they would.
    """
    if stage.budget is not None and any(placing.is_launched(one) for one in stage.subtasks):
        raise ConfigError("run.token_budget", "a budget is kept where one process sends; use --workers 1")


def _on_outage(stage: InferenceStage, one: PreparedSubtask) -> Literal["continue", "pause", "slow"]:
    """Return how a load reacts to an outage: a measured load must not pause."""
    if not stage.performance:
        return "pause"
    load = one.subtask.load
    return "slow" if load.pressure_time or (load.duration and not is_open(load)) else "continue"


def plan_requests(
    one: PreparedSubtask, progress: Progress, answers: AnswerFunction, episodes: Episodes | None = None
) -> tuple[RequestSource, int]:
    """Return a source of the subtask's requests with their planned times, and how many there are.

    Raises:
        ConfigError: a trace is out of order, or has no times.
    """
    load, is_done = one.subtask.load, episodes.is_done if episodes else None
    if not is_open(load):
        remaining = progress.total - progress.finished
        return (lambda: ((0, request) for request in one.requests(answers, progress, is_done))), remaining
    listed: list[Request] | None = None
    count = one.row_count * one.subtask.repeats
    if load.use_timestamp or answers:
        listed = list(one.requests(answers, progress, is_done))
        count = len(listed)
    schedule = plan_times(load, count, [(request.id, request.at) for request in listed or ()])
    if len(schedule) < count:  # the duration ends it
        progress.total -= count - len(schedule)
        count = len(schedule)

    def timed() -> Iterable[tuple[int, Request]]:
        requests = iter(listed) if listed is not None else one.requests(answers, progress, is_done)
        return zip(schedule, requests, strict=False)

    return timed, count


async def _warm_up(runner: SubtaskRunner, one: PreparedSubtask, record: LoadRecord) -> None:
    """Send the warm-ups of a subtask, if it has any; record how many were answered."""
    count, samples = one.subtask.load.num_warmups, one.samples
    if not count:
        return
    if one.environment is not None:
        runner.note("no warm-ups: only the environment knows how an episode begins")
        return
    chosen = (samples[number % len(samples)] for number in range(count))
    render = TurnRequests(one).first if one.has_sessions else one.render
    requests: Iterable[Request] = (request for sample in chosen if (request := render(sample)))
    if cache_buster := runner.share.cache_buster:  # else warm-ups fill the cache that is measured next
        requests = (cache_buster.request(request, WARM_UP) for request in requests)
    answered = await runner.warm_up(requests, min(count, runner.share.clients))
    record.facts["warmups"] = {"sent": count, "answered": answered}
    runner.note(f"{count} warm-up requests, {answered} answered; not counted")
    if not answered:
        record.remark("no warm-up request was answered")


def _opened_to_append(path: Path) -> TextIO:
    """Open the file of a subtask's log lines.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a", encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror}\n"
            "  all finished requests are kept; make it writable, then resume the run"
        ) from error


@contextmanager
def _subtask_log(stage: InferenceStage, one: PreparedSubtask, progress: Progress) -> Iterator[Note]:
    """Yield a function that adds lines to a subtask's log file; at the end, record how the block ended."""
    with _opened_to_append(progress.log_file) as lines:

        def note(line: str) -> None:
            lines.write(f"{now()} {line}\n")
            lines.flush()
            stage.display.log(f"{progress.log_file.relative_to(stage.folder.path)}: {line}")

        try:
            yield note
        except AisbError as error:
            note(str(error))
            error.add_note(f"  log: {progress.log_file}")
            progress.phase = "failed"
            raise
        finally:
            progress.ended = time.monotonic()
            _write_predictions(stage, one)
        progress.phase = "stopped" if stage.stopping.is_set() else "done"
        note(f"{progress.phase}: {progress.finished} finished, {progress.failed} of them failed")


def _resume(
    stage: InferenceStage, one: PreparedSubtask, progress: Progress, log: Log, note: Note
) -> AnswerFunction:
    """Count the answers of earlier commands, report how much is left, and return the answers."""
    ids = {sample.id for sample in one.samples}
    finished = [key for key in log.finished if key[0] in ids and key[1] < one.subtask.repeats]
    progress.total = one.count()
    if one.environment is not None:  # the number of turns is known only when an episode has ended
        progress.total += sum(turn > 0 for _, _, turn in finished)
    progress.resumed = progress.finished = len(finished)
    progress.phase, progress.started = "sending", time.monotonic()
    if log.damaged:
        note(f"{log.damaged} damaged sections of the log skipped; their requests are sent again")
    if log.attempts:
        failed = len(log.latest) - len(log.finished)
        lines = [f"Found {len(finished)} finished of {progress.total}, {failed} failed: resuming"]
        if stage.spec.run.files_apart:
            lines.append(AISBENCH_RESUME_LINE.format(len(finished)))
        for line in lines:
            note(line)
            stage.display.say(f"{one.name}: {line}")
    note(f"sending {progress.total - progress.finished} requests, {one.subtask.merged}")
    for line in one.notes:
        note(line)
        stage.display.say(f"{one.name}: {line}")
    if broken := one.broken_line():
        stage.display.say(f"{one.name}: {broken}")
    for name, why in one.broken.items():
        note(f"request {name}: not sent: {why}")
    return log.latest


def _write_predictions(stage: InferenceStage, one: PreparedSubtask) -> None:
    """Write the prediction files, and keep the predictions for scoring.

    The answers of a performance run stay in its log.
    """
    if stage.performance:
        return
    model, task, repeats = one.subtask.model, one.subtask.task, one.subtask.repeats
    with suppress(RunError):
        answers = read_logged_answers(stage.folder, model, task, repeats)
        also_json = stage.spec.run.predictions_json
        write_predictions(stage.folder, model, task, answers, repeats=repeats, also_json=also_json)
        if stage.scored and one.task.evaluate:
            stage.answers[one.subtask.key] = answers.without_times()


@contextmanager
def _show_progress(stage: InferenceStage) -> Iterator[None]:
    """Show the counts of all subtasks while the block runs; stop the stage at Ctrl-C."""
    at_once = stage.spec.run.max_num_workers
    if at_once > 1 and len(stage.subtasks) > 1:
        clients = sorted((one.subtask.load.clients(one.backend) for one in stage.subtasks), reverse=True)
        stage.display.say(f"up to {at_once} subtasks and {sum(clients[:at_once])} requests at once")
    with _stop_on_interrupt(stage):
        stage.display.start(list(stage.progress.values()))
        try:
            yield
        finally:
            stage.display.stop()


@contextmanager
def _stop_on_interrupt(stage: InferenceStage) -> Iterator[None]:
    """Stop the stage at the first Ctrl-C or SIGTERM; a second Ctrl-C ends the process at once."""
    if stage.stopper is not None:
        yield
        return
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()

    def stop() -> None:
        stage.display.say("stopping: what has finished is kept (Ctrl-C again ends at once)")
        stage.stopping.set()

    # Not `add_signal_handler`: a signal must also count while the loop is busy, and until it has ended.
    def interrupt(number: int, _: FrameType | None) -> None:
        if not stage.interrupted:
            stage.interrupted = True
            loop.call_soon_threadsafe(stop)
        elif number == signal.SIGINT:  # some clusters send SIGTERM twice
            raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if before[signal.SIGTERM] is signal.SIG_IGN:
        del before[signal.SIGTERM]
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


async def _wait_for_all(stage: InferenceStage, tasks: list[asyncio.Task[None]]) -> None:
    """Wait for all subtasks; when one fails, stop the others and raise its error."""
    try:
        await asyncio.gather(*tasks)
    finally:
        stage.stopping.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
