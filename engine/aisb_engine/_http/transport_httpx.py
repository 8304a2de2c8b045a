"""The transport over httpx, for a proxy or HTTP/2: the same replies at a higher cost.

Stamps are taken when httpx passes data on, so they are later than those of the native transport.
A reply that no request asked for is detected if it arrives before the next request on its connection. One
that arrives later cannot be told from the reply of that request.
"""

from __future__ import annotations

import asyncio
import importlib.util
import socket
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx

from aisb._backend import HttpBackend, host_and_port
from aisb._errors import AttemptFailed, ServiceError
from aisb._types import Failure
from aisb_engine._http.fetch import httpx_tls_context, why_unreachable
from aisb_engine._http.transport import (
    END_WAIT,
    OUT_OF_STEP,
    SUCCESS,
    Deadlines,
    Exchange,
    TransportSettings,
    WireRequest,
    is_close_race,
    reuse_given_up,
)
from aisb_engine._stream.compression import too_large
from aisb_engine._stream.problems import invalid_http

HASTY = 16
"""After a reply whose HTTP ended late, this many replies skip the wait for it; then one checks again."""


class HttpxTransport:
    """Requests over one httpx client, and over a second one after a reply that no request asked for."""

    def __init__(self, backend: HttpBackend, settings: TransportSettings, *, proxy: str | None) -> None:
        self._say = settings.say
        self._max_reply = settings.max_reply
        self._max_head = settings.max_head
        self._base = f"{urlsplit(backend.url).scheme}://{host_and_port(backend.url)}"
        self._connects_to = proxy or backend.url
        self._timeouts = settings.timeouts
        self.shared: tuple[str, tuple[tuple[str, str], ...]] | None = None
        self._clock = settings.clock
        self._connect_ns = 0  # how long the latest connect took
        self._hasty = 0  # how many replies still skip the wait for the end of their HTTP
        self._replies = 0

        def client(kept: int) -> httpx.AsyncClient:
            return httpx.AsyncClient(
                verify=httpx_tls_context(backend),
                http2=importlib.util.find_spec("h2") is not None,
                proxy=proxy,
                trust_env=False,
                timeout=httpx.Timeout(None, connect=settings.timeouts.connect),
                limits=httpx.Limits(max_connections=settings.limit, max_keepalive_connections=kept),
            )

        self._without_reuse = partial(client, 0)
        try:
            self._client = client(settings.limit)
            self._clients = [self._client]
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            raise ServiceError(f"the proxy that the environment names cannot be used: {error}") from error

    async def exchange(self, request: WireRequest, exchange: Exchange) -> None:
        """Send a request and read the whole reply."""
        start_ns = self._clock()
        try:
            try:
                await self._carry(request, exchange, start_ns)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
                is_stale = exchange.connected_ns is None and is_cut(error)
                if not is_stale or not is_close_race(exchange, self._connect_ns, self._clock()):
                    raise
                exchange.resent += 1
                exchange.sent_ns = exchange.sent_ns or start_ns
                await self._carry(request, exchange, start_ns)
        except AttemptFailed as error:
            raise AttemptFailed(replace(error.failure, status=exchange.reader.status or None)) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, RuntimeError) as error:
            if not exchange.reader.done:
                raise AttemptFailed(self._failure(error, exchange)) from error
            exchange.reader.done_ns = exchange.reader.last_ns

    async def aclose(self) -> None:
        """Close every connection."""
        for client in self._clients:
            await client.aclose()

    def _distrust(self) -> None:
        """Carry one request per connection from now on; those under way on kept connections will fail."""
        if len(self._clients) == 1:
            self._client = self._without_reuse()
            self._clients.append(self._client)
            self._say(reuse_given_up(self._replies))

    def _check_step(self, client: httpx.AsyncClient, exchange: Exchange) -> None:
        """Fail a request on a connection that was kept before connections were given up."""
        if client is not self._client and exchange.connected_ns is None:
            raise AttemptFailed(Failure("cut", OUT_OF_STEP))

    async def _carry(self, request: WireRequest, exchange: Exchange, start_ns: int) -> None:
        late: list[Failure] = []
        connecting_ns = 0
        client = self._client
        has_waited = asyncio.Event()  # whether the loop turned while the head of the reply was read

        def give_up(failure: Failure) -> None:
            late.append(failure)
            scope.cancel()

        async def trace(name: str, info: dict[str, Any]) -> None:
            nonlocal connecting_ns
            del info
            if name == "connection.connect_tcp.started":
                connecting_ns = self._clock()
            elif name in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
                exchange.connected_ns = self._clock()
                self._connect_ns = exchange.connected_ns - connecting_ns
            elif name.endswith(".send_request_body.complete") and exchange.sent_ns is None:
                exchange.sent_ns = self._clock()
            elif name == "http11.receive_response_headers.started":
                asyncio.get_running_loop().call_soon(has_waited.set)
            elif name == "http11.receive_response_headers.complete" and not has_waited.is_set():
                self._distrust()  # the reply was there before the request was sent

        # A scope of anyio, because httpx shields the closing of connections only from anyio's cancellation: a
        # task cancelled by asyncio would leave its connection in the pool for ever.
        scope = anyio.CancelScope()
        deadlines = Deadlines(self._timeouts, self._clock, give_up)
        deadlines.begin(exchange, start_ns, asyncio.get_running_loop())
        try:
            with scope:
                async with client.stream(
                    request.method,
                    self._base + request.target,
                    headers=[("accept-encoding", "identity"), *request.headers],
                    content=request.body,
                    extensions={"trace": trace},
                ) as reply:
                    self._check_step(client, exchange)
                    await self._read(reply, exchange, scope)
                    self._check_step(client, exchange)
                    self._replies += 1
                    if has_surplus(reply):
                        self._distrust()
            if scope.cancelled_caught:
                if not exchange.reader.done:
                    raise AttemptFailed(late[0])
                self._hasty = HASTY
                exchange.reader.done_ns = exchange.reader.last_ns
        finally:
            deadlines.close()

    async def _read(self, reply: httpx.Response, exchange: Exchange, scope: anyio.CancelScope) -> None:
        """Read a reply; after its last event, wait for the end of its HTTP, to keep the connection."""
        reader, left = exchange.reader, self._max_reply
        reader.max_reply = left
        # h11 reads the head, and limits it to 100 kB.
        if sum(len(name) + len(value) + 4 for name, value in reply.headers.raw) > self._max_head:
            raise invalid_http(f"its head is longer than {self._max_head} bytes (load.max_head)", b"")
        reader.begin(reply.status_code, dict(reply.headers), self._clock())
        async for data in reply.aiter_raw():
            left -= len(data)
            if left < 0:
                raise AttemptFailed(too_large(self._max_reply))
            if reader.feed(self._clock(), data):
                if not reader.done or reader.done_ns is not None:
                    return
                wait = 0.0 if self._hasty else END_WAIT
                self._hasty = max(0, self._hasty - 1)
                scope.deadline = anyio.current_time() + wait
        reader.last_ns = self._clock()
        reader.close()

    def _failure(self, error: Exception, exchange: Exchange) -> Failure:
        status = exchange.reader.status or None
        if isinstance(error, httpx.ConnectTimeout):
            text = f"no connection to {host_and_port(self._connects_to)} within {self._timeouts.connect:g} s"
            return Failure("connect", text)
        if is_cut(error):
            where = "in the middle of the reply" if status else "before the reply began"
            return Failure("cut", f"the connection was closed {where}", status)
        if isinstance(error, httpx.RemoteProtocolError):
            return Failure("protocol", f"the reply is not valid HTTP ({error})", status)
        if status is None:
            return Failure("connect", why_unreachable(error, self._connects_to))
        return Failure("protocol", f"the reply cannot be read ({error or type(error).__name__})", status)


def has_surplus(reply: httpx.Response) -> bool:
    """Return whether another reply of success waits behind one that was read, which no request asked for."""
    stream = reply.extensions.get("network_stream")
    if stream is None or stream.get_extra_info("ssl_object") or not stream.get_extra_info("is_readable"):
        return False
    if (number := stream.get_extra_info("socket").fileno()) < 0:  # it is closed
        return False
    opened = socket.socket(fileno=number)
    try:
        return SUCCESS.match(opened.recv(16, socket.MSG_PEEK | socket.MSG_DONTWAIT)) is not None
    except OSError:
        return False
    finally:
        opened.detach()


def is_cut(error: Exception) -> bool:
    """Return whether an error means that the connection was closed."""
    if isinstance(error, httpx.ReadError | httpx.WriteError | httpx.CloseError):
        return True
    # Only the text of h11's error tells a closed connection from a malformed reply.
    words = str(error)
    return isinstance(error, httpx.RemoteProtocolError) and (
        "peer closed connection" in words or "Server disconnected" in words
    )
