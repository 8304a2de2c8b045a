"""`aisb logs`: show the log lines of a run, and follow new ones."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from aisb_cli import shared_options as shared

if TYPE_CHECKING:
    from aisb_engine import RunFolder

POLL_SECONDS = 0.25


class LogLine(NamedTuple):
    """A line of a log, with the following lines that have no time of their own."""

    when: str
    name: str
    text: str


class Tail:
    """One log file, read from where the last read ended."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self._at = 0
        self._half = b""

    def new(self) -> Iterator[LogLine]:
        """Yield the complete lines that are new."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._at)
                data = file.read()
        except FileNotFoundError:
            return
        self._at += len(data)
        *lines, self._half = (self._half + data).split(b"\n")
        before: LogLine | None = None
        for raw in lines:
            text = raw.decode("utf-8", "replace")
            when, _, words = text.partition(" ")
            if before is not None and not when[:4].isdigit():  # the continuation of a line
                before = before._replace(text=f"{before.text}\n{text}")
                continue
            if before is not None:
                yield before
            before = LogLine(when, self.name, words)
        if before is not None:
            yield before


@click.command()
@shared.which_run
@click.option("-f", "--follow", is_flag=True, help="Follow new lines until the run ends.")
@shared.only_models
@shared.only_tasks
@click.option(
    "-n",
    "--lines",
    "count",
    type=click.IntRange(min=0),
    metavar="N",
    help="Only the last N lines [default: all].",
)
@shared.work_dir()
def logs(
    which: str,
    *,
    work_dir: Path,
    models: tuple[str, ...],
    tasks: tuple[str, ...],
    count: int | None,
    follow: bool,
) -> None:
    """Show the log lines of a run in order of time: of inference and scoring, of all its subtasks.

    RUN is a timestamp, a path, a tag, or `latest`. A request is named by the id of its sample (17), its
    repeat and its turn (17.r2.t1).

    \b
      aisb logs latest -f --task gsm8k
      aisb logs latest | grep failed
    """  # noqa: D301 - \b is for click
    from aisb_engine import RunFolder, is_being_written

    folder = RunFolder.find(work_dir, which)
    wanted = _Wanted(folder, models, tasks)
    wanted.check()
    tails: dict[Path, Tail] = {}
    first = True
    while True:
        writing = is_being_written(folder)  # checked before the last read, so that no line is missed
        lines = sorted(_new(wanted, tails), key=lambda line: line.when)
        if first and count is not None:
            lines = lines[-count:] if count else []
        for line in lines:
            several = len(tails) > 1 and len({tail.name for tail in tails.values()}) > 1
            click.echo(f"{line.when} {f'{line.name}: ' if several else ''}{line.text}")
        if first and not tails:
            click.echo(f"nothing has been logged in {folder} yet", err=True)
        first = False
        if not follow or not writing:
            return
        time.sleep(POLL_SECONDS)


class _Wanted(NamedTuple):
    """The subtasks whose lines are to be shown."""

    folder: RunFolder
    models: tuple[str, ...]
    tasks: tuple[str, ...]

    def check(self) -> None:
        """Raise UnknownName for a model or task that the run does not have."""
        from aisb import UnknownName
        from aisb_engine import read_run

        run = read_run(self.folder)
        for what, names, known in (
            ("model", self.models, run.models),
            ("task", self.tasks, run.tasks),
        ):
            for name in names:
                if known and name not in known:
                    raise UnknownName(f"{what} in {self.folder}", name, known)

    def files(self) -> Iterable[Path]:
        """Return the existing files; a running run adds more."""
        for path in sorted(self.folder.path.glob("logs/*/*/*.out")):
            model, task = path.parent.name, path.stem
            if (not self.models or model in self.models) and (not self.tasks or task in self.tasks):
                yield path


def _new(wanted: _Wanted, tails: dict[Path, Tail]) -> Iterator[LogLine]:
    for path in wanted.files():
        tail = tails.setdefault(path, Tail(path, f"{path.stem} · {path.parent.name}"))
        yield from tail.new()
