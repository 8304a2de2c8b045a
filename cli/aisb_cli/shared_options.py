"""Options that several commands share, and loading plugins for a command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisb import UsageError
from aisb_cli.completing import complete_runs

if TYPE_CHECKING:
    from aisb_engine import Plugins

which_run = click.argument("which", metavar="RUN", default="latest", shell_complete=complete_runs)
"""One run: a timestamp, a path, a tag, or `latest`."""

data_dir = click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="First folder to search for data files.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
only_models = click.option(
    "--model", "models", multiple=True, metavar="NAME", help="Only this model (repeatable)."
)
only_tasks = click.option(
    "--task", "tasks", multiple=True, metavar="NAME", help="Only this task (repeatable)."
)
model_name = click.option("--model-name", metavar="NAME", help="Model to request [default: the served one].")
api_key_env = click.option(
    "--api-key-env", metavar="VARIABLE", help="Environment variable that holds the API key."
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


def work_dir(words: str = "Folder with run folders.") -> Callable[[Any], Any]:
    """Return the option `--work-dir` with this help text."""
    return click.option(
        "-w",
        "--work-dir",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("outputs/default"),
        show_default=True,
        metavar="DIR",
        help=words,
    )


def sets(words: str) -> Callable[[Any], Any]:
    """Return the option `--set` with this help text."""
    return click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help=words)


def load_plugins(context: click.Context, block: Sequence[str] = ()) -> Plugins:
    """Load all plugins except the blocked ones, and print notes on them."""
    loaded: Plugins = context.obj.load_plugins(block)
    return loaded
