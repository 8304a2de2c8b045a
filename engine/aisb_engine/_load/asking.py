"""The sending half of a run: make everything ready, probe the services, then ask what is not answered yet."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from aisb._backend import Backend, HttpBackend
from aisb._errors import AisbError, PluginError, RunError, ServiceError
from aisb._mixins import LoraAdapters
from aisb._options import option_with
from aisb._plugins import Plugins
from aisb._roles import CacheNonce
from aisb._types import Request, Sample, ServiceInfo
from aisb_engine._data.datafiles import DataFolders
from aisb_engine._data.media import media_hash
from aisb_engine._data.own import grading_line
from aisb_engine._data.prompts import Renderer
from aisb_engine._data.samples import BrokenRow, LoadedSamples, load_samples, sample_table
from aisb_engine._faults import RAISED, ComponentError, PluginFaults, calling, is_stop
from aisb_engine._http.client import connect
from aisb_engine._http.likelihood import check_scores, try_scores
from aisb_engine._load.engine import concurrency
from aisb_engine._load.loads import workers
from aisb_engine._load.pieces import Piece
from aisb_engine._load.placing import Placing
from aisb_engine._load.selecting import in_data_order, select_rows
from aisb_engine._load.sending import Sending
from aisb_engine._progress import Display, Progress
from aisb_engine._record.log import read_folder
from aisb_engine._record.manifest import Manifest, differences, identity, mask_url, now, task_version
from aisb_engine._record.predictions import Asked, prompt_of, write_predictions, write_samples
from aisb_engine._record.runfolder import RunFolder, read_json, write_atomically
from aisb_engine._resolve.params import sends
from aisb_engine._spec import DatasetTable, RunSpec, Subtask, Task
from aisb_engine._stopper import Stopper


@dataclass(slots=True)
class Asking:
    """What one command asks: its subtasks, where their answers go, and how it is told to stop."""

    spec: RunSpec
    folder: RunFolder
    plugins: Plugins
    manifest: Manifest
    display: Display
    data_dir: Path | None
    session: int
    performance: bool = False
    stopper: Stopper | None = None
    pieces: list[Piece] = field(default_factory=list)
    backends: dict[str, Backend] = field(default_factory=dict)
    interrupted: bool = False
    faults: PluginFaults = field(default_factory=PluginFaults)
    left_out: dict[str, str] = field(default_factory=dict)
    """Why tasks are not asked, by name: a plugin raised before their rows were there."""
    begun: Callable[[], None] = lambda: None
    """Called once it is known that the run can be asked, and before anything is sent."""

    async def run(self) -> None:
        """Ask everything that has no answer yet.

        Raises:
            ServiceError: a service cannot be reached, or does not serve the model; nothing was sent.
            UsageError: data or a component is missing, or the run's log belongs to other requests.
            PluginError: a plugin raised at each task, so that nothing can be asked.
        """
        try:
            self._prepare()
            if self.left_out and not self.pieces:
                raise PluginError(f"nothing can be asked: {', '.join(self.left_out)} could not be made ready")
            await self._probe()
            self._begin()
            self.begun()
            await self._drive()
        finally:
            await self._close()

    def _prepare(self) -> None:
        folders = DataFolders.default(self.data_dir)
        tasks = {name: self._unlike(task) for name, task in self.spec.tasks.items()}
        loaded = {name: self._loaded(name, task, folders) for name, task in tasks.items()}
        for name, model in self.spec.models.items():
            where = f"models.{model.name}.options"
            self.backends[name] = connect(
                self.plugins.make("backend", model.backend, model.options, where=where)
            )
        for subtask in self.spec.subtasks:
            samples, task = loaded[subtask.task], tasks[subtask.task]
            if task.mode == "logprob":
                check_scores(self.backends[subtask.model])
            renderer = None if samples is None else self._renderer(subtask, task, samples, folders)
            if samples is None or renderer is None:
                continue
            log_file = self.folder.infer_log(subtask.model, subtask.task)
            chosen = select_rows(task, samples, subtask, self.spec.run, performance=self.performance)
            piece = Piece(
                subtask,
                self.spec.models[subtask.model],
                task,
                self.backends[subtask.model],
                samples,
                renderer,
                Progress(subtask.model, subtask.task, log_file),
                [row for row in chosen if not isinstance(row, BrokenRow)],
                in_data_order(samples, chosen),
                nonce=f"[{self._nonce}]" if self.performance and subtask.load.nonce is not False else "",
                faults=self.faults,
                broken={row.id: row.error for row in chosen if isinstance(row, BrokenRow)},
            )
            if not self.performance and (line := grading_line(task, samples, chosen)):
                piece.notes.append(line)
            wanted = subtask.load.num_prompts or 0
            if self.performance and wanted > len(samples.rows):
                rows = len(samples.rows)
                piece.notes.append(f"{wanted} prompts were asked for, and the task has {rows} rows")
            requests = len(piece.samples) * subtask.repeats
            piece.workers = workers(subtask.load, piece.backend, requests, piece.notes)
            self.pieces.append(piece)

    def _loaded(self, name: str, task: Task, folders: DataFolders) -> LoadedSamples | None:
        """Read a task's rows; None, and the task left out, where a plugin raises."""
        try:
            loaded = load_samples(task, self.plugins, folders)
        except ComponentError as error:
            self._leave_out(name, error)
            return None
        for row in loaded.broken:
            self.faults.add(row.error, f"sample {row.id} of {name}")
        return loaded

    def _renderer(
        self, subtask: Subtask, task: Task, samples: LoadedSamples, folders: DataFolders
    ) -> Renderer | None:
        """Make what renders a task's prompts; None, and the task left out, where a plugin raises."""
        try:
            return Renderer(
                task,
                self.plugins,
                folders,
                params=subtask.params,
                forced=subtask.forced,
                left_out=self.spec.not_sent.get(subtask.key, ()),
                files=samples.files,
            )
        except ComponentError as error:
            self._leave_out(subtask.task, error)
            return None

    def _leave_out(self, name: str, error: ComponentError) -> None:
        """Run the other tasks without this one; keep the reason where people look for its result."""
        line = self.faults.add(error, f"task {name}")
        self.left_out[name] = str(error)
        self.display.say(f"{name} is not asked: {error}")
        self.manifest.note("tasks", name, {"not_asked": str(error)})
        for subtask in self.spec.subtasks:
            if subtask.task == name:
                file = self.folder.infer_log(subtask.model, name)
                file.parent.mkdir(parents=True, exist_ok=True)
                with file.open("a", encoding="utf-8") as lines:
                    lines.write(f"{now()} not asked: {line}\n")

    @property
    def _nonce(self) -> str:
        """What sets this run's prompts apart from those of every other run."""
        return hashlib.sha256(str(self.folder.path.resolve()).encode()).hexdigest()[:12]

    def _unlike(self, task: Task) -> Task:
        """Set a dataset's `CacheNonce` option, so that it makes other rows than in any earlier run."""
        if not self.performance or any(s.load.nonce is False for s in self.spec.subtasks):
            return task
        use = task.dataset.use
        if use not in self.plugins.names("dataset"):
            return task
        option = option_with(self.plugins.find("dataset", use).factory, CacheNonce)
        if option is None or option.name in task.dataset.options:
            return task
        dataset = DatasetTable.model_validate(
            {**task.dataset.model_dump(exclude_unset=True), option.name: self._nonce}
        )
        return task.model_copy(update={"dataset": dataset})

    async def _probe(self) -> None:
        compared = {piece.subtask.model for piece in self.pieces if piece.task.mode == "logprob"}
        self._placing.set_apart(self.display)
        for name, backend in self.backends.items():
            mine = [piece for piece in self.pieces if piece.backend is backend]
            if mine and all(piece.apart for piece in mine):  # its workers will load it, each for itself
                self.manifest.note("models", name, self._service(backend, ServiceInfo()))
                continue
            if backend.local:
                self.display.say(f"{name}: loading {getattr(backend, 'model', name)}")
            use = self.spec.models[name].backend
            try:
                with calling(self.plugins, "backend", use, "probe"):
                    info = _checked_info(await backend.probe())
                if isinstance(backend, HttpBackend) and name in compared:
                    await try_scores(backend)
            except ServiceError as error:
                raise ServiceError(f"{name}: {error}") from error
            self.manifest.note("models", name, self._service(backend, info))
            for line in info.notes:
                self.display.say(f"{name}: {line}")

    @property
    def _placing(self) -> Placing:
        return Placing(self.spec, self.plugins, self.pieces)

    def _service(self, backend: Backend, info: ServiceInfo) -> dict[str, Any]:
        served = getattr(backend, "model", None)
        facts: dict[str, Any] = {"served": served, "detail": info.detail or None}
        if isinstance(backend, HttpBackend):
            facts["url"] = mask_url(backend.url)
        return facts

    def _begin(self) -> None:
        """Check that a log that is there belongs to the same requests, then write what scoring will need."""
        for line in self.spec.doubts:
            self.display.say(line)
        for piece in self.pieces:
            model, task = piece.subtask.model, piece.subtask.task
            mine = identity(
                piece.subtask,
                piece.task,
                served=getattr(piece.backend, "model", None),
                system=piece.model.system,
                backend=piece.model.backend,
                data=piece.loaded.sha256,
                shots=piece.renderer.shots.pool.sha256 if piece.renderer.shots else None,
                media=self._media(piece),
                adapters=piece.backend.adapters_hash() if isinstance(piece.backend, LoraAdapters) else None,
            )
            path = self.folder.log(model, task) / "identity.json"
            if path.exists() and (lines := differences(read_json(path), mine)):
                raise RunError(
                    f"{task} · {model} was asked something else in {self.folder}:\n"
                    + "\n".join(f"  {line}" for line in lines)
                    + "\n  start anew without --reuse, or give the same values"
                )
            write_atomically(path, orjson.dumps(mine, option=orjson.OPT_INDENT_2))
            if not self.performance:  # which is never scored, and whose prompts can be many and long
                asked = [self._asked(piece, row) for row in piece.rows]
                groups = piece.loaded.groups
                write_samples(
                    self.folder, model, task, asked, made_by=sample_table(piece.task), groups=groups
                )
                piece.samples = [sample for sample in piece.samples if sample.id not in piece.broken]
            self.manifest.data.get("tasks", {}).get(task, {}).pop("not_asked", None)
            facts = {
                "version": task_version(piece.task),
                "data": {"sha256": piece.loaded.sha256, "files": [str(f) for f in piece.loaded.files]},
                "prompt_style": piece.task.prompt.style,
            }
            self.manifest.note("tasks", task, facts)
            if piece.task.prompt.style != piece.backend.takes:
                crossed = {"chat": "one user message", "text": "the turns' contents joined by newlines"}
                if piece.backend.renders:
                    crossed["text"] = "one text, rendered with the tokenizer's chat template"
                self.display.say(
                    f"{task} · {model}: a {piece.task.prompt.style} task, a {piece.backend.takes} endpoint: "
                    f"sent as {crossed[piece.backend.takes]}"
                )
                self.manifest.note("crossed", f"{model}/{task}", {"to": piece.backend.takes})
            if left_out := self.spec.not_sent.get(piece.subtask.key):
                self.display.say(
                    f"{task} · {model}: not sent, as the backend {piece.model.backend} does not send it: "
                    f"{', '.join(left_out)}"
                )
                self.manifest.note("not_sent", piece.subtask.key, {"params": left_out})
            if piece.subtask.repeats > 1 and not sends(piece.backend, "seed"):
                self.display.say(
                    f"{task} · {model}: the backend {piece.model.backend} does not send seed: "
                    "repeats differ only as far as the service samples by itself"
                )
            if piece.subtask.repeats > 1 and piece.subtask.merged.get("temperature", 1) == 0:
                self.display.say(
                    f"{task} · {model}: {piece.subtask.repeats} repeats at temperature 0 will be alike; "
                    "set params.temperature"
                )
        self.manifest.save()

    def _asked(self, piece: Piece, row: Sample | BrokenRow) -> Asked:
        """Return a row as the log keeps it: with its prompt, or with the reason why there is none."""
        sample = row.sample if isinstance(row, BrokenRow) else row
        request = piece.attempt(sample)
        return (
            Asked(sample, prompt_of(request)) if request else Asked(sample, "", str(piece.broken[sample.id]))
        )

    def _media(self, piece: Piece) -> str | None:
        """Return the hash of the media of all rows: also of those that could not be made this time."""
        if not piece.renderer.media:
            return None
        rows = piece.loaded.rows
        samples = (row.sample if isinstance(row, BrokenRow) else row for row in rows)
        return media_hash(piece.renderer.media, samples)

    async def _drive(self) -> None:
        stopping = asyncio.Event()
        self._listen(stopping)
        gate = asyncio.Semaphore(self.spec.run.max_num_workers)
        most = sorted((concurrency(p.subtask.load, p.backend) for p in self.pieces), reverse=True)
        at_once = sum(most[: self.spec.run.max_num_workers])
        if self.spec.run.max_num_workers > 1 and len(self.pieces) > 1:
            self.display.say(f"up to {self.spec.run.max_num_workers} subtasks and {at_once} requests at once")
        self.display.start([piece.progress for piece in self.pieces])
        began = time.perf_counter_ns()  # one clock for all subtasks, and for every worker of this machine

        slots = list(range(self.spec.run.max_num_workers))

        async def one(piece: Piece) -> None:
            async with gate:
                slot = slots.pop(0)
                try:
                    if not stopping.is_set():
                        await self._ask(piece, began, stopping, slot)
                finally:
                    slots.insert(0, slot)

        tasks = [asyncio.create_task(one(piece)) for piece in self.pieces]
        try:
            await asyncio.gather(*tasks)
        finally:
            stopping.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.display.stop()
            self._unlisten()

    async def _ask(self, piece: Piece, began: int, stopping: asyncio.Event, slot: int) -> None:
        model, task, progress = piece.subtask.model, piece.subtask.task, piece.progress
        folder = self.folder.log(model, task)
        log = read_folder(folder)
        ids = {sample.id for sample in piece.samples}
        mine = [key for key in log.finished if key[0] in ids and key[1] < piece.subtask.repeats]
        progress.total = piece.count()
        progress.resumed = progress.finished = len(mine)
        progress.phase, progress.started = "asking", time.monotonic()
        progress.log_file.parent.mkdir(parents=True, exist_ok=True)
        with progress.log_file.open("a", encoding="utf-8") as lines:

            def note(line: str) -> None:
                lines.write(f"{now()} {line}\n")
                lines.flush()
                self.display.log(f"{progress.log_file.relative_to(self.folder.path)}: {line}")

            if log.damaged:
                note(f"{log.damaged} damaged stretches of the log passed over; their samples are asked again")
            if log.attempts:
                failed = sum(p.failure is not None for p in log.latest.values())
                found = f"Found {len(mine)} finished of {progress.total}, {failed} failed: going on"
                note(found)
                self.display.say(f"{task} · {model}: {found}")
            note(f"asking {progress.total - progress.finished} requests, {piece.subtask.merged}")
            for line in piece.notes:
                note(line)
                self.display.say(f"{task} · {model}: {line}")
            at_once = min(self.spec.run.max_num_workers, len(self.pieces))
            if broken := piece.broken_line():
                self.display.say(f"{task} · {model}: {broken}")
            for name, why in piece.broken.items():
                note(f"request {name}: not asked: {why}")
            sending = Sending(piece, folder, self.session, began, note, stopping, self.performance)
            sending.placement = self._placing.placement(piece, slot)
            try:
                await sending.run(log.latest, subtasks_at_once=at_once)
            except AisbError as error:
                note(str(error))
                error.add_note(f"  log: {progress.log_file}")
                progress.phase = "failed"
                raise
            finally:
                progress.ended = time.monotonic()
                self._write_predictions(piece)
            progress.phase = "stopped" if stopping.is_set() else "done"
            note(f"{progress.phase}: {progress.finished} finished, {progress.failed} of them failed")

    def _write_predictions(self, piece: Piece) -> None:
        """Make the prediction files; not of a performance run, whose answers stay in its log."""
        if self.performance:
            return
        with suppress(RunError):
            write_predictions(
                self.folder,
                piece.subtask.model,
                piece.subtask.task,
                repeats=piece.subtask.repeats,
                also_json=self.spec.run.predictions_json,
            )

    def _listen(self, stopping: asyncio.Event) -> None:
        """Stop at the first Ctrl-C; a second one ends the process at once. A program stops its run itself."""
        if self.stopper is not None:
            return
        loop = asyncio.get_running_loop()

        def interrupt() -> None:
            if self.interrupted:
                loop.remove_signal_handler(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)
            self.interrupted = True
            self.display.say("stopping: what has finished is kept (Ctrl-C again ends at once)")
            stopping.set()

        with suppress(NotImplementedError, RuntimeError, ValueError):  # not the main thread
            loop.add_signal_handler(signal.SIGINT, interrupt)

    def _unlisten(self) -> None:
        """Give Ctrl-C back to what comes next: uvloop would keep it, closed as it is."""
        if self.stopper is None:
            with suppress(NotImplementedError, RuntimeError, ValueError):
                asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)

    async def _close(self) -> None:
        for backend in self.backends.values():
            try:
                await backend.aclose()
            except RAISED as error:  # everything is sent and kept
                if is_stop(error):
                    raise


