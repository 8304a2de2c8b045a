"""The command of this package."""

from __future__ import annotations

from aisb import Command, hookimpl


@hookimpl
def aisb_commands() -> list[Command]:
    """Declare `aisb mock`."""
    line = "Run a mock inference server, for trials without a model."
    return [Command("mock", line, "aisb_mock._command:mock")]
