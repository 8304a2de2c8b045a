"""Get the log-likelihoods of a question's options from a service."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from aisb._errors import AisbError, AttemptFailed, ServiceError, UsageError
from aisb._types import Failure, Logprob, Message, Prediction, Request, Timing, TokenScores

if TYPE_CHECKING:
    from aisb._backend import Backend, HttpBackend, HttpCall
    from aisb_engine._http.transport import Exchange, Transport


async def ask_options(
    backend: HttpBackend,
    transport: Transport,
    request: Request,
    *,
    planned_ns: int | None = None,
    attempts: int = 1,
) -> Prediction:
    """Get the log-likelihoods of a request's continuations in one attempt; a failure is never raised.

    The context is scored alone and with each continuation, one call after another. The times cover all calls
    together; there is no text, and no time for single tokens.
    """
    from aisb_engine._http.transport import Exchange
    from aisb_engine._stream import StreamReader

    exchange = Exchange(StreamReader())
    sent: int | None = None
    options: tuple[Logprob, ...] = ()
    failure: Failure | None = None
    try:
        alone = await _scores(backend, transport, _call(backend, request), exchange)
        sent = exchange.sent_ns
        wholes = [
            await _scores(backend, transport, _call(backend, request, text), exchange)
            for text in request.continuations
        ]
        options = score_options(alone, wholes, request.continuations)
    except AttemptFailed as error:
        failure = error.failure
    except AisbError as error:
        failure = Failure("refused", str(error))
    except Exception as error:  # noqa: BLE001 - one request: recorded as its failure, and counted
        failure = Failure("protocol", f"{type(error).__name__}: {error}")
    return Prediction(
        request.sample_id,
        request.repeat,
        request.turn,
        timing=Timing(
            planned_ns=planned_ns,
            sent_ns=sent if sent is not None else exchange.sent_ns,
            done_ns=exchange.reader.done_ns,
            streamed=False,
        ),
        attempts=attempts + exchange.resent,
        failure=failure,
        logprobs=() if failure else options,
    )


def check_scores(backend: Backend, model: str, task: str, others: Callable[[], Sequence[str]]) -> None:
    """Refuse a backend that cannot score a text. `others` returns names of models that can, for the message.

    Raises:
        UsageError: the message names the model and the task.
    """
    from aisb._backend import HttpBackend

    if not scores_texts(type(backend)):
        models = ", ".join(others())
        raise UsageError(
            f"the model {model} returns no log-probabilities, by which the task {task} compares options"
            + (f"\n  models that do: {models}" if models else "")
        )
    if isinstance(backend, HttpBackend):
        try:
            trial_call(backend)
        except UsageError as error:
            raise UsageError(f"the model {model}: {error}") from error


def scores_texts(factory: object) -> bool:
    """Return whether a class of backends can score a text; False for another factory."""
    from aisb._backend import Backend, HttpBackend

    if not isinstance(factory, type) or not issubclass(factory, Backend):
        return False
    if issubclass(factory, HttpBackend):
        return factory.encode_logprob is not HttpBackend.encode_logprob
    return factory.logprob is not Backend.logprob


def trial_call(backend: HttpBackend) -> HttpCall:
    """Return a request for the log-probabilities of two words.

    Raises:
        UsageError: the backend does not support them.
    """
    text = "Yes, no"
    return backend.encode_logprob((Message("user", text),) if backend.prompt_form == "chat" else text)


def _call(backend: HttpBackend, request: Request, option: str = "") -> HttpCall:
    """Return the call that scores a request's prompt, followed by an option."""
    if request.messages is None:
        return backend.encode_logprob((request.text or "") + option)
    turns = (*request.messages, Message("assistant", option)) if option else request.messages
    return backend.encode_logprob(turns)


