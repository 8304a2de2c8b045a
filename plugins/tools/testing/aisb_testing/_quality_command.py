"""`aisb plugins quality`: the level of each plugin, and what it lacks for the next."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Sequence

import click

from aisb import UsageError
from aisb_engine import QUALITY_LEVELS as LEVELS
from aisb_testing._quality import RULES, PluginQuality, installed_plugins, qualities


@click.command()
@click.argument("names", metavar="[NAME…]", nargs=-1)
@click.option("--rules", is_flag=True, help="Print the rules instead.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def quality(names: Sequence[str], rules: bool, as_json: bool) -> int:
    """Show the quality of plugins: their level (bronze, silver, gold), and what they lack.

    Without NAME it lists all installed plugins, without the conformance kit. With NAME it runs the kit, too.
    The exit code is 1 if a plugin that is named does not reach gold, or one declares more than it reaches.

    \b
      aisb plugins quality
      aisb plugins quality aisb-backend-openai
    """  # noqa: D301 - \b is for click
    if rules:
        for rule in RULES:
            click.echo(f"{rule.level:6}  {rule.name:15}  {rule.asks}")
        return 0
    from aisb_engine import Plugins

    plugins = Plugins.load()
    try:
        found = qualities(names or installed_plugins(), plugins, kit=bool(names))
    except AssertionError as error:  # no such plugin is installed
        raise UsageError(str(error)) from error
    if as_json:
        click.echo(json.dumps([one._asdict() for one in found], indent=2, ensure_ascii=False))
    else:
        for one in found:
            _print(one)
        if not names:
            click.echo("The conformance kit was not run: name plugins to run it.")
    is_below = bool(names) and any(one.level != LEVELS[-1] for one in found)
    return int(is_below or any(one.promises_too_much for one in found))


def _print(one: PluginQuality) -> None:
    click.echo(f"{one.level or 'none':6}  {one.name}")
    width = shutil.get_terminal_size().columns
    for rule, problems in one.missing.items():
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        text = f"{rule}: {'; '.join(problems[:3])}{more}"
        click.echo(textwrap.fill(text, width, initial_indent=" " * 8, subsequent_indent=" " * 10))
    if one.promises_too_much:
        text = f"declared: its keyword aisb-quality-{one.declared} promises more than it reaches; change it"
        click.echo(textwrap.fill(text, width, initial_indent=" " * 8, subsequent_indent=" " * 10))
