"""Make one attempt with a backend that is not a service, through `Backend.generate`."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from aisb._backend import Backend
from aisb._errors import AttemptFailed, RunError, UsageError
from aisb._types import Chunk, ChunkKind, Failure, Logprob, Prediction, Request, Timing, Usage
from aisb_engine._faults import RAISED, exception_text, is_stop
from aisb_engine._stream.failures import failed_finish

Clock = Callable[[], int]


async def ask_directly(
    backend: Backend,
    request: Request,
    *,
    clock: Clock,
    planned_ns: int | None = None,
    attempts: int = 1,
) -> Prediction:
    """Make one attempt through `Backend.generate`; a failure is part of the prediction, never raised.

    Chunks are stamped when they arrive, unless the backend stamps them itself with `backend.clock`.
    A request for log-likelihoods has no chunks; `Backend.logprob` answers it.
    """
    backend.clock = clock
    sent = clock()
    reply = _Reply()
    failure: Failure | None = None
    logprobs: tuple[Logprob, ...] = ()
    try:
        if request.continuations:
            logprobs = await _score_continuations(backend, request)
        else:
            async for chunk in backend.generate(request):
                reply.add(chunk, chunk.stamp_ns if chunk.stamp_ns is not None else clock())
    except AttemptFailed as error:
        failure = error.failure
    except RunError:
        raise
    except UsageError as error:
        failure = Failure("refused", str(error))
    except RAISED as error:  # recorded as the failure of this request
        if is_stop(error):
            raise
        failure = Failure("protocol", exception_text(error))
    failure = failure or failed_finish(reply.finish_reason)
    return replace(
        reply.prediction(),
        logprobs=logprobs,
        sample_id=request.sample_id,
        repeat=request.repeat,
        turn=request.turn,
        attempts=attempts,
        failure=failure,
        timing=Timing(
            planned_ns=planned_ns,
            sent_ns=sent,
            chunk_ns=reply.stamps,
            chunk_kinds=tuple(reply.kinds),
            chunk_tokens=reply.tokens if len(reply.tokens) == len(reply.stamps) else array("i"),
            done_ns=clock(),
            streamed=not request.continuations and getattr(backend, "stream", True),
        ),
    )


async def _score_continuations(backend: Backend, request: Request) -> tuple[Logprob, ...]:
    """Get the log-likelihoods of a request's continuations."""
    from aisb_engine._http.likelihood import score_options

    alone, *wholes = await backend.logprob(request)
    return score_options(alone, wholes, request.continuations)


class _Reply:
    """Joins the chunks of one reply as they arrive."""

    def __init__(self) -> None:
        self.stamps: array[int] = array("q")
        self.kinds: list[ChunkKind] = []
        self.tokens: array[int] = array("i")
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.finish_reason: str | None = None
        self.usage: Usage | None = None
        self.calls: dict[Any, dict[str, Any]] = {}

    def add(self, chunk: Chunk, stamp: int) -> None:
        if not isinstance(chunk.text, str) or not isinstance(chunk.reasoning, str):
            raise TypeError(f"expected texts as a chunk's text and reasoning, found {chunk!r:.80}")
        if chunk.usage is not None and not isinstance(chunk.usage, Usage):
            raise TypeError(f"expected a Usage as a chunk's usage, found {chunk.usage!r:.80}")
        (chunk.text + chunk.reasoning).encode()  # lone surrogates cannot be logged as UTF-8
        self.stamps.append(stamp)
        self.kinds.append(chunk.kind)
        if chunk.tokens is not None:
            self.tokens.append(chunk.tokens)
        self.text.append(chunk.text)
        self.reasoning.append(chunk.reasoning)
        if chunk.finish_reason and self.finish_reason != "content_filter":  # "stop" may follow a refusal
            self.finish_reason = chunk.finish_reason
        self.usage = chunk.usage or self.usage
        for delta in chunk.tool_calls:
            self._add_call(delta)

    def _add_call(self, delta: Mapping[str, Any]) -> None:
        """Add a delta to the tool call with its index; a delta without an index is a complete call."""
        call = self.calls.setdefault(
            delta.get("index", len(self.calls)), {"id": None, "name": None, "arguments": ""}
        )
        call["id"] = call["id"] or delta.get("id")
        call["name"] = call["name"] or delta.get("name")
        call["arguments"] += delta.get("arguments") or ""

    def prediction(self) -> Prediction:
        return Prediction(
            sample_id="",
            text="".join(self.text),
            reasoning="".join(self.reasoning),
            tool_calls=tuple(self.calls.values()),
            finish_reason=self.finish_reason,
            usage=self.usage,
        )
