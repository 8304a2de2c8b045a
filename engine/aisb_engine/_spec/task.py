"""A task file: the data, the requests to send for each row, and the grading of the answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from aisb_engine._spec.table import Table, Use


class Layout(Table):
    """One possible location of a dataset's files. The first layout whose files exist is used.

    `splits` maps split names of the task to those in this layout. `fields` are templates by name that add
    fields to each row, so that rows of all layouts have the fields that the task uses.
    """

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)

    path: str | list[str]
    use: str | None = None
    splits: dict[str, str] = {}
    fields: dict[str, str] = {}

    @property
    def options(self) -> dict[str, Any]:
        """Options of the dataset component for this layout only, such as `columns`."""
        return dict(self.model_extra or {})


class GradingUse(Use):
    """A postprocessor or an evaluator. `only` limits it to rows whose fields have these values."""

    only: dict[str, str] = {}

    def fits(self, fields: Mapping[str, Any]) -> bool:
        """Return whether it applies to a row."""
        return all(fields.get(name) == value for name, value in self.only.items())


class DatasetTable(Use):
    """The source of rows: a dataset component, its options, and its files.

    The files are at `path` (a list joins files), or in the first of `layouts` that exists. `select` keeps the
    rows whose field has one of the given values.
    """

    use: str = "jsonl"
    path: str | list[str] | None = None
    split: str | None = None
    layouts: list[Layout] = []
    select: dict[str, list[str]] = {}


class PullTable(Table):
    """The repositories from which `aisb data pull` downloads a task's files.

    `files` are patterns of paths in the repository of the Hugging Face hub or ModelScope. Files keep their
    paths under the folder `into`, where a layout of the task finds them; a `.zip` is extracted there.
    """

    into: str
    files: list[str] = ["*"]
    huggingface: str | None = None
    modelscope: str | None = None
    revision: str | None = None


class FieldTable(Table):
    """A field derived from a row: a template, then postprocessors."""

    value: str
    clean: list[Use] = []


class SampleTable(Table):
    """How a sample is made from a row. All strings are templates over the row's fields.

    `areas` are larger units that groups belong to, such as all mathematical subjects; each gets averages of
    its own. With `require_target`, rows without a reference answer are used only in performance runs. `at` is
    the launch time of the row in seconds, to replay a trace. `cluster` names what samples share, such as a
    passage; confidence intervals take it into account.
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
    """The source of few-shot examples: a split; by default the task's own rows, except the sample itself.

    `positions` selects rows; otherwise `seed` draws them at random; otherwise the first rows are used. With
    `per_sample`, each sample has its own random draw, determined by the seed and the sample's id. With
    `same_group`, examples are from the sample's own group.
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
    """Images, audio or video of a question. `file` is a template for a path, a URL, or a list of them.

    The content of a file is sent as a data URL. It replaces the mark `at` in the text, or comes first. An
    image of more than `max_pixels` is refused however small its file is, because of the memory to decode it.
    `types` are media types that a data URL may have although they are not known here; nothing checks them.
    """

    kind: str = "image"
    file: str
    at: str = ""
    types: list[str] = []
    max_mb: Annotated[float, Field(gt=0)] = 50.0
    max_pixels: Annotated[int, Field(ge=1)] = 100_000_000


class PromptTable(Table):
    """The prompt as templates: `user` for the question, `shot` for the answer of a few-shot example.

    In style `chat` each example is a user turn and an assistant turn. In style `text` everything is one text:
    the intro, the examples (`shot_user` + `joiner` + `shot`) and the question, joined by `separator`.
    `followups` are the later user turns of a conversation: templates, or one field that is a list. They
    follow the model's own answers; `conversation = "every_with_gt"` uses the `replies` of the row instead of
    these, and `"last"` sends only the last turn, after the replies. `tokens` is a field of token ids, which
    are sent instead of everything else. So are the messages of `turns`, a field with the turns of a session;
    with `conversation = "every_with_gt"` they hold the recorded replies. `media` belongs to the question, and
    to the question of each example. `tools` is a field with the functions that the model may call. `stop` are
    texts at which a completions endpoint stops; they are not sent to a chat endpoint, since they could cut
    the reasoning. `params.stop` is sent to both and overrides it.
    """

    user: str = "{question}"
    followups: str | list[str] | None = None
    replies: str | list[str] | None = None
    conversation: Literal["every", "every_with_gt", "last"] = "every"
    tokens: str | None = None
    turns: str | None = None
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

    `max_turns` limits the requests of an episode. An episode that reaches the limit ends, and its state is
    graded.
    """

    max_turns: Annotated[int, Field(ge=1)] = 100


