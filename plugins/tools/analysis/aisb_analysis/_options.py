"""The arguments and options that the commands of this package share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click


def complete_runs(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the runs of the work folder that begin with a text, the latest first."""
    del parameter
    with suppress(Exception):  # completion must neither fail nor print
        from aisb_engine import RunFolder

        folder = Path(context.params.get("work_dir") or "outputs/default")
        names = ["latest", *(run.timestamp for run in reversed(RunFolder.list(folder)))]
        before, comma, last = incomplete.rpartition(",")
        return [before + comma + name for name in names if name.startswith(last)]
    return []


which_run = click.argument("which", metavar="RUN", default="latest", shell_complete=complete_runs)
"""One run: a timestamp, a path, a tag, `latest`, or `latest~1` for the one before it."""

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
only_models = click.option(
    "--model", "models", multiple=True, metavar="NAME", help="Only this model (repeatable)."
)
only_tasks = click.option(
    "--task", "tasks", multiple=True, metavar="NAME", help="Only this task (repeatable)."
)


def work_dir_option(default: str, words: str) -> Callable[[Any], Any]:
    """Return the option `--work-dir` with this default and help text."""
    return click.option(
        "-w",
        "--work-dir",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path(default),
        show_default=True,
        metavar="DIR",
        help=words,
    )


work_dir = work_dir_option("outputs/default", "Work folder, which contains the run folders.")
