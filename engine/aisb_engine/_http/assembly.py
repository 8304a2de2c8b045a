"""Asking a service once: from a request to its prediction, or to the reason why there is no answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from urllib.parse import unquote, urlsplit
from weakref import WeakKeyDictionary

import orjson

from aisb._backend import HttpBackend, HttpCall, host_and_port
from aisb._errors import AisbError, AttemptFailed, ConfigError
from aisb._types import Chunk, Failure, Prediction, Request
from aisb_engine._faults import RAISED, is_stop, words
from aisb_engine._http.reply import Reply
from aisb_engine._http.transport import Clock, Transport, WireRequest, open_transport

Note = Callable[[str], None]

_FORMS = 4
"""In how many forms one request is sent at most, when the service refuses a part of it each time."""


async def ask(
    backend: HttpBackend,
    transport: Transport,
    request: Request,
    *,
    clock: Clock,
    planned_ns: int | None = None,
    attempts: int = 1,
    note: Note | None = None,
    ready: list[WireRequest] | None = None,
) -> Prediction:
    """Make one attempt; a failure is part of the prediction, never raised (a cancellation is).

    `ready` holds the request's bytes where they were made before its time came; they are taken out of it.

    What the service refuses with a 400 or 422, and need not have, is left out as the backend's `adapt` says,
    and the request is sent again within the same attempt; `note` is told.
    """
    del clock  # the transport has it: every stamp is taken there
    reply = Reply(backend)
    await _answer(backend, transport, request, reply, note=note, ready=ready)
    return reply.prediction(request, planned_ns=planned_ns, attempts=attempts)


async def stream_once(backend: HttpBackend, request: Request) -> AsyncIterator[Chunk]:
    """Answer one request outside a run, over its own connection. Raise `AttemptFailed` when there is none."""
    import time

    from aisb_engine._spec import Timeouts

    transport = open_transport(backend, timeouts=Timeouts(), clock=time.monotonic_ns, limit=1)
    chunks: asyncio.Queue[Chunk | None] = asyncio.Queue()
    reply = Reply(backend, sink=chunks.put_nowait, full=1)
    task = asyncio.create_task(_answer(backend, transport, request, reply))
    task.add_done_callback(lambda _: chunks.put_nowait(None))
    try:
        while (chunk := await chunks.get()) is not None:
            yield chunk
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await transport.aclose()
    if reply.failure:
        raise AttemptFailed(reply.failure)


async def _answer(
    backend: HttpBackend,
    transport: Transport,
    request: Request,
    reply: Reply,
    *,
    note: Note | None = None,
    ready: list[WireRequest] | None = None,
) -> None:
    failure: Failure | None = None
    exchange = reply.exchange
    ready = ready or []
    try:
        if not ready:
            ready.append(wire(backend, transport, backend.encode(request)))
        for _ in range(_FORMS):
            refused = hash(ready[0])
            # Taken out: the bytes are not kept for as long as the reply lasts.
            await transport.exchange(ready.pop(), exchange)
            if exchange.status not in (400, 422):
                break
            message = backend.error_message(exchange.status, b"".join(data for _, data in exchange.pieces))
            line = backend.adapt(exchange.status, message)
            if line and note:
                note(line)
            # A request that was under way while another one learnt the same finds nothing new to leave out,
            # but is encoded otherwise by now.
            ready.append(wire(backend, transport, backend.encode(request)))
            if hash(ready[0]) == refused:
                break
            exchange.reset()
    except AttemptFailed as error:
        failure = error.failure
    except AisbError as error:
        failure = Failure("refused", str(error))
    except RAISED as error:  # one request: recorded as its failure, and counted
        if is_stop(error):
            raise
        failure = Failure("protocol", words(error))
    reply.end(failure)


_SHARED: WeakKeyDictionary[Transport, tuple[str, dict[str, str]]] = WeakKeyDictionary()
"""What all requests over a transport have in common: the URL's path and the headers."""


def wire(backend: HttpBackend, transport: Transport, call: HttpCall) -> WireRequest:
    """Return the bytes of a call: the URL's own path before it, all headers, JSON made bytes."""
    shared = _SHARED.get(transport)
    if shared is None:
        shared = _SHARED[transport] = (urlsplit(backend.url).path, _headers(backend))
    prefix, headers = shared
    if call.headers:
        headers = headers | _checked(call.headers.items())
    if call.body is None:
        body = b""
    elif isinstance(call.body, bytes):
        body = call.body
    else:
        body = orjson.dumps(call.body)
    return WireRequest(call.method, prefix + call.path, tuple(headers.items()), body)


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
    return headers | _checked(backend.headers.items()) | _checked(backend.auth_headers().items())


def _checked(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return headers with their names in lower case. Raise `ConfigError` for one that cannot be sent."""
    for name, value in headers:
        if not value.isprintable() or not value.isascii() or not name.isascii() or not name.isprintable():
            raise ConfigError(f"headers.{name}", "a header is one line of ASCII characters")
    return {name.lower(): value for name, value in headers}
