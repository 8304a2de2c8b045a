"""The command `aisb greet`."""

import click


@click.command()
@click.argument("name", default="world")
@click.option("--loud", is_flag=True, help="Say it in capitals.")
def greet(name, loud):
    """Say hello to NAME."""
    words = f"hello {name}"
    click.echo(words.upper() if loud else words)