class LogprobTable(Table):
    """How mode `logprob` compares options: by the log-likelihood of the continuation of each option.

    `continuation` is a template over the row's fields, `{letter}` and `{choice}`. It is appended to the
    rendered prompt; in style `chat` it is the assistant's turn. `normalise` divides the log-likelihood by the
    number of tokens or UTF-8 bytes of the continuation; `prompt` is the mean over all tokens including the
    prompt.
    """

    continuation: str = " {letter}"
    normalise: Literal["none", "tokens", "bytes", "prompt"] = "none"


class RepeatsTable(Table):
    """Metrics over n repeats (`params.num_return_sequences`): the k of pass@k, cons@k, maj@k; default [n].

    `thresholds` adds g-pass@k: a metric for each share of the k repeats that must be correct.
    """

    k: list[Annotated[int, Field(ge=1)]] = []
    thresholds: list[Annotated[float, Field(gt=0, le=1)]] = []


class Task(Table):
    """A task: dataset, prompt, generation parameters, postprocessors and evaluators.

    A backend must be able to send `required_params`, since without them it would be another task. `base`
    names the task file that this table extends; paths that begin with `./` are relative to that file.
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

    @property
    def is_single(self) -> bool:
        """Whether a sample needs one request only, and not the turns of a conversation or an episode."""
        several = self.prompt.followups and self.prompt.conversation != "last"
        return self.environment is None and not several and not self.prompt.turns

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
                    raise ValueError(
                        f"prompt.tokens replaces the whole prompt, so prompt.{key} cannot be set"
                    )
        return self

    @model_validator(mode="after")
    def _turns_stand_alone(self) -> Task:
        if self.prompt.turns is None:
            return self
        for key in ("shots", "system", "intro", "followups", "replies", "tokens", "media"):
            if getattr(self.prompt, key):
                raise ValueError(f"prompt.turns replaces the whole prompt, so prompt.{key} cannot be set")
        if self.environment is not None or self.mode == "logprob":
            raise ValueError(
                "prompt.turns states what is sent, so there is no environment and no mode 'logprob'"
            )
        if self.prompt.conversation == "last":
            raise ValueError(
                "prompt.conversation is 'last', but all turns of a session are sent; "
                "use 'every_with_gt' (the recorded replies) or 'every' (the model's own)"
            )
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
        has_replies = self.prompt.turns or (self.prompt.followups and self.prompt.replies)
        if self.prompt.conversation != "every" and not has_replies:
            raise ValueError(
                f"prompt.conversation is {self.prompt.conversation!r}, so prompt.followups must be set too, "
                "and prompt.replies, what the assistant said"
            )
        return self

    @model_validator(mode="after")
    def _areas_are_of_groups(self) -> Task:
        if self.sample.areas and self.sample.group is None:
            raise ValueError("sample.areas is set, but sample.group (areas consist of groups) is not")
        return self

    @model_validator(mode="after")
    def _media_needs_turns(self) -> Task:
        if self.prompt.media and self.prompt.style == "text":
            raise ValueError("prompt.media belongs to a turn, and prompt.style = 'text' has none; use 'chat'")
        return self
