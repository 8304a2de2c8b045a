"""Carrying requests through httpx, where a proxy or HTTP/2 is needed: the same answers, at a higher cost.

Stamps are taken when httpx hands a piece over, so they are later than the native transport's.
"""

from __future__ import annotations

import asyncio
import importlib.util
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from aisb._backend import HttpBackend, host_and_port
from aisb._errors import AttemptFailed, ServiceError
from aisb._types import Failure
from aisb_engine._http.fetch import tls_context, why_unreachable
from aisb_engine._http.transport import Clock, Deadlines, Exchange, WireRequest
from aisb_engine._stream.compression import LARGEST_REPLY, too_large

if TYPE_CHECKING:
    from aisb_engine._spec import Timeouts


class HttpxTransport:
    """Requests over one httpx client."""

    def __init__(
        self,
        backend: HttpBackend,
        *,
        proxy: str | None,
        timeouts: Timeouts,
        clock: Clock,
        limit: int,
        max_reply: int = LARGEST_REPLY,
    ) -> None:
        self._max_reply = max_reply
        self._base = f"{urlsplit(backend.url).scheme}://{host_and_port(backend.url)}"
        self._connects_to = proxy or backend.url
        self._timeouts = timeouts
        self.shared: tuple[str, tuple[tuple[str, str], ...]] | None = None
        self._clock = clock
        try:
            self._client = httpx.AsyncClient(
                verify=tls_context(backend) or True,
                http2=importlib.util.find_spec("h2") is not None,
                proxy=proxy,
                trust_env=False,
                timeout=httpx.Timeout(None, connect=timeouts.connect),
                limits=httpx.Limits(max_connections=limit, max_keepalive_connections=limit),
            )
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            raise ServiceError(f"the proxy that the environment names cannot be used: {error}") from error

    async def exchange(self, request: WireRequest, exchange: Exchange) -> None:
        """Send a request and gather the whole reply."""
        begun = self._clock()
        try:
            try:
                await self._carry(request, exchange, begun)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                if exchange.connected_ns is not None or exchange.reader.status:
                    raise
                # A kept connection was closed while the request was on its way, and nothing was answered.
                exchange.sent_ns = None
                await self._carry(request, exchange, begun)
        except AttemptFailed as error:
            raise AttemptFailed(replace(error.failure, status=exchange.reader.status or None)) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, RuntimeError) as error:
            raise AttemptFailed(self._failure(error, exchange)) from error

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def _carry(self, request: WireRequest, exchange: Exchange, begun: int) -> None:
        late: list[Failure] = []

        def give_up(failure: Failure) -> None:
            late.append(failure)
            scope.reschedule(asyncio.get_running_loop().time())

        async def trace(name: str, info: dict[str, Any]) -> None:
            del info
            if name in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
                exchange.connected_ns = self._clock()
            elif name.endswith(".send_request_body.complete"):
                exchange.sent_ns = self._clock()

        deadlines = Deadlines(self._timeouts, self._clock, give_up)
        deadlines.begin(exchange, begun, asyncio.get_running_loop())
        try:
            async with (
                asyncio.timeout(None) as scope,
                self._client.stream(
                    request.method,
                    self._base + request.target,
                    headers=[("accept-encoding", "identity"), *request.headers],
                    content=request.body,
                    extensions={"trace": trace},
                ) as reply,
            ):
                await self._read(reply, exchange)
        except TimeoutError:
            if not late:
                raise
            raise AttemptFailed(late[0]) from None
        finally:
            deadlines.close()

    async def _read(self, reply: httpx.Response, exchange: Exchange) -> None:
        reader, left = exchange.reader, self._max_reply
        reader.max_reply = left
        reader.begin(reply.status_code, dict(reply.headers), self._clock())
        async for data in reply.aiter_raw():
            left -= len(data)
            if left < 0:
                raise AttemptFailed(too_large(self._max_reply))
            if reader.feed(self._clock(), data):
                return
        reader.last_ns = self._clock()
        reader.close()

    def _failure(self, error: Exception, exchange: Exchange) -> Failure:
        status = exchange.reader.status or None
        if isinstance(error, httpx.ConnectTimeout):
            text = f"no connection to {host_and_port(self._connects_to)} within {self._timeouts.connect:g} s"
            return Failure("connect", text)
        if isinstance(error, httpx.ReadError | httpx.WriteError | httpx.CloseError) or _is_cut(error):
            where = "in the middle of the reply" if status else "before the reply began"
            return Failure("cut", f"the connection was closed {where}", status)
        if isinstance(error, httpx.RemoteProtocolError):
            return Failure("protocol", f"the reply is not valid HTTP ({error})", status)
        if status is None:
            return Failure("connect", why_unreachable(error, self._connects_to))
        return Failure("protocol", f"the reply cannot be read ({error or type(error).__name__})", status)


def _is_cut(error: Exception) -> bool:
    # h11 tells a closed connection from a malformed reply by its words alone.
    words = str(error)
    return isinstance(error, httpx.RemoteProtocolError) and (
        "peer closed connection" in words or "Server disconnected" in words
    )
