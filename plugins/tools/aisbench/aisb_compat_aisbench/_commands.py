"""The declaration of this package's commands."""

from __future__ import annotations

from aisb import Command, hookimpl


@hookimpl
def aisb_commands() -> list[Command]:
    """Declare the commands of this package."""
    return [
        Command(
            "config import",
            "Convert Python config files of AISBench to an aisb.toml, without running them.",
            "aisb_compat_aisbench._import_command:import_",
        )
    ]
