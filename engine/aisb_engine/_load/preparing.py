"""Prepare the subtasks of a command from rows, backends and prompt renderers."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import replace
from functools import partial

from aisb._environment import Environment
from aisb._errors import AisbError, ConfigError
from aisb._evaluator import Ask
from aisb._options import option_with
from aisb._plugins import Plugins
from aisb._roles import CacheNonce
from aisb._types import Request, Sample
from aisb_engine._data.data_columns import columns_line
from aisb_engine._data.data_file_tasks import grading_line
from aisb_engine._data.datafiles import DataFolders
from aisb_engine._data.loading import LoadedSamples, load_samples
from aisb_engine._data.prompts import Renderer
from aisb_engine._data.samples import BrokenRow
from aisb_engine._faults import ComponentError, make
from aisb_engine._http.client import connect
from aisb_engine._http.likelihood import check_scores, scores_texts
from aisb_engine._load.loads import ends_by_time, rows_to_send, worker_count
from aisb_engine._load.prepared import PreparedSubtask
from aisb_engine._load.selecting import select_rows
from aisb_engine._load.session_facts import left_out_line
from aisb_engine._load.stage import InferenceStage
from aisb_engine._progress import Progress
from aisb_engine._record.manifest import now
from aisb_engine._resolve.catalog import Catalog, read_toml
from aisb_engine._spec import LOCAL, DatasetTable, Load, Subtask, Task


def prepare(stage: InferenceStage) -> None:
    """Prepare the subtasks of a stage. A task is left out if a plugin raises for its rows or its prompt.

    Raises:
        UsageError: data or a component is missing, or a backend cannot give what a task needs.
        ConfigError: the machine cannot hold the load.
    """
    folders = DataFolders.default(stage.data_dir)
    tasks = {name: _with_nonce(stage, task) for name, task in stage.spec.tasks.items()}
    loaded = {name: _load(stage, name, task, folders) for name, task in tasks.items()}
    for name, model in stage.spec.models.items():
        where = f"models.{model.name}.options"
        stage.backends[name] = connect(
            stage.plugins.make("backend", model.backend, model.options, where=where)
        )
    for subtask in stage.spec.subtasks:
        samples, task = loaded[subtask.task], tasks[subtask.task]
        if task.mode == "logprob":
            name = stage.spec.models[subtask.model].name
            check_scores(
                stage.backends[subtask.model], name, task.name, partial(_scoring_models, stage.plugins)
            )
        renderer = None if samples is None else _renderer(stage, subtask, task, samples, folders)
        if samples is not None and renderer is not None:
            try:
                prepared = _subtask(stage, subtask, task, samples, renderer)
            except ComponentError as error:  # of the environment
                _leave_out(stage, subtask.task, error)
                continue
            prepared.check()
            stage.subtasks.append(prepared)
            log_file = stage.folder.infer_log(subtask.model, subtask.task)
            progress = Progress(subtask.model, subtask.task, log_file)
            progress.is_graded_later = stage.scored and bool(task.evaluate)
            if progress.is_graded_later and not stage.timed:
                progress.run = stage.folder.path
            if ends_by_time(subtask.load):
                progress.lasts = subtask.load.pressure_time or subtask.load.duration
            else:
                progress.total = prepared.count()
            stage.progress[subtask.key] = progress


def preview(task: Task, plugins: Plugins, folders: DataFolders, count: int) -> list[Request | BrokenRow]:
    """Return the first requests of a task as they would be sent, with the rows that cannot be sent."""
    loaded = load_samples(task, plugins, folders)
    renderer = Renderer(task, plugins, folders, files=loaded.files)
    return [_preview_row(renderer, row) for row in loaded.rows[:count]]


def _preview_row(renderer: Renderer, row: Sample | BrokenRow) -> Request | BrokenRow:
    if isinstance(row, BrokenRow):
        return row
    try:
        request = renderer.request(row)
        if renderer.task.prompt.turns:
            request = replace(request, messages=renderer.turns(row)[0].messages())
        return request
    except ComponentError as error:
        return BrokenRow(row, error)


def _environment(
    stage: InferenceStage, subtask: Subtask, task: Task
) -> tuple[Environment | None, Ask | None]:
    """Make the environment of a task, if it has one; also return what it asks another model with.

    Raises:
        ComponentError: its factory raised.
        ConfigError: the model cannot hold a conversation.
    """
    table, backend = task.environment, stage.backends[subtask.model]
    if table is None:
        return None, None
    if backend.prompt_form != "chat" and not backend.has_chat_template:
        raise ConfigError(
            f"models.{subtask.model}",
            f"{subtask.task} has an environment, which needs a chat endpoint; this one takes only text",
        )
    ask = None
    if (other := stage.other_model(subtask)) is not None:
        stage.other_models.append(other)
        ask = other.ask
    where = "task.environment"
    environment: Environment = make(
        stage.plugins, "environment", table.use, table.options, where=where, ask=ask
    )
    return environment, ask


def _subtask(
    stage: InferenceStage,
    subtask: Subtask,
    task: Task,
    samples: LoadedSamples,
    renderer: Renderer,
) -> PreparedSubtask:
    load, backend = subtask.load, stage.backends[subtask.model]
    environment, ask = _environment(stage, subtask, task)
    if task.prompt.turns:
        _check_sessions(stage, subtask)
    rows = select_rows(task, samples, subtask, stage.spec.run, performance=stage.performance)
    broken = {row.id: row.error for row in rows if isinstance(row, BrokenRow)}
    notes: list[str] = []
    nonce = f"[{_nonce(stage)}]" if stage.performance and load.nonce is not False else ""
    wanted = rows_to_send(load, subtask.repeats) if stage.performance else None
    if stage.performance and (line := _rounds_line(load, wanted, len(rows), has_mark=bool(nonce))):
        notes.append(line)
    if task.dataset.use == "custom" and (line := columns_line(task.dataset.options)):
        notes.append(line)
    if not stage.performance and (line := grading_line(task, samples, rows, judged=bool(stage.spec.judge))):
        notes.append(line)
    if task.prompt.turns and (line := left_out_line(rows)):
        notes.append(line)
    usable = len(rows) - len(broken)
    requests = max(usable, wanted or 0) * subtask.repeats if usable else 0
    # How much work an environment makes is not known, so only a user gives it several processes.
    is_one = environment is not None and not load.workers
    return PreparedSubtask(
        subtask,
        stage.spec.models[subtask.model],
        task,
        backend,
        samples,
        renderer,
        rows,
        stage.faults,
        wanted=wanted,
        workers=1 if is_one or task.prompt.turns else worker_count(load, backend, requests, notes),
        nonce=nonce,
        notes=notes,
        broken=broken,
        environment=environment,
        ask=ask,
    )


def _check_sessions(stage: InferenceStage, subtask: Subtask) -> None:
    """Refuse a run that cannot send sessions.

    Raises:
        ConfigError: it is no performance run, or other processes would send.
    """
    if not stage.performance:
        raise ConfigError("", f"{subtask.task} has sessions, which need a performance run: --mode perf")
    if subtask.load.workers > 1:
        raise ConfigError(
            "load.workers", f"the command's own process sends the sessions of {subtask.task}; use one"
        )
    if stage.spec.run.launcher != LOCAL:
        raise ConfigError(
            "run.launcher",
            f"the command's own process sends the sessions of {subtask.task}; omit launcher",
        )


def _scoring_models(plugins: Plugins) -> list[str]:
    """Return the models of model files whose backends can score a text."""
    names = []
    for entry in Catalog(plugins).entries("model"):
        with suppress(AisbError):
            backend = str(read_toml(entry.path).get("backend"))
            if scores_texts(plugins.find("backend", backend).factory):
                names.append(entry.name)
    return names


def _rounds_line(load: Load, count: int | None, rows: int, *, has_mark: bool) -> str | None:
    """Return a line that says that rows are sent repeatedly, and what that means for the result."""
    if load.use_timestamp and load.num_prompts and load.num_prompts > rows:
        return f"{load.num_prompts} prompts were requested, but the trace has {rows} rows: each is sent once"
    if not (count and rows and count > rows):
        return None
    mark = "marked so that they miss the prefix cache" if has_mark else "which may hit the prefix cache"
    return f"{count} prompts of {rows} rows: rows are sent again in further rounds, {mark}"


def _load(stage: InferenceStage, name: str, task: Task, folders: DataFolders) -> LoadedSamples | None:
    """Read a task's rows; if a plugin raises, leave the task out and return None."""
    try:
        loaded = load_samples(task, stage.plugins, folders)
    except ComponentError as error:
        _leave_out(stage, name, error)
        return None
    for row in loaded.broken:
        stage.faults.add(row.error, f"sample {row.id} of {name}")
    return loaded


