"""The values that flow through aisb: samples, requests, chunks, predictions, scores and metrics.

A run creates hundreds of thousands of them. They have slots and are frozen, except the four types that are
created with every request: these are frozen only for type checkers. Times are monotonic nanoseconds since
the start of the run. `None` means "unknown" or "absent", never zero.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar, dataclass_transform

T = TypeVar("T")

Row: TypeAlias = Mapping[str, Any]
"""One row of a dataset, as read from its file."""

PartKind: TypeAlias = Literal["text", "image", "audio", "video"]
MessageRole: TypeAlias = Literal["system", "user", "assistant", "tool"]
ChunkKind: TypeAlias = Literal["role", "reasoning", "content", "tool", "finish", "usage", "keepalive"]
"""The content of a chunk. Only `reasoning`, `content` and `tool` chunks hold output tokens."""

FailureKind: TypeAlias = Literal["connect", "timeout", "status", "protocol", "cut", "refused", "row"]
"""Why an attempt failed.

- `connect`: the connection could not be opened.
- `timeout`: one of the limits in `load.timeouts` was exceeded.
- `status`: the service returned an HTTP error status or an error message.
- `protocol`: the reply could not be parsed.
- `cut`: the connection closed before the reply was complete.
- `refused`: the backend cannot send this request.
- `row`: nothing was sent, because the row or its prompt could not be prepared.
"""

Outcome: TypeAlias = Literal["correct", "wrong", "truncated", "unparsed", "refused", "error"]
"""The outcome of a sample. Every sample has exactly one.

