"""What people write, validated: tasks, models, the load, and the run they make together.

These are pydantic models, frozen, that refuse unknown keys. All overrides are laid over each other as plain
tables first (`aisb_engine._resolve.config`) and validated here once, before anything is sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

if TYPE_CHECKING:
    from aisb._backend import Backend


class Table(BaseModel):
    """A table of a configuration file: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Use(Table):
    """A component by name with its options, which are checked against its factory's signature."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)

    use: str

    @property
    def options(self) -> dict[str, Any]:
        """Everything beside the name."""
        return dict(self.model_extra or {})


class Layout(Table):
    """One way in which a dataset's files are found: the first layout that exists is used.

    `splits` says what a split is called here. `fields` brings this layout's rows to the names that the task
    uses: a template for each field to add.
    """

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)

    path: str | list[str]
    use: str | None = None
    splits: dict[str, str] = {}
    fields: dict[str, str] = {}

    @property
    def options(self) -> dict[str, Any]:
        """Options of the dataset component that hold for this layout only, such as `columns`."""
        return dict(self.model_extra or {})


class GradingUse(Use):
    """A step or an evaluator of answers. `only` keeps it to the rows whose fields have these values."""

    only: dict[str, str] = {}

    def fits(self, fields: Mapping[str, Any]) -> bool:
        """Say whether it is for a row."""
        return all(fields.get(name) == value for name, value in self.only.items())


class DatasetTable(Use):
    """Where rows come from: a dataset component, its options, and its files.

    The files are at `path` (a list joins files), or in the first of `layouts` that exists. `select` keeps
    rows whose field has one of the values given.
    """

    use: str = "jsonl"
    path: str | list[str] | None = None
    split: str | None = None
    layouts: list[Layout] = []
    select: dict[str, list[str]] = {}


class PullTable(Table):
    """Where `aisb data pull` gets a task's files: repositories of the Hugging Face hub and of ModelScope.

    `files` are patterns of paths in the repository. They keep their paths under the folder `into`, where a
    layout of the task finds them; a `.zip` is unpacked there.
    """

    into: str
    files: list[str] = ["*"]
    huggingface: str | None = None
    modelscope: str | None = None
    revision: str | None = None


class FieldTable(Table):
    """A field derived from a row: a template, then text steps."""

    value: str
    clean: list[Use] = []


class SampleTable(Table):
    """How a row becomes a sample. All strings are templates over the row's fields.

    `areas` are what groups belong to, such as all subjects of mathematics: each has averages of its own.
    With `require_target`, rows that say nothing of what is right are asked in performance runs alone. `at` is
    the row's own time in seconds, for a trace that is replayed. `cluster` is what samples share, such
    as a passage: the interval of their score allows for it.
    """

    fields: dict[str, FieldTable] = {}
    target: str | None = None
    clean: list[Use] = []
    choices: str | list[str] | None = None
    choice_line: str = "{letter}. {choice}"
    require_target: bool = False
    target_letter: str | None = None
    target_index: str | None = None
    shuffle: int | None = None
    group: str | None = None
    cluster: str | None = None
    areas: list[str] = []
    max_tokens: str | None = None
    at: str | None = None


class ShotsFrom(Table):
    """Where few-shot examples come from: a split (left out: the task's own rows, never the sample itself).

    `positions` picks rows; else `seed` draws them; else the first ones are taken. With `same_group`, examples
    come from the sample's own group.
    """

    split: str | None = None
    positions: list[int] | None = None
    seed: int | None = None
    same_group: bool = False


class MediaTable(Table):
    """Images, audio or video of a question: `file` is a template for a path, an address, or a list of them.

    A file's content is sent as a data URL. `at` is the mark in the text where it stands; else it comes first.
    An image of more than `max_pixels` is refused, however small its file: who decodes it needs the memory.
    """

    kind: str = "image"
    file: str
    at: str = ""
    max_mb: Annotated[float, Field(gt=0)] = 50.0
    max_pixels: Annotated[int, Field(ge=1)] = 100_000_000


class PromptTable(Table):
    """What is asked, as templates: `user` for the question, `shot` for the answer of an example.

    In style `chat` each example is a user and an assistant turn. In style `text` everything is one string:
    the intro, the examples (`shot_user` + `joiner` + `shot`), and the question, with `separator` between.
    `followups` are the later user turns of a conversation: templates, or one field that is a list. `tokens`
    is a field with token ids, which are sent in place of all the rest. `media` goes with the question, and
    with the question of each example. `tools` is a field with the functions that a row lets the model call.
    `stop` are texts at which a completions endpoint stops; a chat endpoint is not sent them, since they could
    cut reasoning. `params.stop` is sent to both, and stands above it.
    """

    user: str = "{question}"
    followups: str | list[str] | None = None
    tokens: str | None = None
    media: list[MediaTable] = []
    tools: str | None = None
    shot: str | None = None
    shot_user: str | None = None
    system: str | None = None
    intro: str | None = None
    shots: Annotated[int, Field(ge=0)] = 0
    shots_from: ShotsFrom = ShotsFrom()
    style: Literal["chat", "text"] = "chat"
    joiner: str = " "
    separator: str = "\n\n"
    stop: list[Annotated[str, Field(min_length=1)]] = []


class LogprobTable(Table):
    """How options are compared in mode `logprob`: by the log-likelihood of each one's continuation.

    `continuation` is a template over the row's fields, `{letter}` and `{choice}`; it follows the rendered
    prompt to the letter, in style `chat` as the assistant's turn. `normalise` divides the sum by the
    continuation's tokens or UTF-8 bytes; `prompt` is the mean over all tokens, those of the prompt included.
    """

    continuation: str = " {letter}"
    normalise: Literal["none", "tokens", "bytes", "prompt"] = "none"


class RepeatsTable(Table):
    """For n repeats a sample (`params.num_return_sequences`): the k of pass@k, cons@k, maj@k; default [n].

    `thresholds` asks for g-pass@k as well: the share of k repeats that must be right, one metric for each.
    """

    k: list[Annotated[int, Field(ge=1)]] = []
    thresholds: list[Annotated[float, Field(gt=0, le=1)]] = []


class Task(Table):
    """What is asked and how it is graded: dataset, prompt, generation parameters, postprocessors, evaluators.

    `required_params` are parameters without which the task is another one: a backend must send them.
    `base` names the task file that this table was laid over; paths that begin with `./` are beside that file.
    """

    name: str
    variant: str | None = None
    summary: str
    version: int = 1
    mode: Literal["gen", "logprob"] = "gen"
    source: str | None = None
    licence: str | None = None
    citation: str | None = None
    pull: PullTable | None = None
    dataset: DatasetTable
    sample: SampleTable = SampleTable()
    prompt: PromptTable = PromptTable()
    logprob: LogprobTable = LogprobTable()
    params: dict[str, Any] = {}
    required_params: list[Annotated[str, Field(min_length=1)]] = []
    postprocess: list[GradingUse] = []
    evaluate: list[GradingUse] = []
    repeats: RepeatsTable = RepeatsTable()
    base: str | None = None
    file: Path | None = Field(default=None, exclude=True)

    @model_validator(mode="after")
    def _shots_need_an_answer(self) -> Task:
        if self.prompt.shots and self.prompt.shot is None:
            raise ValueError("prompt.shots is set, but prompt.shot (the answer of an example) is not")
        return self

    @model_validator(mode="after")
    def _logprob_needs_choices(self) -> Task:
        if self.mode == "logprob" and not self.sample.choices:
            raise ValueError("mode is 'logprob', but sample.choices (the options to compare) is not set")
        return self

    @model_validator(mode="after")
    def _token_ids_stand_alone(self) -> Task:
        if self.prompt.tokens is not None:
            for key in ("shots", "system", "intro", "followups", "media", "tools"):
                if getattr(self.prompt, key):
                    raise ValueError(f"prompt.tokens is all that is sent, so prompt.{key} cannot be set too")
        return self

    @model_validator(mode="after")
    def _areas_are_of_groups(self) -> Task:
        if self.sample.areas and self.sample.group is None:
            raise ValueError("sample.areas is set, but sample.group (what belongs to them) is not")
        return self

    @model_validator(mode="after")
    def _media_needs_turns(self) -> Task:
        if self.prompt.media and self.prompt.style == "text":
            raise ValueError("prompt.media goes with a turn, and prompt.style = 'text' has none; use 'chat'")
        return self


class Timeouts(Table):
    """Seconds an attempt may take: to connect, to the first byte, between bytes, and in all."""

    connect: Annotated[float, Field(gt=0)] = 10.0
    first_byte: Annotated[float, Field(gt=0)] = 600.0
    between_bytes: Annotated[float, Field(gt=0)] = 120.0
    total: Annotated[float, Field(gt=0)] = 3600.0


class Brake(Table):
    """When a load is held back: after so many failed attempts, and seconds, without a success.

    `probe` is how many seconds lie between two attempts then. A pressure run does not wait for `seconds`.
    `failures` 0 is no brake.
    """

    failures: Annotated[int, Field(ge=0)] = 100
    seconds: Annotated[float, Field(ge=0)] = 30.0
    probe: Annotated[float, Field(gt=0)] = 5.0


class Load(Table):
    """How requests are sent: how many at a time or when, how often again, and how long to wait.

    With a rate, a ramp or a trace's own times the loop is open: requests are launched at planned times, and
    `concurrency` only bounds them where it is given. `request_rate` 0 is no pacing. `pressure_time` (seconds)
    adds clients step by step, and asks the rows again and again for that long. After `duration` (seconds)
    nothing new begins; until then rows are asked again and again, up to `num_prompts`. `nonce` begins each
    prompt of a performance run with words of this run's own; left out, where it is needed. `cache_share` is
    the part of the input that the server is expected to have in its prefix cache. `workers` 0 is chosen.
    `shuffle` is a seed: rows are asked in a drawn order. `rows` is the range of rows that may be asked, as in
    Python (`0:100`, `-20:`): positions in the data, in each group of a task that has groups; `num_prompts`
    then counts among these. A reply of more bytes than `max_reply`, decompressed, is a failure, and one with
    a head of more than `max_head`.
    `longest_delay` is the longest wait between two attempts, also where the service asks for more. An
    accuracy run in which nothing succeeds for `outage` seconds ends; `brake` says what it does until then.
    """

    concurrency: Annotated[int, Field(ge=1, le=64_000)] | None = None
    request_rate: float | None = None
    arrival: Literal["constant", "poisson", "gamma"] | None = None
    burstiness: float | None = None
    ramp_up: str | None = None
    use_timestamp: bool = False
    pressure_time: Annotated[float, Field(ge=1, le=86_400)] | None = None
    duration: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    workers: Annotated[int, Field(ge=0, le=1024)] = 0
    nonce: bool | None = None
    cache_share: Annotated[float, Field(ge=0, le=1)] | None = None
    retries: Annotated[int, Field(ge=0)] | None = None
    backoff: Annotated[float, Field(ge=0)] = 1.0
    longest_delay: Annotated[float, Field(gt=0)] = 60.0
    outage: Annotated[float, Field(gt=0)] = 600.0
    brake: Brake = Brake()
    timeouts: Timeouts = Timeouts()
    max_reply: Annotated[int, Field(ge=65_536)] = 64_000_000
    max_head: Annotated[int, Field(ge=1024)] = 65_536
    num_prompts: Annotated[int, Field(ge=1)] | None = None
    rows: str | None = None
    shuffle: int | None = None
    num_warmups: Annotated[int, Field(ge=0)] = 0
    seed: int = 0

    @field_validator("rows")
    @classmethod
    def _rows_are_a_range(cls, text: str | None) -> str | None:
        return None if text is None else _range_text(text)

    def clients(self, backend: Backend) -> int:
        """Return how many requests a closed loop keeps in flight: as set here, by the backend, or 32."""
        return self.concurrency or backend.concurrency or 32


ROWS = re.compile(r"(-?\d+)?:(-?\d+)?(?::(\d+))?")
"""A range of rows, as in Python: from, to, and a step that goes forward."""


def _range_text(text: str) -> str:
    """Return a range of rows in its plain form; it may stand in brackets."""
    plain = text.replace(" ", "").removeprefix("[").removesuffix("]")
    found = ROWS.fullmatch(plain)
    if not found or found[3] == "0" or len(plain) > 60:
        raise ValueError("a range of rows is FROM:TO, as 0:100, 100: or -20:")
    return plain


def row_slice(text: str) -> slice:
    """Return the slice that a range of rows stands for."""
    found = ROWS.fullmatch(text)
    return slice(*(int(part) if part else None for part in (found.groups() if found else ())))


def _compile(text: str) -> None:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from error


class ThoughtMarks(Table):
    """The marks around a model's reasoning: texts, or regular expressions where `pattern` is true.

    With `alone`, a closing mark that nothing opened ends reasoning that began with the reply. Where `answer`
    stands, all before it is reasoning. With `element`, other texts use these names as XML elements, too.
    """

    open: Annotated[str, Field(min_length=1)]
    close: Annotated[str, Field(min_length=1)]
    answer: str | None = None
    pattern: bool = False
    alone: bool = True
    element: bool = False

    @model_validator(mode="after")
    def _patterns_can_be_compiled(self) -> ThoughtMarks:
        for text in (self.open, self.close, self.answer or "") if self.pattern else ():
            _compile(text)
        return self


class BeginMark(Table):
    """A mark with which a reply or its answer begins; it is taken off there."""

    mark: Annotated[str, Field(min_length=1)]
    pattern: bool = False

    @model_validator(mode="after")
    def _pattern_can_be_compiled(self) -> BeginMark:
        if self.pattern:
            _compile(self.mark)
        return self


class EndMarks(Table):
    """Tokens that end a turn, or begin another one."""

    marks: list[Annotated[str, Field(min_length=1)]] = []


class TurnWords(Table):
    """Words that open a turn at the beginning of a line, in any case: `user`, `question`.

    `replies` open one of the model's own, such as `assistant`.
    """

    words: list[Annotated[str, Field(min_length=1)]] = []
    replies: list[Annotated[str, Field(min_length=1)]] = []


class MarksTable(Table):
    """What a model leaves in its replies beside the answer. It adds to the marks that are known."""

    thoughts: list[ThoughtMarks] = []
    begins: list[BeginMark] = []
    ends: EndMarks = EndMarks()
    turns: TurnWords = TurnWords()


class Model(Table):
    """A backend with its options under a name. `params` are its own generation parameters.

    `tokenizer` is the folder of the model's tokenizer, which counts tokens where the service does not.
    """

    name: str
    summary: str = ""
    backend: str
    abbr: str
    options: dict[str, Any] = {}
    system: str | None = None
    tokenizer: str | None = None
    marks: MarksTable = MarksTable()
    file: Path | None = Field(default=None, exclude=True)


class Subtask(Table):
    """One model on one task: the generation parameters from files, those that were forced, and the load.

    A row's own `max_tokens` stands between `params` and `forced` (flags and `--set`).
    """

    model: str
    task: str
    params: dict[str, Any] = {}
    forced: dict[str, Any] = {}
    load: Load = Load()

    @property
    def key(self) -> str:
        """The name of the subtask, `model/task`."""
        return f"{self.model}/{self.task}"

    @property
    def merged(self) -> dict[str, Any]:
        """The parameters of a row that says nothing itself."""
        return {**self.params, **self.forced}

    @property
    def repeats(self) -> int:
        """How often each sample is asked: `num_return_sequences`, which is never sent."""
        return int(self.merged.get("num_return_sequences", 1))


class Judge(Table):
    """The model that judges answers, for tasks with an evaluator that asks one.

    What an evaluator asks for stands between `params` (from the model's file) and `forced` (the judge's own).
    """

    model: Model
    params: dict[str, Any] = {}
    forced: dict[str, Any] = {}
    load: Load = Load()


def _failure_limit(value: object) -> str:
    text = str(value)
    share = re.fullmatch(r"(\d+(?:\.\d+)?)%", text)
    if re.fullmatch(r"[1-9]\d*", text) or (share and 0 < float(share[1]) <= 100):
        return text
    raise ValueError("give a number of failed requests, such as 20, or a part of all, such as 5%")


FailureLimit: TypeAlias = Annotated[str, BeforeValidator(_failure_limit)]
"""A number of failed requests, or a part of all in percent."""

LOCAL = "local"
"""The launcher of worker processes on this machine, which the engine brings."""


class Combination(Table):
    """Models and tasks of which each pair is asked."""

    models: Annotated[list[str], Field(min_length=1)]
    datasets: Annotated[list[str], Field(min_length=1)]


class RunTable(Table):
    """What a run does as a whole. `resolved` marks a file in which every table stands alone.

    `performance` marks the configuration of a performance run, which can be shown again and not resumed.
    Where `reporters` is not set, those show the run that declare themselves as the default for its kind.
    `stop_after_failures` ends it early: after so many failed requests, or after a part of all (`"5%"`).
    `selection` says what `load.num_prompts` counts: `groups` is rows of each group (in a performance run, of
    all groups by turns), `first` the first rows of the task, as in runs that older versions made.
    `wait` is how many seconds a service that is still loading is waited for.
    With `combinations` only their pairs are asked, unless a command names models and tasks itself.
    `work_dir` is where `aisb run` makes run folders unless `-w` names another place. With `files_apart`
    predictions and results lie in a folder `aisb` of the run, for a reporter that writes another tool's.
    """

    models: list[str] = []
    datasets: list[str] = []
    combinations: list[Combination] = []
    resolved: bool = False
    selection: Literal["groups", "first"] = "first"
    performance: bool = False
    merge_ds: bool = False
    dump_eval_details: bool = False
    predictions_json: bool = True
    max_num_workers: Annotated[int, Field(ge=1)] = 1
    max_failures: Annotated[int, Field(ge=0)] = 0
    wait: Annotated[float, Field(ge=0)] = 0.0
    stop_after_failures: FailureLimit | None = None
    launcher: str = LOCAL
    work_dir: str | None = None
    files_apart: bool = False
    reporters: list[str] = []
    reporter_options: dict[str, dict[str, Any]] = {}
    require_valid: bool = False


class RunSpec(Table):
    """A run, resolved: every model, task and subtask with nothing left to look up.

    `origins` says where users set parameters: by subtask and name. `not_sent` are parameters of a subtask's
    task that its backend does not send, `doubts` lines on names that look misspelt. These are not saved.
    `launcher` has the options of the launcher that `run.launcher` names.
    """

    run: RunTable = RunTable()
    launcher: dict[str, Any] = {}
    models: dict[str, Model] = {}
    tasks: dict[str, Task] = {}
    subtasks: list[Subtask] = []
    judge: Judge | None = None
    origins: dict[str, dict[str, str]] = Field(default={}, exclude=True)
    not_sent: dict[str, list[str]] = Field(default={}, exclude=True)
    doubts: list[str] = Field(default=[], exclude=True)
