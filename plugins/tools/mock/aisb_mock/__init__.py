"""A mock inference server: real HTTP on a loopback port, seeded answers, configurable latency and faults.

    with start_mock(MockOptions(accuracy=0.8, ttft_ms=20, faults=("status-429:0.1",))) as mock:
        ask(mock.url)

The same server runs as `python -m aisb_mock --port 0` and as `aisb mock serve`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aisb_mock._options import Behaviour, MockOptions
    from aisb_mock._process import MockProcess, start_mock
    from aisb_mock._replies import Ask, Dialect, Event, Refused, Reply, ToolCall
    from aisb_mock._server import dialect_of

_MODULES = {
    "Ask": "aisb_mock._replies",
    "Behaviour": "aisb_mock._options",
    "Dialect": "aisb_mock._replies",
    "Event": "aisb_mock._replies",
    "MockOptions": "aisb_mock._options",
    "MockProcess": "aisb_mock._process",
    "Refused": "aisb_mock._replies",
    "Reply": "aisb_mock._replies",
    "ToolCall": "aisb_mock._replies",
    "dialect_of": "aisb_mock._server",
    "start_mock": "aisb_mock._process",
}

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


def __getattr__(name: str) -> object:
    """Import a name at its first use, since `aisb --help` imports this package."""
    from importlib import import_module

    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value
