"""Commands with options of `run` that fail."""

import sys

import click

from aisb import Command, hookimpl


@click.command()
def rash():
    """Do nothing."""


def ending_options(command):
    """End the process."""
    sys.exit(0)


def failing_options(command):
    """Add an option whose callback fails."""

    def fail(context, parameter, value):
        if value is not None:
            {}[value]

    return click.option("--rash", callback=fail, help="Fail.")(command)


@hookimpl
def aisb_commands():
    """Declare two commands, each with options of `run`."""
    place = "aisb_test_rash.commands"
    return [
        Command("rash", "Do nothing.", f"{place}:rash", run_options=f"{place}:ending_options"),
        Command("rash-too", "Do nothing.", f"{place}:rash", run_options=f"{place}:failing_options"),
    ]
