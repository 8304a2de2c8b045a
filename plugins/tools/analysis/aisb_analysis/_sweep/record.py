"""The record in a sweep's folder: its options, and the finished points. A resume reads it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from aisb import UsageError
from aisb_analysis._sweep.grid import Grid, describe, points_of_grid
from aisb_engine import RunFolder, mask_secrets, write_atomically

SCHEMA = "aisb-sweep/1"
FILE = "sweep.json"
MASK = "***"
HEADER = re.compile(r"^(.*?\bheaders\b[^=]*)=.*", re.DOTALL)


@dataclass(slots=True)
class Point:
    """One run of a sweep: its settings, which repeat of them it is, and its folder, if it was measured."""

    settings: dict[str, str]
    run: str | None = None
    exit_code: int = 0
    repeat: int = 1

    def __str__(self) -> str:
        return describe(self.settings) + (f", repeat {self.repeat}" if self.repeat > 1 else "")


@dataclass(slots=True)
class SweepRecord:
    """The content of `sweep.json`, in a sweep's folder. `words` are options of `aisb run`, secrets masked.

    `points` lists the whole grid once for each repeat, so that a drift affects all settings alike.
    """

    folder: Path
    words: list[str]
    grid: Grid
    points: list[Point] = field(default_factory=list)

    @classmethod
    def begin(cls, folder: Path, words: Sequence[str], grid: Grid, repeats: int = 1) -> SweepRecord:
        """Return the record of a new sweep; nothing is written yet."""
        record = cls(folder, [_masked(word) for word in words], grid)
        record.repeat(repeats)
        return record

    @property
    def repeats(self) -> int:
        """How often the grid is measured."""
        return max((point.repeat for point in self.points), default=0)

    def repeat(self, repeats: int) -> None:
        """Add repeats of the grid, up to this number.

        Raises:
            UsageError: the sweep has more.
        """
        if repeats < self.repeats:
            raise UsageError(
                f"{self.folder} has {self.repeats} repeats: --repeats can add more, but not remove any"
            )
        self.points += [
            Point(settings, repeat=number)
            for number in range(self.repeats + 1, repeats + 1)
            for settings in points_of_grid(self.grid)
        ]

    @classmethod
    def read(cls, folder: Path) -> SweepRecord:
        """Read the record of a sweep.

        Raises:
            UsageError: the folder is not that of a sweep, or its record is damaged.
        """
        path = folder / FILE
        try:
            table = json.loads(path.read_bytes())
            points = [Point(**point) for point in table["points"]]
            return cls(folder, table["words"], table["grid"], points)
        except FileNotFoundError as error:
            raise UsageError(f"{folder} is not the folder of a sweep: it has no {FILE}") from error
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise UsageError(f"{path} cannot be read: {error}; start a new sweep without --reuse") from error

    @property
    def runs(self) -> Path:
        """The work folder of the runs."""
        return self.folder / "runs"

    @property
    def done(self) -> list[Point]:
        """The points that have been measured."""
        return [point for point in self.points if point.run is not None]

    def check_runs(self) -> None:
        """Check that the runs of the finished points exist.

        Raises:
            UsageError: one does not.
        """
        for point in self.done:
            folder = RunFolder(self.runs / str(point.run))
            if not folder.config.exists():
                raise UsageError(
                    f"{self.folder} lists {folder} as the run of {point}, "
                    "which does not exist\n  restore it, or start a new sweep"
                )

    def write(self) -> None:
        """Write the record, so that a kill leaves the old one or the new one."""
        table = {
            "schema": SCHEMA,
            "words": self.words,
            "grid": self.grid,
            "points": [asdict(point) for point in self.points],
        }
        write_atomically(self.folder / FILE, (json.dumps(table, indent=2) + "\n").encode())

    def check_same(self, words: Sequence[str], grid: Grid) -> None:
        """Refuse to resume with other options than the sweep began with.

        Raises:
            UsageError: the options differ; the message has those of the sweep.
        """
        if [_masked(word) for word in words] == self.words and grid == self.grid:
            return
        line = self.command()
        same = (
            f"to resume it, repeat all of them with --reuse, and replace {MASK} by the secrets"
            if MASK in line
            else "to resume it, use --reuse without further options"
        )
        raise UsageError(
            f"{self.folder} was started with other options:\n  {line}\n"
            f"  {same}; for a new sweep, omit --reuse"
        )

    def command(self) -> str:
        """Return the command line that started the sweep."""
        grids = [
            word for path, values in self.grid.items() for word in ("--grid", f"{path}={','.join(values)}")
        ]
        repeats = ["--repeats", str(self.repeats)] if self.repeats > 1 else []
        return shlex.join(["aisb", "sweep", *grids, *repeats, *self.words])


def new_folder(work_dir: Path) -> Path:
    """Return the path of a new folder named after the time; a second one in the same second gets `_2`."""
    stamp = datetime.now().astimezone().strftime("%Y%m%d_%H%M%S")
    names = (stamp, *(f"{stamp}_{number}" for number in range(2, 1000)))
    return next(work_dir / name for name in names if not (work_dir / name).exists())


def find_folder(work_dir: Path, name: str) -> Path:
    """Return the folder of a sweep by its path, its name in the work folder, or `latest`.

    Raises:
        UsageError: there is none.
    """
    found = sorted(path.parent for path in work_dir.glob(f"*/{FILE}"))
    if name == "latest":
        if not found:
            raise UsageError(f"there is no sweep in {work_dir} yet; -w names another folder")
        return found[-1]
    for path in (work_dir / name, Path(name)):
        if (path / FILE).is_file():
            return path
    known = ", ".join(path.name for path in found[-5:]) or "none"
    raise UsageError(f"no sweep {name!r}; the latest in {work_dir}: {known}")


def changed_settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys in which two resolved runs differ, with both values."""
    before, after = (dict(_flat(_request_settings(config), "")) for config in (old, new))
    for key in dict.fromkeys([*before, *after]):
        if before.get(key) != after.get(key):
            yield f"{key}: was {before.get(key, 'not set')}, is {after.get(key, 'not set')}"


def _request_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a resolved run that affects its requests."""
    subtasks = {f"{pair['model']} on {pair['task']}": pair for pair in config.get("subtasks", ())}
    return {"models": config.get("models", {}), "tasks": config.get("tasks", {}), "subtasks": subtasks}


def _flat(table: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        place = f"{path}.{key}" if path else key
        if isinstance(value, Mapping):
            yield from _flat(value, place)
        else:
            yield place, value


def _masked(word: str) -> str:
    """Return a word without secrets: keys, passwords in addresses, and values of headers."""
    return HEADER.sub(rf"\1={MASK}", mask_secrets(word))
