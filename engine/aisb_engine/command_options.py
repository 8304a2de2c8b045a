"""The arguments and options that the commands of several distributions share. It needs click.

Install click with the extra `commands` of aisb-engine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

__all__ = [
    "OBJECTIVES", "WORK_DIR", "allow_options", "api_key_env", "as_json", "complete_last", "complete_runs",
    "judge_options", "model_name", "objectives", "only_models", "only_tasks", "which_run", "work_dir",
    "work_dir_option",
]  # fmt: skip

WORK_DIR = Path("outputs/default")
OBJECTIVES = "ttft_p95=2s,tpot_p95=100ms,failures=1%"
"""The objectives of a service without `--slo`."""


def complete_runs(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete names and tags of runs in the work folder, the latest first."""
    del parameter
    with suppress(Exception):  # completion must neither fail nor print
        from aisb_engine import RunFolder

        work_dir = Path(context.params.get("work_dir") or WORK_DIR)
        found = list(reversed(RunFolder.list(work_dir)))
        tags = [tag for run in found for tag in run.tags]
        return complete_last(["latest", *tags, *(run.timestamp for run in found)], incomplete)
    return []


def complete_last(names: Iterable[str], incomplete: str) -> list[str]:
    """Return the names that match the text after the last comma, with the text before it."""
    before, comma, last = incomplete.rpartition(",")
    matching = dict.fromkeys(name for name in names if name.startswith(last))
    return [before + comma + name for name in matching]


which_run = click.argument("which", metavar="RUN", default="latest", shell_complete=complete_runs)
"""One run: a timestamp, a path, a tag, `latest`, or `latest~1` for the one before it."""

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
objectives = click.option(
    "--slo",
    "objectives",
    multiple=True,
    metavar="NAME=LIMIT",
    help=f"Objective (repeatable) [default: {OBJECTIVES}].",
)


def work_dir_option(words: str, default: Path = WORK_DIR) -> Callable[[Any], Any]:
    """Return the option `--work-dir` with this help text and default."""
    return click.option(
        "-w",
        "--work-dir",
        type=click.Path(path_type=Path, file_okay=False),
        default=default,
        show_default=True,
        metavar="DIR",
        help=words,
    )


work_dir = work_dir_option("Work folder, which contains the run folders.")


def judge_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--judge` and `--judge-url` to a command."""
    for option in (
        click.option("--judge-url", metavar="URL", help="Address of the judge's service."),
        click.option("--judge", metavar="NAME", help="Judge model, for tasks that need one."),
    ):
        command = option(command)
    return command


def allow_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--allow-code-execution` and `--allow-uncontained` to a command."""
    for option in (
        _allowing("--allow-uncontained", "Run them even if no sandbox is available here."),
        _allowing("--allow-code-execution", "Run programs written by models, each in a sandbox."),
    ):
        command = option(command)
    return command


def _allowing(flag: str, words: str) -> Callable[[Any], Any]:
    """Return a flag that allows something to evaluators: they read the environment variable of its name."""

    def allow(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        del parameter
        if value and not context.resilient_parsing:
            os.environ[f"AISB_{flag.strip('-').replace('-', '_').upper()}"] = "1"
            if (allowed := getattr(context.obj, "allowed", None)) is not None:  # of the command `aisb`
                allowed.append(flag)

    return click.option(flag, is_flag=True, expose_value=False, callback=allow, help=words)
