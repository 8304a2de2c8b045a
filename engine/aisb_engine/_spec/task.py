"""A task file: where rows come from, what is sent for each, and how answers are graded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from aisb_engine._spec.table import Table, Use


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

    `positions` picks rows; else `seed` draws them; else the first ones are taken. With `per_sample`, each
    sample has a draw of its own, which follows from the seed and the sample's id. With `same_group`, examples
    come from the sample's own group.
    """

    split: str | None = None
    positions: list[int] | None = None
    seed: int | None = None
    per_sample: bool = False
    same_group: bool = False

    @model_validator(mode="after")
    def _a_draw_needs_a_seed(self) -> ShotsFrom:
        if self.per_sample and (self.seed is None or self.positions is not None):
            raise ValueError("per_sample is set, so seed must be set too, and positions must not")
        return self


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
    `followups` are the later user turns of a conversation: templates, or one field that is a list. They come
    after the model's own answers; `conversation = "every_with_gt"` puts the `replies` of the row in the place
    of these, and `"last"` asks the last turn alone, after the replies. `tokens` is a field with token ids,
    which are sent in place of all the rest. `media` goes with the question, and with the question of each
    example. `tools` is a field with the functions that a row lets the model call.
    `stop` are texts at which a completions endpoint stops; a chat endpoint is not sent them, since they could
    cut reasoning. `params.stop` is sent to both, and stands above it.
    """

    user: str = "{question}"
    followups: str | list[str] | None = None
    replies: str | list[str] | None = None
    conversation: Literal["every", "every_with_gt", "last"] = "every"
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


class EnvironmentTable(Use):
    """Where the model acts over several requests: an environment by name, with its options.

    `max_turns` bounds the requests of an episode. One that reaches the bound ends there and is graded as it
    stands.
    """

    max_turns: Annotated[int, Field(ge=1)] = 100


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
    environment: EnvironmentTable | None = None
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
    def _environments_need_turns(self) -> Task:
        if self.environment is None:
            return self
        for key in ("tokens", "followups"):
            if getattr(self.prompt, key):
                raise ValueError(
                    f"the environment says what follows the prompt, so prompt.{key} cannot be set"
                )
        if self.prompt.style == "text":
            raise ValueError("an environment needs turns, and prompt.style = 'text' has none; use 'chat'")
        if self.mode == "logprob":
            raise ValueError("an environment answers replies, and mode = 'logprob' has none; use 'gen'")
        return self

    @model_validator(mode="after")
    def _a_conversation_has_replies(self) -> Task:
        if self.prompt.conversation != "every" and not (self.prompt.followups and self.prompt.replies):
            raise ValueError(
                f"prompt.conversation is {self.prompt.conversation!r}, so prompt.followups must be set too, "
                "and prompt.replies, what the assistant said"
            )
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
