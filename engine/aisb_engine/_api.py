"""`aisb.run`: execute runs from a program, as the command `aisb run` does.

It prints nothing and sets no signal handlers. Inside a running event loop, as in a notebook, the run uses a
separate thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any, get_args

from aisb._errors import ServiceError, UsageError, did_you_mean
from aisb._plugins import Plugins
from aisb._report import FinishedRun
from aisb._running import Names
from aisb_engine._data.data_file_tasks import tasks_from_data_files
from aisb_engine._plan import Mode, RunCommand
from aisb_engine._progress import Display, Progress
from aisb_engine._reporting.finished import open_finished_run
from aisb_engine._resolve.catalog import Catalog
from aisb_engine._resolve.config import RunInput
from aisb_engine._run import ExecutedRun, execute
from aisb_engine._stopper import Stopper

INTERRUPT_POLL_SECONDS = 0.2


def run(
    models: Names,
    tasks: Names,
    *,
    mode: Mode = "all",
    params: Mapping[str, Any] | None = None,
    load: Mapping[str, Any] | None = None,
    judge: str | Mapping[str, Any] | None = None,
    launcher: str | Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    reporters: Iterable[str] = (),
    work_dir: Path | str = "outputs/default",
    data_dir: Path | str | None = None,
    reuse: str | None = None,
    display: Callable[[str], None] | None = None,
) -> FinishedRun:
    """Run models on tasks; see `aisb.run` for the arguments."""
    if mode not in get_args(Mode):
        near = did_you_mean(str(mode), get_args(Mode))
        raise UsageError(f"mode={mode!r} is not one of {', '.join(get_args(Mode))}{near}")
    model_names, model_tables = _names("models", models)
    task_names, task_tables = _names("tasks", tasks)
    plugins = Plugins.load()
    task_names, own_tables = tasks_from_data_files(task_names, Catalog(plugins), taken=task_tables)
    placed, options = _launcher(launcher)
    shown = [reporters] if isinstance(reporters, str) else list(reporters)
    command = RunCommand(
        RunInput(
            models=model_names,
            datasets=task_names,
            tasks=own_tables,
            tables={"models": model_tables, "tasks": task_tables, "launcher": options},
            params=_plain(params or {}),
            load=_plain(load or {}),
            run={**_plain(settings or {}), **placed, "reporters": shown},
            judge=_plain({"base": judge} if isinstance(judge, str) else judge or {}),
        ),
        mode=mode,
        reuse=reuse,
        work_dir=Path(work_dir),
        data_dir=None if data_dir is None else Path(data_dir),
        words=["aisb.run", "--models", *model_names, "--datasets", *task_names, "--mode", mode],
    )
    lines = _Lines(display) if display else None
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        ended = execute(command, plugins, lines, stopper=Stopper())
    else:
        ended = _in_a_thread(lambda stopper: execute(command, plugins, lines, stopper=stopper))
    if ended.stopped_code == ServiceError.exit_code:
        raise ServiceError(f"{ended.stopped_because}; the answers so far are kept in {ended.folder}")
    return open_finished_run(ended.folder.path, plugins=plugins)


def _in_a_thread(work: Callable[[Stopper], ExecutedRun]) -> ExecutedRun:
    """Run `work` in a separate thread. An interrupt of this thread stops the run, and waits for its end."""
    stopper = Stopper()
    outcome: Future[ExecutedRun] = Future()

    def main() -> None:
        try:
            outcome.set_result(work(stopper))
        except BaseException as error:  # noqa: BLE001 - it is raised again by the thread that waits
            outcome.set_exception(error)

    thread = threading.Thread(target=main, name="aisb.run", daemon=True)
    thread.start()
    try:
        return _result(outcome)
    except KeyboardInterrupt:
        stopper.stop()
        thread.join()
        raise


def _result(outcome: Future[ExecutedRun]) -> ExecutedRun:
    """Wait for an outcome. Poll, since under `asyncio.run` Ctrl-C cancels the task, which `wait` ignores."""
    while not wait([outcome], INTERRUPT_POLL_SECONDS).done:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise KeyboardInterrupt
    return outcome.result()


def _launcher(launcher: str | Mapping[str, Any] | None) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the key of `[run]` that names the launcher, if one is set, and its options."""
    if launcher is None:
        return {}, {}
    options: dict[str, Any] = _plain({"use": launcher} if isinstance(launcher, str) else launcher)
    if "use" not in options:
        raise UsageError(f"launcher={launcher!r} names no launcher: give its name, or a table with `use`")
    return {"launcher": options.pop("use")}, options


def _names(what: str, items: Names) -> tuple[list[str], dict[str, Any]]:
    """Return all names in order, and the tables that were given with some of them."""
    names: list[str] = []
    tables: dict[str, Any] = {}
    several = isinstance(items, Iterable) and not isinstance(items, str | Mapping)
    for item in items if several else [items]:
        if isinstance(item, str):
            names.append(item)
        elif isinstance(item, Mapping) and all(isinstance(table, Mapping) for table in item.values()):
            names += item
            tables |= _plain(item)
        else:
            raise UsageError(
                f"{what}: {item!r} is neither a name nor tables by name, as in {{'mine': {{'base': 'NAME'}}}}"
            )
    return names, tables


def _plain(value: Any) -> Any:
    """Convert a value to what a configuration file can hold: paths become texts, None an absent key."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items() if one is not None}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


class _Lines(Display):
    """Passes lines on a run's progress to a function."""

    def __init__(self, display: Callable[[str], None]) -> None:
        self._display = display
        self._subtasks: list[Progress] = []

    def start(self, subtasks: list[Progress]) -> None:
        """Store the counts for `stop`."""
        self._subtasks = subtasks

    def say(self, line: str) -> None:
        """Pass one line on."""
        self._display(line)

    def log(self, line: str) -> None:
        """Do nothing: log lines are in the log files."""

    def stop(self) -> None:
        """Report once how each subtask ended."""
        subtasks, self._subtasks = self._subtasks, []
        for one in subtasks:
            counts = f"{one.finished} of {one.total} finished, {one.failed} failed"
            self._display(f"{one.task} · {one.model}: {one.phase}: {counts}")
