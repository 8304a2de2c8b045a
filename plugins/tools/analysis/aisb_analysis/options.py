"""The old place of `aisb_engine.command_options`, which 0.4 removes."""

from __future__ import annotations

import warnings
from typing import Any


def __getattr__(name: str) -> Any:
    from aisb_engine import command_options

    if name not in command_options.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        f"aisb_analysis.options.{name} is now aisb_engine.command_options.{name}; 0.4 removes it",
        DeprecationWarning,
        stacklevel=2,
    )
    return getattr(command_options, name)
