"""One request while a local model answers it, and the stream of its text to the caller."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aisb import AttemptFailed, Chunk, Failure, Usage
from aisb_backend_hf._sampling import SamplingParams
from aisb_backend_hf._stopping import Spelling, Stops


class TokenStream:
    """The results of one request: the model's thread puts them, the caller's event loop gets them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._queue: asyncio.Queue[Any] = asyncio.Queue()

    def put(self, item: Any) -> None:
        """Add one item; must be called on the event loop."""
        self._queue.put_nowait(item)

    async def get(self) -> Any:
        """Return the next item; raise it if it is an exception."""
        item = await self._queue.get()
        if isinstance(item, BaseException):
            raise item
        return item


@dataclass(eq=False, slots=True)
class BatchRow:
    """A prompt and its generated tokens. `ends` are the tokens that end it; `longest` is in tokens."""

    stream: TokenStream
    prompt: list[int]
    sampling: SamplingParams
    longest: int
    ends: frozenset[int]
    spelling: Spelling
    stops: Stops
    generator: Any
    streamed: bool
    generated: list[int] = field(default_factory=list)
    shared: int = 0
    reused: int = 0
    cancelled: bool = False
    _kept: list[str] = field(default_factory=list)

    @property
    def tokens(self) -> list[int]:
        """All tokens so far, prompt included."""
        return self.prompt + self.generated

    def take(self, token: int, stamp: int) -> tuple[Chunk | None, bool]:
        """Add the next token; return the chunk to deliver, if any, and whether the answer has ended."""
        self.generated.append(token)
        ended = token in self.ends
        text = "" if ended else self.stops.add(self.spelling.add(token))
        reason: str | None = None
        if ended or self.stops.stopped:
            reason = "stop"
        elif len(self.generated) >= self.longest:
            reason = "length"
        if reason and not self.stops.stopped:
            text += self.stops.add(self.spelling.rest())
            text += self.stops.rest()
            reason = "stop" if self.stops.stopped else reason
        if not self.streamed:
            self._kept.append(text)
            if not reason:
                return None, False
            text = "".join(self._kept)
        usage = None
        if reason:
            usage = Usage(len(self.prompt), len(self.generated), self.reused or None)
        count = 1 if self.streamed else len(self.generated)
        chunk = Chunk("content", text, tokens=count, finish_reason=reason, usage=usage, stamp_ns=stamp)
        return chunk, reason is not None


@dataclass(eq=False, slots=True)
class ScoredText:
    """Texts to score: all begin with `trunk` and continue with one of `tails`."""

    stream: TokenStream
    trunk: list[int]
    tails: list[list[int]]
    windows: bool = False
    cancelled: bool = False
    shared: int = 0

    @property
    def size(self) -> int:
        """The number of tokens to compute."""
        return len(self.trunk) + sum(map(len, self.tails))


def failed(message: str) -> AttemptFailed:
    """Return the exception for a request that would fail again."""
    return AttemptFailed(Failure("refused", message))


def deliver(items: Sequence[tuple[TokenStream, Any]]) -> None:
    """Put items on their streams, on the event loops of the callers."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[TokenStream, Any]]] = {}
    for stream, item in items:
        loops.setdefault(stream.loop, []).append((stream, item))
    for loop, own in loops.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_put, own)


def _put(items: Sequence[tuple[TokenStream, Any]]) -> None:
    for stream, item in items:
        stream.put(item)
