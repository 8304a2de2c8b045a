"""Make one attempt: from a request to its prediction, or to the failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from urllib.parse import unquote, urlsplit

import orjson

from aisb._backend import HttpBackend, HttpCall, host_and_port
from aisb._errors import AisbError, AttemptFailed
from aisb._types import Chunk, Failure, Prediction, Request
from aisb_engine._faults import RAISED, exception_text, is_stop
from aisb_engine._headers import checked_headers, own_headers
from aisb_engine._http.reply import finish, predict
from aisb_engine._http.transport import Exchange, Transport, TransportSettings, WireRequest, open_transport
from aisb_engine._stream import KnownEvents, StreamReader

Note = Callable[[str], None]

_FORMS = 4
"""The maximum number of forms of one request: each time the service rejects a part, it is sent without it."""


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
    headers: Mapping[str, str] | None = None,
) -> Prediction:
    """Make one attempt; a failure is part of the prediction, never raised (a cancellation is).

    `ready` may hold the encoded request, made before its time came; it is removed from the list. `sink` gets
    each chunk when it is read. `known` holds events of earlier replies, and new ones are added.

    If the service rejects an optional part with a 400 or 422, the backend's `adapt` may leave it out. Then
    the request is sent again within the same attempt, and `note` gets a line about it.
    """
    exchange = Exchange(StreamReader(backend, sink, known))
    failure: Failure | None = None
    waiting = ready or []
    try:
        for form in range(_FORMS):
            if not waiting:
                waiting.append(wire(backend, transport, backend.encode(request), headers))
            sent = waiting[0].call
            # Removed from the list, so that the bytes are freed before the reply ends.
            await transport.exchange(waiting.pop(), exchange)
            if exchange.reader.status not in (400, 422):
                break
            message = backend.error_message(exchange.reader.status, exchange.reader.document())
            if (line := backend.adapt(exchange.reader.status, message)) and note:
                note(line)
            # Another request may have adapted the backend meanwhile, which changes how this one is encoded.
            call = backend.encode(request)
            if call == sent or form == _FORMS - 1:
                break
            waiting.append(wire(backend, transport, call, headers))
            exchange.start(StreamReader(backend, sink, known))
    except AttemptFailed as error:
        failure = error.failure
    except AisbError as error:
        failure = Failure("refused", str(error))
    except RAISED as error:  # recorded as the failure of this request
        if is_stop(error):
            raise
        failure = Failure("protocol", exception_text(error))
    failure = finish(backend, exchange, failure)
    return predict(backend, exchange, request, failure, planned_ns=planned_ns, attempts=attempts)


async def stream_once(backend: HttpBackend, request: Request) -> AsyncIterator[Chunk]:
    """Yield the chunks of one request outside a run, over its own connection; raise `AttemptFailed`."""
    import time

    from aisb_engine._spec import Timeouts

    transport = open_transport(
        backend, TransportSettings(timeouts=Timeouts(), clock=time.monotonic_ns, limit=1)
    )
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


def wire(
    backend: HttpBackend, transport: Transport, call: HttpCall, more: Mapping[str, str] | None = None
) -> WireRequest:
    """Encode a call: the URL's path as its prefix, all headers with `more`, and the JSON body as bytes."""
    path, body, extra, method = call
    if more:
        extra = {**extra, **more}
    if transport.shared is None:
        transport.shared = urlsplit(backend.url).path, tuple(_headers(backend).items())
    prefix, headers = transport.shared
    if extra:
        headers = tuple((dict(headers) | _lower(checked_headers(extra.items()))).items())
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
    return headers | _lower(own_headers(backend))


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with lower-case names."""
    return {name.lower(): value for name, value in headers.items()}
