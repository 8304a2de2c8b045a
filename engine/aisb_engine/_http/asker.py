"""Make attempts at requests to one service, over one transport."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aisb._backend import HttpBackend
from aisb._types import Prediction, Request
from aisb_engine._http.assembly import ask, wire
from aisb_engine._http.likelihood import ask_options
from aisb_engine._http.transport import Transport, WireRequest
from aisb_engine._stream import KnownEvents


class Asker:
    """Makes attempts; `note` gets a line for the log when a request had to be sent in another form.

    `session_header` is the name of a header that carries the session of each request that belongs to one.
    """

    __slots__ = ("_backend", "_known", "_note", "_session_header", "_transport")

    def __init__(
        self,
        backend: HttpBackend,
        transport: Transport,
        note: Callable[[str], None],
        session_header: str | None = None,
    ) -> None:
        self._backend = backend
        self._transport = transport
        self._note = note
        self._session_header = session_header
        self._known = KnownEvents()

    def prepare(self, request: Request) -> list[WireRequest]:
        """Encode a request before its time comes, since a long prompt takes milliseconds."""
        try:
            return [wire(self._backend, self._transport, self._backend.encode(request))]
        except Exception:  # noqa: BLE001 - it is encoded again when it is sent, and the failure recorded then
            return []

    def attempt(
        self,
        request: Request,
        attempts: int,
        planned_ns: int | None,
        prepared: list[WireRequest] | None = None,
    ) -> Awaitable[Prediction]:
        """Return an awaitable for one attempt; `attempts` counts this attempt and those before it."""
        if request.continuations:
            return ask_options(
                self._backend, self._transport, request, planned_ns=planned_ns, attempts=attempts
            )
        return ask(
            self._backend,
            self._transport,
            request,
            planned_ns=planned_ns,
            attempts=attempts,
            note=self._note,
            ready=prepared,
            known=self._known,
            headers=self._headers(request) if self._session_header else None,
        )

    def _headers(self, request: Request) -> dict[str, str] | None:
        session = request.facts.get("session")
        return {self._session_header: str(session)} if self._session_header and session else None

    async def aclose(self) -> None:
        """Close the transport."""
        await self._transport.aclose()
