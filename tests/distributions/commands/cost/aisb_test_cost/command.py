"""What the commands do."""

import click

from aisb import UsageError


@click.command()
@click.argument("run", default="latest")
@click.pass_context
def cost(context, run):
    """Say what RUN cost, and which reporters could show it."""
    plugins = context.obj.load_plugins()
    click.echo(f"{run} cost nothing; reporters: {', '.join(plugins.names('reporter'))}")
    return 3


@click.command()
def fails():
    """Fail."""
    {}["the price list"]


@click.command()
def refuses():
    """Refuse."""
    raise UsageError("there is no price list; name one")


@click.command()
@click.argument("run")
@click.argument("price")
def price(run, price):
    """Put PRICE on RUN."""
    click.echo(f"{run} is {price}")


@click.command()
def budget():
    """Show the budget."""
    click.echo("no limit")


def set_few(context, parameter, value):
    """Ask only the first samples."""
    if value is not None:
        context.obj.settings.append(f"load.num_prompts={value}")


def run_options(command):
    """Add `--few` to `aisb run`."""
    return click.option("--few", type=int, metavar="N", callback=set_few, help="Ask only N samples.")(command)
