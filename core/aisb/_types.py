"""The values that flow through aisb: samples, requests, chunks, predictions, scores and metrics.

They are made by the hundred thousand, so they are slotted and frozen (the four that are made with every
request to type checkers alone), and import nothing heavy. Times are monotonic nanoseconds counted from the
run's start. `None` means "not known" or "not there", never zero.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar, dataclass_transform

T = TypeVar("T")

Row: TypeAlias = Mapping[str, Any]
"""One row of a dataset, as its file has it."""

PartKind: TypeAlias = Literal["text", "image", "audio", "video"]
MessageRole: TypeAlias = Literal["system", "user", "assistant", "tool"]
ChunkKind: TypeAlias = Literal["role", "reasoning", "content", "tool", "finish", "usage", "keepalive"]
"""What a chunk holds. `reasoning`, `content` and `tool` are output; the others hold no output tokens."""

FailureKind: TypeAlias = Literal["connect", "timeout", "status", "protocol", "cut", "refused", "row"]
"""Why an attempt has no answer.

`connect`: no connection; `timeout`: a limit of `load.timeouts` was passed; `status`: an HTTP status or an
error of the service; `protocol`: a reply that cannot be read; `cut`: the connection closed too early;
`refused`: the backend cannot send the request; `row`: nothing was sent, because the row or its prompt could
not be made ready.
"""

Outcome: TypeAlias = Literal["correct", "wrong", "truncated", "unparsed", "refused", "error"]
"""How a sample ended; each ends in exactly one of these.

`truncated`: cut off by the token limit, without a marked answer; `unparsed`: no answer was found; `refused`:
the model declined to answer; `error`: no reply, or it could not be graded.
"""

OUTCOMES: tuple[Outcome, ...] = ("correct", "wrong", "truncated", "unparsed", "refused", "error")
"""All outcomes, in the order of display."""

TOKEN_KINDS: frozenset[ChunkKind] = frozenset(("reasoning", "content", "tool"))
"""The kinds of chunk that hold output tokens; only these can be a first or a last token."""


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def _made_often(made: type[T]) -> type[T]:
    """Make a slotted dataclass that is frozen to type checkers alone.

    At run time each field of a frozen one is set by a call, which takes five times as long; of these there
    are several a request.
    """
    return dataclass(slots=True, unsafe_hash=True)(made)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a message: text, or the URL of an image, audio or video.

    The URL may be a `data:` URL, or the `file:` URL of a file of this machine, whose content a backend reads
    when it sends it (`aisb.helpers.data_url`).
    """

    kind: PartKind
    value: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: MessageRole
    content: str | tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """A row made ready: what is asked about, and what would be right.

    `id` is the row's position in its source (`"17"`, or `"anatomy/17"` in a grouped task), so it stays the
    same whatever is selected. `fields` is the row with the task's derived fields added. Samples of one
    `cluster` share something, such as a passage, so that answers to them are not independent.
    """

    id: str
    fields: Row
    target: Any = None
    choices: tuple[str, ...] = ()
    group: str | None = None
    cluster: str | None = None


def request_id(sample_id: str, repeat: int = 0, turn: int = 0) -> str:
    """Return the key of a request in one word, as log lines name it: `17`, `17.r2`, `17.r2.t1`."""
    return f"{sample_id}{f'.r{repeat}' if repeat or turn else ''}{f'.t{turn}' if turn else ''}"


@_made_often
class Request:
    """What is sent for one sample, repeat and turn: either `messages`, `text`, or `tokens` (token ids).

    `params` are generation parameters in the OpenAI vocabulary (`max_tokens`, `stop`, `seed` …).
    `followups` are the later user turns of a conversation. `continuations` are texts whose log-probability
    after the prompt is asked for, in place of an answer. `at` is a trace's own time in seconds. `facts` are
    kept in the log's records, such as `input_tokens_asked`.
    """

    sample_id: str
    repeat: int = 0
    turn: int = 0
    messages: tuple[Message, ...] | None = None
    text: str | None = None
    tokens: tuple[int, ...] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    followups: tuple[str, ...] = ()
    continuations: tuple[str, ...] = ()
    at: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, int, int]:
        """What identifies the request in the log: (sample id, repeat, turn)."""
        return (self.sample_id, self.repeat, self.turn)

    @property
    def id(self) -> str:
        """The key in one word, as log lines name it."""
        return request_id(*self.key)


