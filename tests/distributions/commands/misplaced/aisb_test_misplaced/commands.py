"""A command."""

from aisb import Command, hookimpl


@hookimpl
def aisb_commands():
    """Declare it."""
    return [Command("misplaced", "Be in the wrong group.", "aisb_test_misplaced:nothing")]
