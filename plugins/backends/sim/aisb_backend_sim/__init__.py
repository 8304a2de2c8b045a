"""Services without a model: `sim` and `sim-text` start the mock server and send requests to it over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, ClassVar

from aisb import Backend, Fetched, hookimpl
from aisb_backend_openai import OpenAIChat, OpenAICompletions, OpenAIService
from aisb_mock import Behaviour, MockOptions, MockProcess, start_mock

__all__ = ["Sim", "SimText"]

COUNTERS = {
    "vllm:prefix_cache_queries_total": "prefix_cache_queries",
    "vllm:prefix_cache_hits_total": "prefix_cache_hits",
    "vllm:num_requests_running": "running",
    "vllm:num_requests_waiting": "waiting",
}
"""The mock server names its counters as vLLM does; these are the names of `Backend.counters`."""

NOT_STARTED = "http://127.0.0.1:0"


@dataclass(kw_only=True, eq=False)
class SimulatedService(OpenAIService, Behaviour):
    """The backend's own service: a child process that the first request, that of the probe, starts."""

    url: Annotated[str, "address of a running mock server; default: start one"] = ""

    default_api_key_env: ClassVar[str | None] = None

    _mock: MockProcess | None = field(default=None, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        self.check_behaviour()
        self.url = self.url or NOT_STARTED
        super().__post_init__()

    def start(self) -> None:
        """Start the mock server unless it is running or an address is set; `url` becomes its address."""
        with self._lock:
            if self.url != NOT_STARTED:
                return
            behaviour = {option.name: getattr(self, option.name) for option in fields(Behaviour)}
            self._mock = start_mock(MockOptions(models=(self.model or "sim",), **behaviour))
            self.url = self._mock.url

    async def fetch(
        self,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109 - as the backend it overrides has it
    ) -> Fetched:
        """Send one request outside the hot path, and start the server before the first one."""
        import asyncio

        await asyncio.to_thread(self.start)
        return await super().fetch(path, body=body, timeout=timeout)

    async def counters(self) -> Mapping[str, float]:
        """Return the mock server's counters, under its own names and those of `Backend.counters`."""
        answer = await self.fetch("/metrics")
        lines = answer.body.decode().splitlines()
        totals: dict[str, float] = {}
        for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#")):
            name = name.partition("{")[0]  # noqa: PLW2901 - the same name, without labels
            if name.endswith(("_total", "_running", "_waiting")):
                totals[name] = totals.get(name, 0.0) + float(value)
        return totals | {COUNTERS[name]: value for name, value in totals.items() if name in COUNTERS}

    async def aclose(self) -> None:
        """Stop the mock server that this backend started."""
        import asyncio

        if self._mock is not None:
            await asyncio.to_thread(self._mock.stop)


@dataclass(kw_only=True, eq=False)
class Sim(SimulatedService, OpenAIChat):
    """A simulated chat service on this machine: seeded answers, configurable latency and faults."""


@dataclass(kw_only=True, eq=False)
class SimText(SimulatedService, OpenAICompletions):
    """A simulated completions service on this machine: seeded answers, configurable latency and faults."""


@hookimpl
def aisb_backends() -> Mapping[str, Callable[..., Backend]]:
    """Declare the simulated service with both APIs."""
    return {"sim": Sim, "sim-text": SimText}
