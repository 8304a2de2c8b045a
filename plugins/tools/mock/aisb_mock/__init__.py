"""A mock inference server: real HTTP on a loopback port, seeded answers, set latency, faults on demand.

    with start_mock(MockOptions(accuracy=0.8, ttft_ms=20, faults=("status-429:0.1",))) as mock:
        ask(mock.url)

The same server runs as `python -m aisb_mock --port 0` and as `aisb mock serve`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aisb_mock._options import Behaviour, MockOptions
from aisb_mock._process import MockProcess, start_mock

if TYPE_CHECKING:
    from aisb_mock._replies import Ask, Dialect, Event, Refused, Reply, ToolCall
    from aisb_mock._server import dialect_of

__all__ = [
    "Ask",
    "Behaviour",
    "Dialect",
    "Event",
    "MockOptions",
    "MockProcess",
    "Refused",
    "Reply",
    "ToolCall",
    "dialect_of",
    "start_mock",
]


def __getattr__(name: str) -> Any:
    """Import what tests of backends need at its first use: every command imports this module for `sim`."""
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "aisb_mock._server" if name == "dialect_of" else "aisb_mock._replies"
    return getattr(import_module(module), name)
