"""What surrounds a run: commands, importers of other tools' results, and launchers of workers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from aisb._types import Failure, Logprob, Usage

if TYPE_CHECKING:
    from aisb._plugins import Plugins


class Command(NamedTuple):
    """One command of `aisb`, declared without importing it.

    `name` may have two words (`"runs tag"`): the second is then a command of the group that the first names.
    `help` is its line in `aisb --help`. `place` is where the click command is, as `"package.module:name"`; it
    returns its exit code, or None for 0. Its `context.obj` is a `CommandContext`.

    `run_options` is the place, in the same form, of a decorator that adds options to `aisb run`, such as
    `click.option("--price", expose_value=False, callback=set_price)`. What an option is for is said by its
    callback, which appends settings: `context.obj.settings.append("run.reporter_options.cost.price=2")`.
    """

    name: str
    help: str
    place: str
    run_options: str | None = None


class CommandContext(Protocol):
    """What a command of `aisb` finds in `context.obj`."""

    settings: list[str]
    """Settings as of `--set`, which options that a plugin adds to `aisb run` append; the user's own hold over
    them."""

    def load_plugins(self, block: Iterable[str] = ()) -> Plugins:
        """Load the plugins but these and those that `aisb --block` names, and print notes about them."""


@dataclass(frozen=True, slots=True)
class ImportedAnswer:
    """One answer of another tool: a text, or the likelihood of each option, or why there is none."""

    text: str = ""
    logprobs: tuple[Logprob, ...] = ()
    reasoning: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class ImportedRow:
    """One question of another tool, with an answer for each repeat.

    `position` is the row's place in its source, from 0. `fields` is the tool's own row where it kept one,
    `gold` its reference answer.
    """

    position: int
    prompt: str | list[dict[str, Any]]
    gold: Any
    answers: tuple[ImportedAnswer, ...]
    fields: Mapping[str, Any] = field(default_factory=dict)
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportedTask:
    """One model on one task of another tool. `scores` are those that the tool gave, by name, in percent."""

    tool: str
    source: Path
    model: str
    task: str
    rows: tuple[ImportedRow, ...]
    scores: Mapping[str, float] = field(default_factory=dict)


class Importer(ABC):
    """Reads the results of another tool, so that they can be scored as a run."""

    reads: ClassVar[str] = ""
    """What it reads, in a few words: `"samples_*.jsonl, or a folder with them"`."""

    @abstractmethod
    def read(self, path: Path) -> Iterable[ImportedTask] | None:
        """Return what a file or folder holds; None when another tool wrote it.

        Raises:
            DataError: the file is of this tool, and broken; the message names the file and the place.
        """


class Job(Protocol):
    """The work of one worker. A launcher carries it to where the worker runs, and does not look inside.

    It can be pickled. `environment` holds variables to set in the worker's process. `run` is called there.
    """

    environment: Mapping[str, str]


class Launcher(ABC):
    """Places the workers of one subtask somewhere, and passes messages between them and the run."""

    @abstractmethod
    async def start(self, jobs: Sequence[Job]) -> int:
        """Start a worker for each job; return when all are ready.

        What is returned is their common start, in nanoseconds from the start of the run.

        Raises:
            RunError: a worker did not start.
        """

    @abstractmethod
    def watch(self) -> AsyncIterator[tuple[int, Mapping[str, Any]]]:
        """Yield the messages of the workers, each with its worker's number, until all of them have ended.

        Raises:
            RunError: a worker ended before its work did.
        """

    @abstractmethod
    async def stop(self) -> None:
        """Tell all workers to stop, and end those that do not."""

    @abstractmethod
    async def collect(self) -> None:
        """Bring the records of the workers into the run folder, and release what the workers held."""