def _renderer(
    stage: InferenceStage, subtask: Subtask, task: Task, samples: LoadedSamples, folders: DataFolders
) -> Renderer | None:
    """Make the renderer of a task's prompts; if a plugin raises, leave the task out and return None."""
    try:
        return Renderer(
            task,
            stage.plugins,
            folders,
            params=subtask.params,
            forced=subtask.forced,
            left_out=stage.spec.not_sent.get(subtask.key, ()),
            sends_tokens=stage.backends[subtask.model].prompt_form == "text"
            and not stage.spec.models[subtask.model].system,
            files=samples.files,
        )
    except ComponentError as error:
        _leave_out(stage, subtask.task, error)
        return None


def _leave_out(stage: InferenceStage, name: str, error: ComponentError) -> None:
    """Leave a task out of the run, and record the reason instead of a result."""
    line = stage.faults.add(error, f"task {name}")
    stage.left_out[name] = str(error)
    stage.display.say(f"{name} is skipped: {error}")
    stage.manifest.note("tasks", name, {"skip_reason": str(error)})
    for subtask in stage.spec.subtasks:
        if subtask.task == name:
            file = stage.folder.infer_log(subtask.model, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a", encoding="utf-8") as lines:
                lines.write(f"{now()} skipped: {line}\n")


def _nonce(stage: InferenceStage) -> str:
    """Return the text that makes this run's prompts differ from those of every other run."""
    return hashlib.sha256(str(stage.folder.path.resolve()).encode()).hexdigest()[:12]


def _with_nonce(stage: InferenceStage, task: Task) -> Task:
    """Set a dataset's `CacheNonce` option, so that it generates rows that no earlier run had."""
    if not stage.performance or any(s.load.nonce is False for s in stage.spec.subtasks):
        return task
    use = task.dataset.use
    if use not in stage.plugins.names("dataset"):
        return task
    option = option_with(stage.plugins.find("dataset", use).factory, CacheNonce)
    if option is None or option.name in task.dataset.options:
        return task
    dataset = DatasetTable.model_validate(
        {**task.dataset.model_dump(exclude_unset=True), option.name: _nonce(stage)}
    )
    return task.model_copy(update={"dataset": dataset})