- `truncated`: the reply reached the token limit, and no explicit answer was found.
- `unparsed`: no answer was found in the reply.
- `refused`: the model declined to answer.
- `error`: there was no reply, or it could not be graded.
"""

OUTCOMES: tuple[Outcome, ...] = ("correct", "wrong", "truncated", "unparsed", "refused", "error")
"""All outcomes, in display order."""

TOKEN_KINDS: frozenset[ChunkKind] = frozenset(("reasoning", "content", "tool"))
"""The kinds of chunk that hold output tokens. Only these count as a first or a last token."""


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def _frozen_for_type_checkers(cls: type[T]) -> type[T]:
    """Create a dataclass with slots that only type checkers treat as frozen.

    A frozen dataclass sets each field through `object.__setattr__`, which makes its creation five times
    slower. The types that use this decorator are created several times per request.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a message: text, or the URL of an image, audio or video.

    The URL may be a `data:` URL or the `file:` URL of a local file. A backend reads a local file when it
    sends the part (`aisb.helpers.data_url`).
    """

    kind: PartKind
    value: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    `tool_calls` are the calls of an assistant's turn, with `id`, `name` and `arguments` (a text in JSON).
    `tool_call_id` says which call a turn of the role `tool` answers.
    """

    role: MessageRole
    content: str | tuple[Part, ...]
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One question of a task with its reference answer (`target`), made from a row.

    `id` is the row's position in its source (`"17"`, or `"anatomy/17"` in a grouped task), so it does not
    depend on which rows are selected. `fields` is the row plus the derived fields of the task. Samples with
    the same `cluster` share material, such as a passage, so their scores are not independent.
    """

    id: str
    fields: Row
    target: Any = None
    choices: tuple[str, ...] = ()
    group: str | None = None
    cluster: str | None = None


def request_id(sample_id: str, repeat: int = 0, turn: int = 0) -> str:
    """Return the id of a request, as log lines show it: `17`, `17.r2`, `17.r2.t1`."""
    return f"{sample_id}{f'.r{repeat}' if repeat or turn else ''}{f'.t{turn}' if turn else ''}"


@_frozen_for_type_checkers
class Request:
    """The request for one sample, repeat and turn: either `messages`, `text`, or `tokens` (token ids).

    `params` are generation parameters under OpenAI's names (`max_tokens`, `stop`, `seed` …). `followups` are
    the later user turns of a conversation. `replies`, if given, replace the model's own answers before each
    of them. With `continuations`, the service returns the log-probability of each of these texts after the
    prompt, and generates nothing. `at` is the launch time in seconds, from a trace. `facts`, such as
    `input_tokens_asked`, are copied to the log record.
    """

    sample_id: str
    repeat: int = 0
    turn: int = 0
    messages: tuple[Message, ...] | None = None
    text: str | None = None
    tokens: tuple[int, ...] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    followups: tuple[str, ...] = ()
    replies: tuple[str, ...] = ()
    continuations: tuple[str, ...] = ()
    at: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, int, int]:
        """The key of the request in the log: (sample id, repeat, turn)."""
        return (self.sample_id, self.repeat, self.turn)

    @property
    def id(self) -> str:
        """The key as one string, as log lines show it."""
        return request_id(*self.key)


class TokenScores(NamedTuple):
    """The tokens of a text, as the service splits it, with their conditional log-probabilities.

    `tokens` are ids or texts. The first log-probability is None. `greedy` is true for each
    token that was the most likely one.
    """

    tokens: tuple[int | str | None, ...]
    logprobs: tuple[float | None, ...]
    greedy: tuple[bool, ...]


class Logprob(NamedTuple):
    """The log-likelihood of a continuation given its context.

    `total` is the sum over the `tokens` tokens of the continuation, and `length` is its size in UTF-8 bytes.
    `greedy` is true when each of its tokens was the most likely one. `whole` and `whole_tokens` cover
    context and continuation together.

    Tokenizers can merge the end of the context with the beginning of the continuation. `merged` counts the
    tokens of the context that change for this reason. If any option of a question has merged tokens, `total`
    and `tokens` of all its options start at the last token boundary that all of them share.
    """

    total: float
    tokens: int
    greedy: bool
    merged: int = 0
    length: int = 0
    whole: float = 0.0
    whole_tokens: int = 0


@_frozen_for_type_checkers
class Usage:
    """Token counts as the server reports them."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class Chunk(NamedTuple):
    """One event of a reply, independent of the service.

    A reply that is not streamed is a single chunk with all of its reasoning, text, finish reason and usage.
    `tokens` is the number of tokens in this chunk, if the service reports it. `finish_reason` is `stop`,
    `length`, `tool_calls`, `content_filter`, or the service's own value. `tool_calls` are deltas: mappings
    with `index`, `id`, `name`, `arguments`. Set `whole` instead of `text` for a service that repeats the
    whole reply in every event; the engine extracts the new part. A backend without HTTP may set
    `stamp_ns` from the engine's clock.
    """

    kind: ChunkKind
    text: str = ""
    reasoning: str = ""
    tokens: int | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    stamp_ns: int | None = None
    whole: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed. `status` is the HTTP status, if there was one.

    `retry_after` is the time in seconds that the service asks clients to wait before the next attempt.
    """

    kind: FailureKind
    message: str
    status: int | None = None
    retry_after: float | None = None


@_frozen_for_type_checkers
class Timing:
    """The times of an attempt: monotonic nanoseconds since the start of the run, None if it did not happen.

    - `planned_ns`: the time at which the load planned to send the request.
    - `connected_ns`: a new connection was ready; None on a reused one.
    - `sent_ns`: the request was sent.
    - `headers_ns`, `done_ns`: the headers and the end of the reply arrived.
    - `chunk_ns`, `chunk_kinds`: the time and the kind of each chunk, in order.
    - `chunk_tokens`: the tokens in each chunk; empty if the service does not report them.
    - `streamed`: false if the reply came as a whole, so there is no time to first token.
    """

    planned_ns: int | None = None
    connected_ns: int | None = None
    sent_ns: int | None = None
    headers_ns: int | None = None
    chunk_ns: array[int] = field(default_factory=lambda: array("q"))
    chunk_kinds: Sequence[ChunkKind] = ()
    chunk_tokens: array[int] = field(default_factory=lambda: array("i"))
    done_ns: int | None = None
    streamed: bool = True


@_frozen_for_type_checkers
class Prediction:
    """The reply to one attempt at a request, with its times, or the reason why it failed.

    `attempts` counts the attempts so far, this one included. `failure` is None if the attempt succeeded.
    `logprobs` has one entry for each of the request's `continuations`, in the same order.
    """

    sample_id: str
    repeat: int = 0
    turn: int = 0
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    finish_reason: str | None = None
    usage: Usage | None = None
    timing: Timing = field(default_factory=Timing)
    attempts: int = 1
    failure: Failure | None = None
    logprobs: tuple[Logprob, ...] = ()

    @property
    def key(self) -> tuple[str, int, int]:
        """The key of the prediction in the log: (sample id, repeat, turn)."""
        return (self.sample_id, self.repeat, self.turn)


@dataclass(frozen=True, slots=True)
class Extract:
    """The text that a postprocessor extracted, and where it found it.

    `span` is (start, end) in the step's input, or None if the input does not contain `text` literally.
    `explicit` is true when the model marked the text as its answer (a box, "the answer is", the bare letter
    that was requested), and false for a guess such as "the last number".
    """

    text: str
    rule: str = ""
    span: tuple[int, int] | None = None
    explicit: bool = False


@dataclass(frozen=True, slots=True)
class Score:
    """The score of one prediction. An evaluator sets `value` (0 to 1), and may set `outcome` and `details`.

    If `outcome` is None, the engine derives it from the value and the prediction. The engine also sets all
    other fields.
    """

    value: float
    outcome: Outcome | None = None
    sample_id: str = ""
    repeat: int = 0
    evaluator: str = ""
    answer: str | None = None
    rule: str = ""
    span: tuple[int, int] | None = None
    group: str | None = None
    cluster: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Metric:
    """An aggregate of many scores. `value`, `low` and `high` are in `unit`; low to high is a 95 % interval.

    `count` is the number of samples. `group` is None if the metric covers all groups. `groups` is set if it
    covers only some of them: (2, 57) means 2 of 57. `better` is the direction of an improvement, None if
    there is none.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    unit: str = "%"
    count: int = 0
    group: str | None = None
    better: Literal["higher", "lower"] | None = "higher"
    groups: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    """The result of a probe: the models that a service lists, and its description.

    `detail` is one line, such as the server's name and version. A run prints `notes` before it sends.
    """

    models: tuple[str, ...] = ()
    detail: str = ""
    notes: tuple[str, ...] = ()
