"""What surrounds a run: commands, importers of other tools' results, launchers of workers, and `run`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, TypeAlias

from aisb._errors import PluginError
from aisb._types import Failure, Logprob, Usage

if TYPE_CHECKING:
    from aisb._plugins import Plugins
    from aisb._report import FinishedRun

Names: TypeAlias = str | Mapping[str, Mapping[str, Any]] | Iterable[str | Mapping[str, Mapping[str, Any]]]
"""Names of models or tasks, or tables of them by name, as a file `aisb.toml` has them."""


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

    def run_command(self, words: Sequence[str]) -> Any:
        """Return the `aisb_engine.RunCommand` that `aisb run` with these words would execute.

        Raises:
            click.UsageError: the words are not a command line of `aisb run`.
        """

    def display(self) -> Any:
        """Return the `aisb_engine.Display` that suits the terminal."""


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
    """One model on one task of another tool. `scores` are those that the tool gave, by name, in percent.

    `graded_by` is the task that grades the answers, as `--datasets` names it; empty: that of the same name.
    """

    tool: str
    source: Path
    model: str
    task: str
    rows: tuple[ImportedRow, ...]
    scores: Mapping[str, float] = field(default_factory=dict)
    graded_by: str = ""


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


class Channel(ABC):
    """Connects a job, where it runs, with the run. A launcher makes one for each worker.

    Messages are mappings that hold what JSON can hold. Only the run and its jobs know what they mean.
    """

    offset_ns: int = 0
    """What to add to `time.perf_counter_ns()` here to get that of the machine that the command runs on."""

    @abstractmethod
    def send(self, message: Mapping[str, Any]) -> None:
        """Send one message to the run, without waiting; messages arrive in the order of sending."""

    @abstractmethod
    async def receive(self) -> Mapping[str, Any] | None:
        """Return the next message of the run; None when the run is gone, after which the job must end."""


class Job(Protocol):
    """The work of one worker. A launcher carries it, pickled, to where it runs, and calls `run` there once.

    `environment` has the variables that must be set before the worker's process starts; keys are among them,
    so a launcher writes them nowhere. `reads` are files of
    the run that the job reads, `writes` are files that it makes. On a machine that does not share the run's
    disk a launcher copies the first into a folder, gives that folder to `run`, and brings the second back.
    """

    environment: Mapping[str, str]
    reads: Sequence[Path]
    writes: Sequence[Path]

    async def run(self, channel: Channel, folder: Path | None = None) -> None:
        """Do the work; return when it is done.

        With `folder`, files are read and written there, under the names that `reads` and `writes` give them.
        What goes wrong in the work is a message; an exception is a defect and ends the worker.
        """


class Launcher(ABC):
    """Places the workers of one subtask somewhere, and passes messages between them and the run.

    Options are parameters of the factory. A run makes one launcher for each subtask that it shares out.
    Workers must end when the run's process ends, however that ends.
    """

    lead_ns: int = 0
    """How long before the common start workers must be told of it; known once they are started."""

    @abstractmethod
    async def start(self, jobs: Sequence[Job]) -> None:
        """Start a worker for each job; they are numbered from 0 in this order.

        Raises:
            RunError: a worker cannot be started.
        """

    @abstractmethod
    def watch(self) -> AsyncIterator[tuple[int, Mapping[str, Any]]]:
        """Yield the messages of the workers, each with its worker's number, until all of them have ended.

        A launcher may add messages of its own: `{"note": line}` goes to the subtask's log, `{"say": line}`
        also to the terminal, and `{"clock": facts}` with `node`, `workers`, `offset_ns` and `uncertainty_ns`
        to `load.json`. `{"lost": line}` says that a worker ended before its job returned, and how. It comes
        once the worker certainly sends nothing any more, and is its last message; the other workers go on.

        Raises:
            RunError: a worker ended before its job returned, and `stop` was not called. It ends the run, so
                `{"lost": line}` is better.
        """

    @abstractmethod
    async def send(self, message: Mapping[str, Any]) -> None:
        """Send a message to all workers that run."""

    async def send_to(self, worker: int, message: Mapping[str, Any]) -> None:
        """Send a message to one worker. A launcher that can reach one alone overrides this.

        Without that it goes to all, with the worker's number under `worker`: jobs pass over those of others.
        """
        await self.send({**message, "worker": worker})

    async def replace(self, worker: int) -> bool:  # noqa: ARG002 - for launchers that do it
        """Begin to start a lost worker anew, with the same job; return False where this is never done.

        The new one is part of `watch` from its first message on. It is dropped when the others end first.
        """
        return False

    @abstractmethod
    async def stop(self, patience: float = 10.0) -> None:
        """Wait up to `patience` seconds for workers to end, then end those that still run."""

    @abstractmethod
    async def collect(self) -> None:
        """Bring what the jobs wrote to its place in the run, and release what the workers held."""


def run(
    models: Names,
    tasks: Names,
    *,
    mode: Literal["all", "infer", "eval", "viz", "perf", "perf_viz"] = "all",
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
    """Run models on tasks, as `aisb run` does, and return the finished run.

    `params` are generation parameters for all requests. `load` and `settings` hold keys of the tables
    `[load]` and `[run]`. `judge` is a model's name, or a table as `[judge]`. `launcher` is a name, or a
    table: the name under `use`, and its options. `reuse` is an earlier run in `work_dir`: a timestamp, or
    `"latest"`. `display` is called with each line on the run's progress. Nothing is printed, unless a
    reporter does.
    Requests that failed are counted in the result, and raise nothing.

    Raises:
        UsageError: a name, an option, a data file or a run folder is not as it must be.
        ServiceError: a service cannot be reached, or does not serve the model.
        PluginError: aisb-engine is not installed.
        KeyboardInterrupt: the run was interrupted; `reuse` resumes it.
    """
    from importlib.metadata import entry_points

    engines = tuple(entry_points(group="aisb.engine", name="run"))
    if not engines:
        raise PluginError("aisb.run needs the engine, which is not installed: install aisb-engine")
    finished: FinishedRun = engines[0].load()(
        models, tasks, mode=mode, params=params, load=load, judge=judge, launcher=launcher, settings=settings,
        reporters=reporters, work_dir=work_dir, data_dir=data_dir, reuse=reuse, display=display,
    )  # fmt: skip
    return finished
