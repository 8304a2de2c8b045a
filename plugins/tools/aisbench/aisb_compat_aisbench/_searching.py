"""`ais_bench --search`: print the origin of each name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from aisb_cli.planning import sources
from aisb_cli.run_flags import TABLES, run_command

SEARCH_HEADERS = ("Task Type", "Task Name", "Config File Path")


def print_places(context: click.Context, flags: dict[str, Any], files: Mapping[tuple[str, str], Path]) -> int:
    """Print a table of the selected names, each with its config file or the file used in its place."""
    from tabulate import tabulate

    plugins = context.obj.load_plugins(flags["block"], quiet=True)
    rows = [(flag, name, str(path.resolve())) for (flag, name), path in files.items()]
    tables = context.meta.pop(TABLES)
    taken = {name for _, name in files} | set(tables.get("models", {})) | set(tables.get("tasks", {}))
    rest = {
        **flags,
        "models": tuple(name for name in flags["models"] if name not in taken or not files),
        "datasets": tuple(name for name in flags["datasets"] if name not in taken or not files),
    }
    if rest["models"] or rest["datasets"] or not rows:
        rows += sources(run_command(context, rest), plugins)
    click.echo(tabulate(rows, headers=SEARCH_HEADERS, tablefmt="fancy_grid"))
    if len(rows) > len(files):
        click.echo("installed files need no editing: --set PATH=VALUE or aisb.toml overrides any key")
    return 0
