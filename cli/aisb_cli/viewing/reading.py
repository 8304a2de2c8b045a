"""The data for the page of `aisb view`: runs, their progress, comparisons, and files."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from aisb_cli.viewing.plotting import FIRST, INSTALL, PlotPages
from aisb_engine import RUN_STATUSES, RunFolder, RunInfo, is_being_written, read_progress, read_run

if TYPE_CHECKING:
    from aisb import FinishedRun
    from aisb_cli.viewing.answers import Answers, Selection
    from aisb_cli.viewing.live import LiveResults
    from aisb_engine import Plugins

LOG_LINES = 200
LOG_BYTES = 64_000
MAX_FLIPS = 200
GROWING = 10.0
"""The answers of a running run are read again after so many times as long as reading took, and its plots
are made again after so many seconds."""


class RunReader:
    """Reads a work folder. `plugins` are loaded when they are first needed: to compare, grade or measure."""

    def __init__(self, work_dir: Path, plugins: Callable[[], Plugins]) -> None:
        self.work_dir = work_dir
        self._load = plugins
        self._loaded: Plugins | None = None
        self._loading, self._reading, self._following = Lock(), Lock(), Lock()
        self._known: dict[Path, tuple[object, RunInfo]] = {}
        self._answers: tuple[object, float, Answers] | None = None
        self._live: tuple[object, LiveResults] | None = None
        self._plots = PlotPages()

    def runs(self, limit: int) -> dict[str, Any]:
        """Return the latest runs, and how many there are."""
        folders = RunFolder.list(self.work_dir)
        selected = folders[::-1][:limit] if limit else folders[::-1]
        return {
            "work_dir": str(self.work_dir.resolve()),
            "count": len(folders),
            "statuses": RUN_STATUSES,
            "runs": [self._listed(folder) for folder in selected],
        }

    def run(self, name: str) -> dict[str, Any]:
        """Return one run: its entry of the list, its progress, its files, and the ends of its logs."""
        folder = self._folder(name)
        return {
            **self._record(folder),
            "progress": read_progress(folder),
            "logs": [
                {"name": str(path.relative_to(folder.path)), "lines": _last_lines(path)}
                for path in sorted(folder.path.glob("logs/*/*/*.out"))
            ],
            "files": [
                str(path.relative_to(folder.path))
                for pattern in (
                    "configs/*",
                    "summary/*",
                    "performances/*/*",
                    "results/*/*.json",
                    "aisb/results/*/*.json",
                )
                for path in sorted(folder.path.glob(pattern))
                if path.is_file() and not path.name.startswith(".")
            ],
            "live": self._live_results(folder) if is_being_written(folder) else [],
            "plots": self._plot_pages(folder),
            "first_plot": FIRST,
            "install": INSTALL,
            "make_page": folder.command("aisb report --reporters html"),
            "has_reporter": _has_reporter(),
        }

    def compare(
        self, a: str, b: str, *, model_a: str | None = None, model_b: str | None = None
    ) -> dict[str, Any]:
        """Compare two runs, or two models of one run, with the code of `aisb compare`.

        Raises:
            UsageError: they cannot be compared; the message says why.
        """
        from aisb_analysis import compare_runs, pair_up
        from aisb_engine import open_run

        plugins = self._plugins()
        left, right = (open_run(self.work_dir, self._folder(name).timestamp, plugins) for name in (a, b))
        pairs, alone = pair_up(left, right, model_a=model_a, model_b=model_b)
        graded, speeds = asyncio.run(compare_runs([left], [right], pairs, plugins))
        words = ["aisb compare --json", *([a] if a != b else [])]
        words += [
            f"{flag} {model}" for flag, model in (("--model-a", model_a), ("--model-b", model_b)) if model
        ]
        return {
            "a": a,
            "b": b,
            "command": right.folder.command(" ".join(words)),
            "unmatched": alone,
            "grades": [_grades(one) for one in graded],
            "speeds": [asdict(one) for one in speeds],
        }

    def samples(self, name: str, chosen: Selection, offset: int, limit: int) -> dict[str, Any]:
        """Return a page of the answers of a run, and at offset 0 also the names to filter by.

        Raises:
            AisbError: the reader of samples is not installed, or a file of the run is damaged.
        """
        folder = self._folder(name)
        with self._reading:
            answers = self._read_answers(folder)
            head = {**self._record(folder), **answers.head()} if offset == 0 else {}
            return {**head, **answers.page(chosen, offset, limit)}

    def sample(self, name: str, task: str, sample_id: str) -> dict[str, Any] | None:
        """Return all answers to one sample of a run, whole; None if there is no such sample."""
        folder = self._folder(name)
        with self._reading:
            return self._read_answers(folder).sample(task, sample_id)

    def plots(self, name: str, number: int, file: str) -> bytes | None:
        """Return a page of plots of the subtask with this number; None if there is none.

        Raises:
            AisbError: the reporter of plots is not installed, or a file of the run is damaged.
        """
        folder = self._folder(name)
        pairs = self._info(folder).subtasks
        if not 0 <= number < len(pairs):
            return None
        grows = int(time.monotonic() // GROWING) if is_being_written(folder) else 0
        return self._plots.page(self._open(folder), (run_state(folder), grows), *pairs[number], file)

    def file(self, name: str, path: str) -> Path | None:
        """Return a file of a run; None if there is none, or it would be outside the run's folder."""
        from aisb import RunError

        try:
            root = self._folder(name).path.resolve()
        except RunError:
            return None
        if "\0" in path:
            return None
        found = (root / path).resolve()
        inside = found.is_relative_to(root) and not any(
            part.startswith(".") for part in found.relative_to(root).parts
        )
        return found if inside and found.is_file() else None

    def _folder(self, name: str) -> RunFolder:
        """Return a run of the work folder. A browser sends names only, never paths."""
        from aisb import RunError

        for folder in RunFolder.list(self.work_dir):
            if folder.timestamp == name:
                return folder
        raise RunError(f"there is no run {name!r} in {self.work_dir}")

    def _plugins(self) -> Plugins:
        with self._loading:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def _open(self, folder: RunFolder) -> FinishedRun:
        from aisb_engine import open_finished_run

        return open_finished_run(folder.path, plugins=self._plugins())

    def _info(self, folder: RunFolder) -> RunInfo:
        """Return the description of a run, read again when one of its files has changed."""
        state = run_state(folder)
        known = self._known.get(folder.path)
        if known is None or known[0] != state:
            known = self._known[folder.path] = (state, read_run(folder))
        return known[1]

    def _listed(self, folder: RunFolder) -> dict[str, Any]:
        """Return the entry of a run in the list; that of a running one with its progress."""
        table = self._record(folder)
        return table | ({"progress": read_progress(folder)} if table["status"] == "running" else {})

    def _record(self, folder: RunFolder) -> dict[str, Any]:
        return describe(self._info(folder))

    def _plot_pages(self, folder: RunFolder) -> list[dict[str, Any]]:
        """Return the subtasks of a performance run that have a log to plot."""
        info = self._info(folder)
        if info.kind != "performance":
            return []
        return [
            {"number": number, "model": model, "task": task}
            for number, (model, task) in enumerate(info.subtasks)
            if any(folder.log(model, task).glob("worker-*"))
        ]

    def _live_results(self, folder: RunFolder) -> list[dict[str, Any]]:
        """Return the results so far; none if the run cannot be read, as in its first moments."""
        from aisb import AisbError
        from aisb_cli.viewing.live import LiveResults
        from aisb_engine import open_run

        with self._following, suppress(AisbError):
            key = (folder.path, _changed(folder.config))  # a resumed run may have further tasks
            if self._live is None or self._live[0] != key:
                plugins = self._plugins()
                run = open_run(self.work_dir, folder.timestamp, plugins)
                self._live = (key, LiveResults(run, plugins))
            return self._live[1].read()
        return []

    def _read_answers(self, folder: RunFolder) -> Answers:
        """Return the answers of a run; those of one run are kept until its files change."""
        from aisb import AisbError
        from aisb_cli.viewing.answers import Answers

        if not _has_reporter():
            raise AisbError(f"samples are shown by aisb-reporter-html, which is not installed: {INSTALL}")
        state = (folder.path, run_state(folder), is_being_written(folder))
        now = time.monotonic()
        if self._answers is not None:
            known, expires, answers = self._answers
            if known == state and now < expires:
                return answers
            answers.close()
            self._answers = None
        answers = Answers(self._open(folder))
        took = time.monotonic() - now
        expires = time.monotonic() + max(1.0, GROWING * took) if state[-1] else float("inf")
        self._answers = (state, expires, answers)
        return answers


