"""Asking a service once: from a request to its prediction, or to the reason why there is no answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from urllib.parse import unquote, urlsplit

import orjson

from aisb._backend import HttpBackend, HttpCall, host_and_port
from aisb._errors import AisbError, AttemptFailed, ConfigError
from aisb._types import Chunk, Failure, Prediction, Request
from aisb_engine._faults import RAISED, exception_words, is_stop
from aisb_engine._http.reply import finish, predict
from aisb_engine._http.transport import Exchange, Transport, WireRequest, open_transport
from aisb_engine._masking import headers_from_environment
from aisb_engine._stream import KnownEvents, StreamReader

Note = Callable[[str], None]

_FORMS = 4
"""In how many forms one request is sent at most, when the service refuses a part of it each time."""


async def ask(
    backend: HttpBackend,
    transport: Transport,
    request: Request,
    *,
    planned_ns: int | None = None,
    attempts: int = 1,
    note: Note | None = None,
    ready: list[WireRequest] | None = None,
    sink: Callable[[Chunk], None] | None = None,
    known: KnownEvents | None = None,
) -> Prediction:
    """Make one attempt; a failure is part of the prediction, never raised (a cancellation is).

    `ready` holds the request's bytes where they were made before its time came; they are taken out of it.
    `sink` gets each chunk as it is read. `known` are events of earlier replies, and is added to.

    What the service refuses with a 400 or 422, and need not have, is left out as the backend's `adapt` says,
    and the request is sent again within the same attempt; `note` is told.
    """
    exchange = Exchange(StreamReader(backend, sink, known))
    failure: Failure | None = None
    waiting = ready or []
    try:
        for form in range(_FORMS):
            if not waiting:
                waiting.append(wire(backend, transport, backend.encode(request)))
            sent = waiting[0].call
            # Taken out: the bytes are not kept for as long as the reply lasts.
            await transport.exchange(waiting.pop(), exchange)
            if exchange.reader.status not in (400, 422):
                break
            message = backend.error_message(exchange.reader.status, exchange.reader.document())
            if (line := backend.adapt(exchange.reader.status, message)) and note:
                note(line)
            # Another request may have learnt the same meanwhile, and changed how this one is encoded.
            call = backend.encode(request)
            if call == sent or form == _FORMS - 1:
                break
            waiting.append(wire(backend, transport, call))
            exchange.start(StreamReader(backend, sink, known))
    except AttemptFailed as error:
        failure = error.failure
    except AisbError as error:
        failure = Failure("refused", str(error))
    except RAISED as error:  # one request: recorded as its failure, and counted
        if is_stop(error):
            raise
        failure = Failure("protocol", exception_words(error))
    failure = finish(backend, exchange, failure)
    return predict(backend, exchange, request, failure, planned_ns=planned_ns, attempts=attempts)


async def stream_once(backend: HttpBackend, request: Request) -> AsyncIterator[Chunk]:
    """Answer one request outside a run, over its own connection. Raise `AttemptFailed` when there is none."""
    import time

    from aisb_engine._spec import Timeouts

    transport = open_transport(backend, timeouts=Timeouts(), clock=time.monotonic_ns, limit=1)
    chunks: asyncio.Queue[Chunk | None] = asyncio.Queue()
    task = asyncio.create_task(ask(backend, transport, request, sink=chunks.put_nowait))
    task.add_done_callback(lambda _: chunks.put_nowait(None))
    try:
        while (chunk := await chunks.get()) is not None:
            yield chunk
        prediction = await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await transport.aclose()
    if prediction.failure:
        raise AttemptFailed(prediction.failure)


def wire(backend: HttpBackend, transport: Transport, call: HttpCall) -> WireRequest:
    """Return the bytes of a call: the URL's own path before it, all headers, JSON made bytes."""
    path, body, extra, method = call
    if transport.shared is None:
        transport.shared = urlsplit(backend.url).path, tuple(_headers(backend).items())
    prefix, headers = transport.shared
    if extra:
        headers = tuple((dict(headers) | _checked(extra.items())).items())
    if body is None:
        body = b""
    elif not isinstance(body, bytes):
        body = orjson.dumps(body)
    return WireRequest(method, prefix + path, headers, body, call)


def _headers(backend: HttpBackend) -> dict[str, str]:
    parts = urlsplit(backend.url)
    headers = {
        "host": host_and_port(backend.url) if parts.port else host_and_port(backend.url).rpartition(":")[0],
        "accept": "application/json, text/event-stream",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "user-agent": "aisb",
    }
    if parts.username is not None:
        import base64

        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
    own = {**backend.headers, **headers_from_environment(backend), **backend.auth_headers()}
    return headers | _checked(own.items())


def _checked(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return headers with their names in lower case. Raise `ConfigError` for one that cannot be sent."""
    for name, value in headers:
        if not value.isprintable() or not value.isascii() or not name.isascii() or not name.isprintable():
            raise ConfigError(f"headers.{name}", "a header is one line of ASCII characters")
    return {name.lower(): value for name, value in headers}
