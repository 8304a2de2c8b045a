"""Every fault that the mock server knows, met by every kind of service: what aisb makes of it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from aisb import ServedModel
from aisb_backend_mindie import MindIEStream
from aisb_backend_openai import OpenAIChat
from aisb_backend_tgi import TGI, TGIStream
from aisb_backend_triton import Triton, TritonStream
from aisb_backend_vllm import VLLMChat, VLLMCompletions, VLLMGenerate
from aisb_engine._http.assembly import ask
from aisb_engine._http.transport import TransportSettings, open_transport
from aisb_engine._load.attempts import is_retryable
from aisb_engine._spec import Timeouts
from aisb_mock import MockProcess
from aisb_mock._faults import FAULTS
from aisb_testing._exchanges import request_for

WHOLE = {"slow", "large-event"}
"""After these the reply is right."""
FINAL = {"status-400", "status-401", "status-403", "status-404"}
"""What is not tried again."""


@pytest.mark.parametrize(
    "make",
    [OpenAIChat, VLLMChat, VLLMCompletions, VLLMGenerate, TGI, TGIStream, Triton, TritonStream, MindIEStream],
)
async def test_each_fault_is_a_failure_of_its_own_or_none(
    mock: Callable[..., MockProcess], make: type
) -> None:
    server = mock(faults=tuple(f"{kind}@{n}" for n, kind in enumerate(FAULTS, 1)), tokens=30, slow_ms=50)
    backend = make(url=server.url, **({"model": "mock"} if issubclass(make, ServedModel) else {}))
    limits = Timeouts(first_byte=0.5, between_bytes=0.5)
    found = {}
    for kind in FAULTS:
        # Over a connection of its own: one that is kept and closed would be asked again, as the next number.
        transport = open_transport(
            backend, TransportSettings(timeouts=limits, clock=time.monotonic_ns, limit=1)
        )
        found[kind] = await ask(backend, transport, request_for(backend))
        await transport.aclose()
    if backend.stream_end == "close" and getattr(backend, "stream", False):
        # Where a stream says nothing at its end, one that ends early cannot be told from a whole one.
        found.pop("early-end")
    assert {kind for kind, made in found.items() if made.failure is None} == WHOLE
    assert {kind for kind, made in found.items() if made.failure and not is_retryable(made.failure)} == FINAL
    assert found["slow"].text == found["large-event"].text
