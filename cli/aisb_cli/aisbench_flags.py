"""Flags and arguments of AISBench that do nothing here, or that another command takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

COMES_WITH = "both come with aisb-compat-aisbench"


def aisbench_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags of AISBench to a command; each says what to do instead."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def refuse_python(path: Path) -> None:
    """Refuse a config file in Python, naming the commands that read it.

    Raises:
        UsageError: the file is one.
    """
    if path.suffix == ".py":
        raise click.UsageError(
            f"{path} is a config file in Python: ais_bench {path} runs it, and aisb config import {path} "
            f"converts it to an aisb.toml ({COMES_WITH})"
        )


def _not_needed(flag: str, *, why: str, **more: Any) -> Callable[[Any], Any]:
    """Return an option for a flag of AISBench that has no effect here; it prints why."""

    def print_reason(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        del parameter
        if value and not context.resilient_parsing:
            click.echo(f"{flag} is not needed here: {why}", err=True)

    return click.option(
        flag,
        expose_value=False,
        callback=print_reason,
        hidden=True,
        help=f"{why[0].upper()}{why[1:]}.",
        **more,
    )


def _refuse_config_dir(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Refuse `--config-dir`, which only AISBench reads."""
    del parameter
    if value and not context.resilient_parsing:
        raise click.UsageError(
            f"--config-dir {value}: ais_bench --config-dir {value} reads config files in Python, and "
            f"aisb config import {value} converts them to an aisb.toml ({COMES_WITH})"
        )


_OPTIONS = (
    _not_needed("--disable-cb", is_flag=True, why="requests are always sent as answers come back"),
    _not_needed("--summarizer", metavar="NAME", why="tables follow from the results; see --merge-ds"),
    click.option(
        "--config-dir",
        metavar="DIR",
        hidden=True,
        expose_value=False,
        callback=_refuse_config_dir,
        help="Refused: ais_bench --config-dir DIR reads it, "
        "aisb config import DIR converts it to an aisb.toml.",
    ),
    _not_needed("--max-workers-per-gpu", type=int, why="it belongs to local models; see --max-num-workers"),
)