class TokenScores(NamedTuple):
    """The tokens of a text as a service splits it, each with its log-probability after those before it.

    `tokens` are ids or texts. The first token has no log-probability: None. `greedy` says of each token
    whether it was the likeliest one.
    """

    tokens: tuple[int | str | None, ...]
    logprobs: tuple[float | None, ...]
    greedy: tuple[bool, ...]


class Logprob(NamedTuple):
    """How likely a continuation is after its context: the sum over its tokens.

    `greedy` says that each of them was the likeliest one. `merged` is how many tokens of the context alone
    come out otherwise when the continuation follows. Where that is so for any option of a question, `total`
    and `tokens` of all its options begin at the last token boundary that they share, within the context.
    `length` is the continuation's in UTF-8 bytes; `whole` and `whole_tokens` are the sum over context and
    continuation.
    """

    total: float
    tokens: int
    greedy: bool
    merged: int = 0
    length: int = 0
    whole: float = 0.0
    whole_tokens: int = 0


@_made_often
class Usage:
    """Token counts as the server reports them."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class Chunk(NamedTuple):
    """One event of a reply, in aisb's vocabulary.

    A whole reply that is not streamed is one chunk; it may hold reasoning and text at once, and its finish
    reason and usage. `tokens` is the number of tokens in this chunk where the service says it.
    `finish_reason` is one of `stop`, `length`, `tool_calls`, `content_filter`, or the service's own word.
    `tool_calls` are deltas: mappings with `index`, `id`, `name`, `arguments`. `whole` is all text of the
    reply up to here, for services that repeat it; what is new in it counts as this chunk's text.
    `stamp_ns` is for backends without HTTP, which may stamp their chunks with the engine's clock.
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
    """Why an attempt has no answer. `status` is the HTTP status where there was one.

    `retry_after` is how many seconds the service asks to wait before the next attempt.
    """

    kind: FailureKind
    message: str
    status: int | None = None
    retry_after: float | None = None


@_made_often
class Timing:
    """When an attempt's events happened: monotonic nanoseconds from the run's start, None when they did not.

    `planned_ns` is when the load meant to send the request, `connected_ns` when a new connection was ready
    (None on one that was open already), `sent_ns` when the request was sent, `headers_ns` and `done_ns` when
    the reply's headers and its end arrived. `chunk_ns` has one stamp a chunk, in order; `chunk_kinds` the
    kind of each; `chunk_tokens` the tokens in each where the service says them, else it is empty. `streamed`
    is false for a reply that came whole: it has no first token to be timed.
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


@_made_often
class Prediction:
    """What came back for one attempt at a request, with its times; or why nothing did.

    `attempts` is how many there were so far. `failure` is None where there is an answer. `logprobs` has one
    entry for each of the request's `continuations`, in their order.
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
        """What identifies the prediction in the log: (sample id, repeat, turn)."""
        return (self.sample_id, self.repeat, self.turn)


@dataclass(frozen=True, slots=True)
class Extract:
    """A piece found in a text by a postprocessor.

    `span` is (start, end) in the text the step was given; None when the piece does not stand there as it is.
    `explicit` says that the text itself marks this as its answer (a box, "the answer is", the bare letter
    that was asked for), in contrast to a guess such as "the last number".
    """

    text: str
    rule: str = ""
    span: tuple[int, int] | None = None
    explicit: bool = False


@dataclass(frozen=True, slots=True)
class Score:
    """The grade of one prediction. An evaluator sets `value` (0 to 1) and, where it must, `outcome`.

    Where an evaluator leaves `outcome` None, it follows from the value and the prediction. All else is
    filled in by scoring.
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
    """A number over many scores. `value`, `low` and `high` are in `unit`; low to high is a 95 % interval.

    `count` is the number of samples that were asked. `group` is None for a number over all groups. `groups`
    says over how many groups a number is, and how many there are, where those are fewer: (2, 57). `better`
    says which direction is an improvement, None where neither is.
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
    """What a probe found out about a service: the models that it lists, and what it says about itself.

    `detail` is one line, such as its name and version. `notes` are lines that a run prints before it sends.
    """

    models: tuple[str, ...] = ()
    detail: str = ""
    notes: tuple[str, ...] = ()
