"""Commands under names that others have."""

from aisb import Command, hookimpl


@hookimpl
def aisb_commands():
    """Declare them."""
    place = "aisb_test_twins.nowhere:nothing"
    return [
        Command("twin", "Be there twice.", place),
        Command("runs list", "Be there twice, in a group.", place),
        Command("score twice", "Belong to a command that is no group.", place),
        Command(
            "twin-options", "Add options that are there.", place, run_options="aisb_test_twins.commands:url"
        ),
    ]


def url(command):
    """Add an option that `aisb run` has."""
    import click

    return click.option("--url")(command)
