"""A command without a help text."""

from aisb import Command, hookimpl


@hookimpl
def aisb_commands():
    """Declare it."""
    return [Command("helpless", None, "aisb_test_helpless.commands:nothing")]
