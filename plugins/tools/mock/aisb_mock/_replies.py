"""The protocol-independent request and reply of the mock server, which every dialect translates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

EventKind = Literal["role", "token", "finish", "usage", "end"]


class Refused(Exception):  # noqa: N818 - a refusal is one of the replies, not an error of the mock
    """The request is answered with an error status."""

    def __init__(self, status: int, message: str, kind: str = "BadRequestError") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind


@dataclass(slots=True)
class Ask:
    """A request to the mock. `prompt` is its whole text; `key` distinguishes questions."""

    prompt: str
    key: str
    prompt_tokens: int
    model: str | None = None
    max_tokens: int | None = None
    min_tokens: int = 0
    ignore_eos: bool = False
    stop: Sequence[str] = ()
    seed: int | None = None
    stream: bool = False
    include_usage: bool = False
    adapter: str | None = None
    echo: bool = False
    tools: Sequence[Mapping[str, Any]] = ()
    scores: Literal["prompt_logprobs", "echo"] | None = None


class ToolCall(NamedTuple):
    """A call of one of the request's tools; `arguments` is JSON."""

    id: str
    name: str
    arguments: str


@dataclass(slots=True)
class Reply:
    """A reply, split into tokens. `usage` is whether token counts are reported.

    `echo` is the prompt, for a service that repeats it; `prompt` its tokens with their log-probabilities, if
    `scores` requests them.
    """

    number: int
    model: str
    created: int
    pieces: list[str]
    finish_reason: str
    prompt_tokens: int
    reasoning: list[str] = field(default_factory=list)
    reasoning_field: str = "reasoning_content"
    tokens_per_chunk: int = 1
    include_usage: bool = False
    usage: bool = True
    echo: str = ""
    tool: ToolCall | None = None
    scores: Literal["prompt_logprobs", "echo"] | None = None
    prompt: Sequence[tuple[str, float]] = ()

    @property
    def text(self) -> str:
        """The whole visible text."""
        return "".join(self.pieces)

    @property
    def output_tokens(self) -> int:
        """The number of generated tokens, including reasoning."""
        return len(self.reasoning) + len(self.pieces)

    def chunks(self) -> Iterator[tuple[bool, str, int]]:
        """Yield (is reasoning, text, tokens) as they are streamed."""
        size = self.tokens_per_chunk
        for thinking, tokens in ((True, self.reasoning), (False, self.pieces)):
            if size == 1:
                for token in tokens:
                    yield thinking, token, 1
            else:
                for at in range(0, len(tokens), size):
                    some = tokens[at : at + size]
                    yield thinking, "".join(some), len(some)


class Event(NamedTuple):
    """One streamed event as bytes; `tokens` is its number of tokens."""

    kind: EventKind
    data: bytes
    tokens: int = 0


class Dialect(ABC):
    """The API of one endpoint of one kind of service."""

    stream_type: ClassVar[bytes] = b"text/event-stream; charset=utf-8"
    needs_key: ClassVar[bool] = True
    separates_reasoning: ClassVar[bool] = False
    calls_tools: ClassVar[bool] = False
    garbage: ClassVar[bytes] = b'data: {"id": "broken", "choices": [{\n\n'

    @abstractmethod
    def read(self, data: Mapping[str, Any], path: str) -> Ask:
        """Translate the body of a request; raise `Refused` if the service would refuse it."""

    @abstractmethod
    def reply_id(self, reply: Reply) -> str:
        """Return the service's id of a reply."""

    @abstractmethod
    def events(self, reply: Reply) -> Iterator[Event]:
        """Yield the events of a streamed reply in order."""

    @abstractmethod
    def whole(self, reply: Reply) -> bytes:
        """Return the body of a reply that is not streamed."""

    @abstractmethod
    def error(self, refused: Refused) -> bytes:
        """Return the body that goes with an error status."""

    @abstractmethod
    def error_event(self, refused: Refused) -> bytes:
        """Return the event that reports an error inside a stream."""
