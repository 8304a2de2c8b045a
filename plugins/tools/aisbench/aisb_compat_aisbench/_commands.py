"""The commands that this package brings."""

from __future__ import annotations

from aisb import Command, hookimpl


@hookimpl
def aisb_commands() -> list[Command]:
    """Declare the commands of this package."""
    return [
        Command(
            "config import",
            "Read Python config files of AISBench, without running them, as an aisb.toml.",
            "aisb_compat_aisbench._import_command:import_",
        )
    ]
