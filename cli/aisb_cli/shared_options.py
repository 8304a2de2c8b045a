"""Options that several commands share, and loading plugins for a command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisb import UsageError
from aisb_cli.completing import complete_models
from aisb_engine.command_options import (
    OBJECTIVES,
    WORK_DIR,
    api_key_env,
    as_json,
    model_name,
    objectives,
    only_models,
    only_tasks,
    which_run,
    work_dir_option,
)

if TYPE_CHECKING:
    from aisb_engine import Plugins

__all__ = [
    "OBJECTIVES", "api_key_env", "as_json", "config_file", "data_dir", "dump_eval_details", "load_plugins",
    "merge_ds", "model_name", "model_of_service", "new_configuration", "objectives", "only_models",
    "only_tasks", "refuse_existing", "sets", "which_run", "work_dir",
]  # fmt: skip

data_dir = click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="First folder to search for data files.",
)
model_of_service = click.option(
    "--models",
    "model",
    metavar="NAME",
    shell_complete=complete_models,
    help="Model file for requests to the service [default: detected].",
)
dump_eval_details = click.option(
    "--dump-eval-details", is_flag=True, help="Write each answer, its reference and verdict to results/."
)
merge_ds = click.option("--merge-ds", is_flag=True, help="One row for a task with groups, not one per group.")


def new_configuration(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `-o FILE` and `--force` to a command that writes an aisb.toml."""
    command = click.option("--force", is_flag=True, help="Replace the file if it exists.")(command)
    return click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path),
        default=Path("aisb.toml"),
        show_default=True,
        metavar="FILE",
        help="File to write.",
    )(command)


def refuse_existing(file: Path, *, force: bool) -> None:
    """Raise UsageError if a file to write exists, unless the user passed `--force`."""
    if file.exists() and not force:
        raise UsageError(f"{file} exists already; --force replaces it, -o names another file")


def work_dir(
    words: str = "Work folder, which contains the run folders.", default: Path = WORK_DIR
) -> Callable[[Any], Any]:
    """Return the option `--work-dir` with this help text and default."""
    return work_dir_option(words, default)


def config_file(words: str) -> Callable[[Any], Any]:
    """Return the option `--config` with this help text."""
    return click.option(
        "-c", "--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help=words
    )


def sets(words: str) -> Callable[[Any], Any]:
    """Return the option `--set` with this help text."""
    return click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help=words)


def load_plugins(context: click.Context, block: Sequence[str] = ()) -> Plugins:
    """Load all plugins except the blocked ones, and print notes on them."""
    loaded: Plugins = context.obj.load_plugins(block)
    return loaded
