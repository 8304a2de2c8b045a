"""Send single requests to a service, outside a run."""

from __future__ import annotations

import time
from dataclasses import replace

from aisb import HttpBackend, Prediction, Request
from aisb_engine._http.assembly import ask
from aisb_engine._http.transport import TransportSettings, open_transport
from aisb_engine._masking import mask_failure
from aisb_engine._spec import Timeouts


class ServiceClient:
    """Sends requests to a backend's service one after another, over one connection.

    Timeouts are in seconds. Close it when it is no longer needed; the backend stays open.
    """

    def __init__(
        self,
        backend: HttpBackend,
        *,
        connect: float = 5,
        first_byte: float = 60,
        between_bytes: float = 60,
        total: float = 120,
    ) -> None:
        timeouts = Timeouts(connect=connect, first_byte=first_byte, between_bytes=between_bytes, total=total)
        self._backend = backend
        self._transport = open_transport(
            backend, TransportSettings(timeouts=timeouts, clock=time.monotonic_ns, limit=1)
        )

    async def ask(self, request: Request) -> Prediction:
        """Make one attempt at a request; a failure is part of the prediction."""
        prediction = await ask(self._backend, self._transport, request)
        if prediction.failure is None:
            return prediction
        return replace(prediction, failure=mask_failure(prediction.failure))

    async def aclose(self) -> None:
        """Close the connection."""
        await self._transport.aclose()
