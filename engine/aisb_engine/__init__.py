"""The engine of aisb: resolve what was asked for, send it, keep the record, score it and measure it.

Commands and programs use the names of `__all__`; each is imported by its first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aisb._plugins import Component, Plugins, error_words
    from aisb_engine._commands import DeclaredCommand, DeclaredCommands, offered_twice
    from aisb_engine._import_run import ImportedPart, write_imported
    from aisb_engine._record.runfolder import RunFolder, write_atomically
    from aisb_engine._resolve.catalog import Catalog, read_toml
    from aisb_engine._resolve.judge import judge_of
    from aisb_engine._resolve.layers import Asked, Resolver
    from aisb_engine._run import Command as RunCommand
    from aisb_engine._scoring.judging import Judging

__version__ = "0.2.0"

_PLACES = {
    "Asked": "aisb_engine._resolve.layers:Asked",
    "Catalog": "aisb_engine._resolve.catalog:Catalog",
    "Component": "aisb._plugins:Component",
    "DeclaredCommand": "aisb_engine._commands:DeclaredCommand",
    "DeclaredCommands": "aisb_engine._commands:DeclaredCommands",
    "ImportedPart": "aisb_engine._import_run:ImportedPart",
    "Judging": "aisb_engine._scoring.judging:Judging",
    "Plugins": "aisb._plugins:Plugins",
    "Resolver": "aisb_engine._resolve.layers:Resolver",
    "RunCommand": "aisb_engine._run:Command",
    "RunFolder": "aisb_engine._record.runfolder:RunFolder",
    "error_words": "aisb._plugins:error_words",
    "judge_of": "aisb_engine._resolve.judge:judge_of",
    "offered_twice": "aisb_engine._commands:offered_twice",
    "read_toml": "aisb_engine._resolve.catalog:read_toml",
    "write_atomically": "aisb_engine._record.runfolder:write_atomically",
    "write_imported": "aisb_engine._import_run:write_imported",
}
"""Where each public name is."""

__all__ = [
    "Asked",
    "Catalog",
    "Component",
    "DeclaredCommand",
    "DeclaredCommands",
    "ImportedPart",
    "Judging",
    "Plugins",
    "Resolver",
    "RunCommand",
    "RunFolder",
    "error_words",
    "judge_of",
    "offered_twice",
    "read_toml",
    "write_atomically",
    "write_imported",
]


def __getattr__(name: str) -> Any:
    """Import a public name."""
    from importlib import import_module

    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = place.partition(":")
    value = globals()[name] = getattr(import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted({*globals(), *__all__})