async def try_scores(backend: HttpBackend) -> None:
    """Request the log-probabilities of two words, to detect a service without them before the first row.

    Any other problem with a request is left to the run.

    Raises:
        ServiceError: the service ignores or rejects the parameters.
    """
    call = trial_call(backend)
    if not isinstance(call.body, Mapping):
        return
    answer = await backend.fetch(call.path, body=call.body, timeout=60.0)
    if answer.status in (400, 422):  # two words cannot be too long, so the service rejects the parameters
        message = backend.error_message(answer.status, answer.body)
        raise ServiceError(f"the service gives no log-probabilities of a prompt ({answer.status}: {message})")
    if answer.status != 200:
        return
    try:
        backend.decode_logprob(orjson.loads(answer.body))
    except AttemptFailed as error:
        if error.failure.kind == "refused":
            raise ServiceError(error.failure.message) from error
    except ValueError:
        return


async def _scores(
    backend: HttpBackend, transport: Transport, call: HttpCall, exchange: Exchange
) -> TokenScores:
    from aisb_engine._http.assembly import wire
    from aisb_engine._http.reply import document
    from aisb_engine._stream import StreamReader
    from aisb_engine._stream.failures import check_document

    reader = StreamReader()
    exchange.start(reader)
    await transport.exchange(wire(backend, transport, call), exchange)
    body = document(exchange)
    if not 200 <= reader.status < 300:
        message = backend.error_message(reader.status, body)
        raise AttemptFailed(Failure("status", f"HTTP {reader.status}: {message}", reader.status))
    try:
        event: Any = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise AttemptFailed(Failure("protocol", f"the reply is not JSON: {body[:80]!r}")) from error
    check_document(event, body, reader.status, backend.error_statuses)
    return backend.decode_logprob(event)


def score_options(
    context: TokenScores, wholes: Sequence[TokenScores], texts: Sequence[str]
) -> tuple[Logprob, ...]:
    """Score each option after the context, from the scores of the whole text with that option.

    All options are scored from the last token boundary that they share. A tokenizer may merge the end of the
    context and the beginning of one option into one token; without the common boundary, its log-probability
    would be compared with that of a shorter text in the other options.

    Raises:
        AttemptFailed: a whole text adds no token, one of its tokens has no log-probability, or the tokens of
            different options are the same, because the service left some out.
    """
    if len(set(texts)) > 1 and len({tuple(whole.tokens) for whole in wholes}) == 1:
        message = "the service returned the same tokens for different options: it left out the last ones"
        raise AttemptFailed(Failure("protocol", message))
    begin = min((_shared(context, whole) for whole in wholes), default=0)
    return tuple(
        continuation(context, whole, begin)._replace(length=len(text.encode()))
        for whole, text in zip(wholes, texts, strict=True)
    )


def _shared(context: TokenScores, whole: TokenScores) -> int:
    """Return the length in tokens of the common prefix of a context and a whole text."""
    pairs = enumerate(zip(context.tokens, whole.tokens, strict=False))
    fewest = min(len(context.tokens), len(whole.tokens))
    return next((position for position, (left, right) in pairs if left != right), fewest)


def continuation(context: TokenScores, whole: TokenScores, begin: int | None = None) -> Logprob:
    """Score the part of a whole text that follows the context.

    It begins at the first token in which the context and the whole text differ, or earlier, at `begin`.
    `merged` counts the tokens of the context that are different in the whole text.

    Raises:
        AttemptFailed: the whole text has no token of its own, or one of them has no log-probability.
    """
    own = _shared(context, whole)
    shared = own if begin is None else begin
    logprobs = whole.logprobs[shared:]
    if own == len(whole.tokens):
        raise AttemptFailed(Failure("protocol", "the continuation adds no token to its context"))
    if shared == 0 and logprobs[0] is None:  # the very first token has no context
        logprobs = logprobs[1:]
    if not logprobs or any(logprob is None for logprob in logprobs):
        raise AttemptFailed(Failure("protocol", "a token of the continuation has no log-probability"))
    return Logprob(
        total=sum(logprob for logprob in logprobs if logprob is not None),
        tokens=len(logprobs),
        greedy=all(whole.greedy[len(whole.tokens) - len(logprobs) :]),
        merged=len(context.tokens) - own,
        whole=sum(logprob for logprob in whole.logprobs if logprob is not None),
        whole_tokens=sum(logprob is not None for logprob in whole.logprobs),
    )
