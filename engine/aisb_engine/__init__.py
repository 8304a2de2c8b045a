"""The engine of aisb: resolve what was asked for, send it, keep the record, score it and measure it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aisb_engine._reporting.finished import open_finished_run
    from aisb_engine._reporting.measuring import MeasuringOptions

__version__ = "0.2.0"

_PLACES = {
    "MeasuringOptions": "aisb_engine._reporting.measuring:MeasuringOptions",
    "open_finished_run": "aisb_engine._reporting.finished:open_finished_run",
}
"""Where each public name is, as `module:name`: imported at its first use."""

__all__ = [
    "MeasuringOptions",
    "open_finished_run",
]


def __getattr__(name: str) -> Any:
    module, _, attribute = _PLACES.get(name, "").partition(":")
    if not module:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(module), attribute)
