"""The commands of this package."""

from __future__ import annotations

from aisb import Command, hookimpl


@hookimpl
def aisb_commands() -> list[Command]:
    """Declare `aisb plugins new`, `aisb plugins check` and `aisb plugins quality`."""
    return [
        Command("plugins new", "Write a new plugin that passes its own tests.", "aisb_testing._new:new"),
        Command("plugins check", "Run the conformance kit on a plugin.", "aisb_testing._check_command:check"),
        Command("plugins quality", "Show the quality of plugins.", "aisb_testing._quality_command:quality"),
    ]