def describe(info: RunInfo) -> dict[str, Any]:
    """Return a run as `aisb runs list --json` has it, with the requested load of each headline in words."""
    from aisb_cli.headlines import requested_words
    from aisb_cli.runs_command import record

    table = record(info)
    for headline in table["figures"]:
        headline["requested_words"] = requested_words(headline["requested"])
    return table


def run_state(folder: RunFolder) -> object:
    """Return what changes whenever a file changes that a run is described by."""
    configs = folder.path / "configs"
    files = [folder.manifest, folder.config, configs / "notes.json", folder.path / "logs" / "commands.json"]
    return (is_being_written(folder), *map(_changed, files), *sorted(_folders(folder)))


def _folders(folder: RunFolder) -> Iterator[tuple[str, int]]:
    """Yield the folders of results with their times: files in them are replaced as a whole."""
    for base in (folder.own_files, folder.path):
        for kind in ("results", "predictions", "performances", "summary"):
            with suppress(OSError):
                yield (kind, _changed(base / kind))
                yield from ((one.name, _changed(one)) for one in (base / kind).iterdir() if one.is_dir())


def _grades(one: Any) -> dict[str, Any]:
    table = asdict(one)
    for name in ("improved", "worsened"):
        flips: Sequence[Mapping[str, Any]] = [flip._asdict() for flip in getattr(one, name)]
        table[name] = {
            "count": len(flips),
            "first": [{key: _text(value) for key, value in flip.items()} for flip in flips[:MAX_FLIPS]],
        }
    return table


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _last_lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    return lines[-LOG_LINES:]


def _has_reporter() -> bool:
    """Return whether the reporter is installed whose parts show samples and plots."""
    try:
        import aisb_reporter_html  # noqa: F401 - whether it is there
    except ImportError:
        return False
    return True
