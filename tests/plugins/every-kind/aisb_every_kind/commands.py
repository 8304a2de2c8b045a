"""A command of its own, declared without importing click."""

from aisb import Command, hookimpl


@hookimpl
def aisb_commands():
    return [Command("greet", "Say hello to a run.", "aisb_every_kind.greeting:greet")]
