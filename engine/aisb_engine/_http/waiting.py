"""Wait for a service that is still loading: it does not answer yet, or reports that it is not ready."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aisb._backend import NOT_READY, Backend, Client, Fetched, HttpBackend
from aisb._errors import ServiceError
from aisb_engine._http.fetch import SilentServiceError

POLL_SECONDS = 0.5
REPORT_INTERVAL_SECONDS = 30.0
HEALTH = "/health"


@asynccontextmanager
async def waiting_for(backend: Backend, seconds: float, say: Callable[[str], None]) -> AsyncIterator[None]:
    """Let the probe in the block wait for its service, up to `seconds` in all; 0 means no wait.

    Raises:
        ServiceError: the service was not ready in time.
    """
    if not (seconds and isinstance(backend, HttpBackend) and backend.client is not None):
        yield
        return
    before = backend.client
    backend.client = client = WaitingClient(before, seconds, say)
    try:
        yield
        await client.health(backend)
        client.done()
    finally:
        backend.client = before


@dataclass(slots=True)
class WaitingClient:
    """Repeats a request until the service answers or the time is over; reports what it waits for."""

    client: Client
    seconds: float
    say: Callable[[str], None]
    _started_at: float = field(default_factory=time.monotonic)
    _reported_reason: str = ""
    _reported_at: float = 0.0

    async def fetch(
        self,
        backend: HttpBackend,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109 - the transport applies it
    ) -> Fetched:
        """Send one request: GET, or POST when there is a body.

        Raises:
            ServiceError: the service cannot be reached, or was not ready within the time.
        """
        while True:
            try:
                answer = await self.client.fetch(
                    backend, path, body=body, timeout=max(0.1, min(timeout, self._left()))
                )
            except SilentServiceError as error:
                reason = str(error)
            else:
                if answer.status not in NOT_READY:
                    return answer
                reason = _not_ready(backend, path, answer)
            await self._pause(reason)

    async def health(self, backend: HttpBackend) -> None:
        """Wait while the service says that it is not ready, although it already lists its models.

        llama.cpp does so while it loads a model. A gateway without such a path is taken as ready.

        Raises:
            ServiceError: the service was not ready within the time.
        """
        while True:
            try:
                answer = await self.client.fetch(backend, HEALTH)
            except ServiceError:
                return
            if answer.status != 503:
                return
            message = backend.error_message(answer.status, answer.body)
            if not getattr(backend, "check_model", True) and "loading" not in message.lower():
                return
            await self._pause(_not_ready(backend, HEALTH, answer))

    def done(self) -> None:
        """Print that the service is ready, if it was waited for."""
        if self._reported_reason:
            self.say(f"it is ready after {time.monotonic() - self._started_at:.0f} s")

    async def _pause(self, reason: str) -> None:
        left, now = self._left(), time.monotonic()
        if left <= 0:
            raise ServiceError(f"it was not ready within the {self.seconds:g} s of --wait: {reason}")
        if reason != self._reported_reason or now - self._reported_at >= REPORT_INTERVAL_SECONDS:
            self.say(f"waiting up to {left:.0f} s more: {reason}")
            self._reported_reason, self._reported_at = reason, now
        await asyncio.sleep(min(POLL_SECONDS, left))

    def _left(self) -> float:
        return self._started_at + self.seconds - time.monotonic()


def _not_ready(backend: HttpBackend, path: str, answer: Fetched) -> str:
    message = backend.error_message(answer.status, answer.body)
    detail = "" if message == f"HTTP {answer.status}" else f": {message}"
    return f"{backend.address}{path} is not ready ({answer.status}{detail})"
