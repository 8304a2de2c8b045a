"""Extension points around a run: commands, importers, launchers; and `run`, the function for programs."""

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
"""Names of models or tasks, or their tables by name, as in a file `aisb.toml`."""


class Command(NamedTuple):
    """The declaration of a command of `aisb`, which does not import the command.

    `name` may have two words (`"runs tag"`): the second is then a command of the group that the first names.
    `help` is its line in `aisb --help`. `place` is that of the click command, as `"package.module:name"`. The
    command returns its exit code, or None for 0. Its `context.obj` is a `CommandContext`.

    `run_options` is the place, in the same form, of a decorator that adds options to `aisb run`, such as
    `click.option("--price", expose_value=False, callback=set_price)`. The callback of an option appends
    settings: `context.obj.settings.append("run.reporter_options.cost.price=2")`.
    """

    name: str
    help: str
    place: str
    run_options: str | None = None


class CommandContext(Protocol):
    """The `context.obj` of a command of `aisb`."""

    settings: list[str]
    """Settings in the form of `--set`, which plugins' options of `aisb run` append. The user's own `--set`
    overrides them."""

    def load_plugins(self, block: Iterable[str] = ()) -> Plugins:
        """Load all plugins except these and those that `aisb --block` names, and print notes about them."""

    def run_command(self, words: Sequence[str], plugins: Plugins | None = None, *, dry: bool = False) -> Any:
        """Return the `aisb_engine.RunCommand` that `aisb run` with these words would execute.

        With `plugins`, services that the words give by their address are looked at, as `aisb run` does, and
        become models; with `dry` no token is asked for.

        Raises:
            click.UsageError: the words are not a command line of `aisb run`.
        """

    def display(self) -> Any:
        """Return the `aisb_engine.Display` that suits the terminal."""


@dataclass(frozen=True, slots=True)
class ImportedAnswer:
    """One answer recorded by another tool: a text, the likelihood of each option, or a failure."""

    text: str = ""
    logprobs: tuple[Logprob, ...] = ()
    reasoning: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class ImportedRow:
    """One question recorded by another tool, with an answer for each repeat.

    `position` is the index of the row in its source, from 0. `fields` is the row itself if the tool kept it,
    and `gold` the reference answer.
    """

    position: int
    prompt: str | list[dict[str, Any]]
    gold: Any
    answers: tuple[ImportedAnswer, ...]
    fields: Mapping[str, Any] = field(default_factory=dict)
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportedTask:
    """One model on one task of another tool. `scores` are the tool's own, by name, in percent.

    `graded_by` names our task that grades the answers, as `--datasets` does; empty: the one with the same
    name.
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
    """The files that it reads, in a few words: `"samples_*.jsonl, or a folder with them"`."""

    @abstractmethod
    def read(self, path: Path) -> Iterable[ImportedTask] | None:
        """Return the results in a file or folder; None if another tool wrote it.

        Raises:
            DataError: the file is of this tool, but damaged; the message names the file and the place.
        """


class Channel(ABC):
    """Connects a job with the run. A launcher creates one for each worker, in the worker's process.

    Messages are mappings of JSON values. Only the run and its jobs know their meaning.
    """

    offset_ns: int = 0
    """The difference between the clock of the machine with the run and this one's, in nanoseconds.

    Add it to `time.perf_counter_ns()` here to get the time there.
    """

    @abstractmethod
    def send(self, message: Mapping[str, Any]) -> None:
        """Send one message to the run without waiting; messages arrive in the order of sending."""

    @abstractmethod
    async def receive(self) -> Mapping[str, Any] | None:
        """Return the next message of the run; None if the run is gone, after which the job must end."""


class Job(Protocol):
    """The work of one worker. A launcher pickles it, sends it to the worker, and calls `run` there once.

    `environment` has the variables to set before the worker's process starts. API keys are among them, so a
    launcher must not write them to disk. `reads` are files of the run that the job reads, `writes` are files
    that it creates. On a machine that does not share the run's disk, a launcher copies the first into a
    folder, passes that folder to `run`, and copies the second back.
    """

    environment: Mapping[str, str]
    reads: Sequence[Path]
    writes: Sequence[Path]

    async def run(self, channel: Channel, folder: Path | None = None) -> None:
        """Do the work, and return when it is done.

        With `folder`, files are read and written there, under the names that they have in `reads` and
        `writes`. Failures are reported as messages; an exception is a defect, and ends the worker.
        """


class Launcher(ABC):
    """Starts the workers of one subtask, and passes messages between them and the run.

    Options are parameters of the factory. A run creates one launcher for each subtask with several workers.
    Workers must end when the process of the run ends, even if it is killed.
    """

    assigns_devices: ClassVar[bool] = False
    """Whether the launcher gives each worker its devices and cores; then `Backend.pin` is not called."""

    lead_ns: int = 0
    """The time that a message with the common start time needs to reach the workers; set by `start`."""

    @abstractmethod
    async def start(self, jobs: Sequence[Job]) -> None:
        """Start a worker for each job; workers are numbered from 0 in this order.

        Raises:
            RunError: a worker cannot be started.
        """

    @abstractmethod
    def watch(self) -> AsyncIterator[tuple[int, Mapping[str, Any]]]:
        """Yield the messages of the workers, each with its worker's number, until all have ended.

        A launcher may add its own messages. `{"note": line}` goes to the subtask's log, `{"say": line}` also
        to the terminal, and `{"clock": facts}` with `node`, `workers`, `offset_ns` and `uncertainty_ns` to
        `load.json`. `{"lost": line}` tells that a worker ended before its job returned, and how. A launcher
        yields it when the worker can send nothing any more, as its last message; the other workers continue.

        Raises:
            RunError: a worker ended before its job returned, and `stop` was not called. It ends the run, so
                `{"lost": line}` is better.
        """

    @abstractmethod
    async def send(self, message: Mapping[str, Any]) -> None:
        """Send a message to all running workers."""

    async def send_to(self, worker: int, message: Mapping[str, Any]) -> None:
        """Send a message to one worker.

        The default sends it to all, with the worker's number under `worker`; the other jobs ignore it. A
        launcher that can reach a single worker overrides this method.
        """
        await self.send({**message, "worker": worker})

    async def replace(self, worker: int) -> bool:  # noqa: ARG002 - for launchers that do it
        """Begin to start a lost worker anew, with the same job; return False if this is never done.

        The new one is part of `watch` from its first message on. It is dropped when the others end first.
        """
        return False

    @abstractmethod
    async def stop(self, patience: float = 10.0) -> None:
        """Wait up to `patience` seconds for the workers to end, then kill those that still run."""

    @abstractmethod
    async def collect(self) -> None:
        """Copy the files that the jobs wrote into the run, and release the resources of the workers."""


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

    `params` are generation parameters for all requests. `load` and `settings` have keys of the tables
    `[load]` and `[run]`. `judge` is the name of a model, or a table like `[judge]`. `launcher` is a name, or
    a table with the name under `use` and the options. `reuse` resumes an earlier run in `work_dir`: its
    timestamp, or `"latest"`. `display` is called with each line on the run's progress. Only reporters print.

    Failed requests raise nothing; the result counts them.

    Raises:
        UsageError: a name, an option, a data file or a run folder is invalid.
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
