"""The HTTP client that the engine gives to each backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from aisb._backend import Backend, Fetched, HttpBackend
from aisb_engine._http.fetch import fetch
from aisb_engine._masking import remember

B = TypeVar("B", bound=Backend)


class EngineClient:
    """Sends requests outside the hot path, over the same transport as a run's requests."""

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
            ServiceError: the service does not answer; the message says what to try.
        """
        return await fetch(backend, path, body=body, timeout=timeout)


def connect(backend: B) -> B:
    """Give a backend the engine's client unless it has one, register its secrets, and return it."""
    remember(backend)
    if backend.client is None:
        backend.client = EngineClient()
    return backend