def _checked_info(info: object) -> ServiceInfo:
    """Return what a probe found, once it is seen that it is what a probe returns."""
    notes = info.notes if isinstance(info, ServiceInfo) else None
    if not isinstance(info, ServiceInfo) or not isinstance(notes, tuple | list):
        raise TypeError(f"it returned {info!r:.80}; a probe returns a ServiceInfo, whose notes are lines")
    return info


def unasked(pieces: Sequence[Piece]) -> int:
    """Return how many requests have no answer."""
    return sum(p.progress.total - p.progress.finished + p.progress.failed for p in pieces)


def run_loop(asking: Asking) -> None:
    """Run the asking on uvloop where there is one, else on asyncio's own loop."""
    work = (asking.stopper or Stopper()).guard(asking.run())
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)


def preview(task: Task, plugins: Plugins, folders: DataFolders, count: int) -> list[Request | BrokenRow]:
    """Return the first requests of a task as they would be sent, and rows of which none can be made."""
    loaded = load_samples(task, plugins, folders)
    renderer = Renderer(task, plugins, folders, files=loaded.files)
    return [_previewed(renderer, row) for row in loaded.rows[:count]]


def _previewed(renderer: Renderer, row: Sample | BrokenRow) -> Request | BrokenRow:
    if isinstance(row, BrokenRow):
        return row
    try:
        return renderer.request(row)
    except ComponentError as error:
        return BrokenRow(row, error)
