"""The data for the page of `aisb view`: runs, their progress, comparisons, and files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aisb_engine import RUN_STATUSES, RunFolder, RunInfo, is_being_written, read_progress, read_run

if TYPE_CHECKING:
    from aisb_engine import Plugins

LOG_LINES = 200
LOG_BYTES = 64_000
MOST_FLIPS = 200


class RunReader:
    """Reads a work folder. `plugins` are loaded when two runs are first compared."""

    def __init__(self, work_dir: Path, plugins: Callable[[], Plugins]) -> None:
        self.work_dir = work_dir
        self._load = plugins
        self._plugins: Plugins | None = None
        self._known: dict[Path, tuple[object, RunInfo]] = {}

    def runs(self, limit: int) -> dict[str, Any]:
        """Return the latest runs, and how many there are."""
        folders = RunFolder.list(self.work_dir)
        shown = folders[::-1][:limit] if limit else folders[::-1]
        return {
            "work_dir": str(self.work_dir.resolve()),
            "count": len(folders),
            "statuses": RUN_STATUSES,
            "runs": [self._record(folder) for folder in shown],
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
            "make_page": folder.command("aisb report --reporters html"),
            "has_reporter": _installed("aisb-reporter-html"),
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

        if self._plugins is None:
            self._plugins = self._load()
        left, right = (
            open_run(self.work_dir, self._folder(name).timestamp, self._plugins) for name in (a, b)
        )
        pairs, alone = pair_up(left, right, model_a=model_a, model_b=model_b)
        graded, speeds = asyncio.run(compare_runs([left], [right], pairs, self._plugins))
        words = ["aisb compare --json", *([a] if a != b else [])]
        words += [
            f"{flag} {model}" for flag, model in (("--model-a", model_a), ("--model-b", model_b)) if model
        ]
        return {
            "a": a,
            "b": b,
            "command": right.folder.command(" ".join(words)),
            "alone": alone,
            "grades": [_grades(one) for one in graded],
            "speeds": [asdict(one) for one in speeds],
        }

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

    def _record(self, folder: RunFolder) -> dict[str, Any]:
        from aisb_cli.runs_command import record

        state = (is_being_written(folder), _changed(folder.manifest), _changed(folder.config))
        known = self._known.get(folder.path)
        if known is None or known[0] != state:
            known = self._known[folder.path] = (state, read_run(folder))
        return record(known[1])


def _grades(one: Any) -> dict[str, Any]:
    table = asdict(one)
    for name in ("gained", "lost"):
        flips: Sequence[Mapping[str, Any]] = [flip._asdict() for flip in getattr(one, name)]
        table[name] = {
            "count": len(flips),
            "first": [{key: _text(value) for key, value in flip.items()} for flip in flips[:MOST_FLIPS]],
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


def _installed(distribution: str) -> bool:
    from importlib.metadata import PackageNotFoundError, version

    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True
