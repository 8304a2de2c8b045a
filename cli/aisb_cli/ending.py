"""Print how a run ended, and the commands that explain its failures and resume it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from aisb_cli.errors import terminal_width, wrap

if TYPE_CHECKING:
    from aisb_engine import ExecutedRun, RunCommand


def show_ending(ended: ExecutedRun, command: RunCommand, flags: Sequence[str] = ()) -> int:
    """Print the notes of a run, its folder, the number of failures and what to do next; return the exit code.

    `flags` are flags of this command that the run folder does not keep, and the next command needs.
    """
    width = terminal_width()
    for line in (*ended.notes, *_ending(ended, command, flags)):
        click.echo(wrap(line, width), err=True)
    return ended.exit_code


def _ending(ended: ExecutedRun, command: RunCommand, flags: Sequence[str]) -> Iterator[str]:
    """Yield what happened and where it is, then a line for each command that is useful next."""
    stopped = "stopped, " if ended.is_stopped else ""
    yield f"{stopped}{ended.failed} failed; everything is in {ended.folder}"
    if ended.failed:
        yield f"  show why: {ended.folder.command('aisb logs')}"
    if command.mode in {"perf", "perf_viz"}:
        words = shlex.join([*_command(), "--mode", "perf_viz", "--reuse"])
        yield f"  show the result again: {ended.folder.command(words)}"
    elif ended.is_stopped:
        yield f"  resume with: {_resuming(ended, command, flags)}"
    elif ended.failed:
        yield f"  send them again: {_resuming(ended, command, flags)}"


def _command() -> list[str]:
    """Return the command that resumes a run: the one that is running, where it is another than `aisb`."""
    context = click.get_current_context(silent=True)
    name = context.find_root().info_name if context else None
    return ["aisb", "run"] if name in (None, "aisb") else [str(name)]


def _resuming(ended: ExecutedRun, command: RunCommand, flags: Sequence[str]) -> str:
    """Return the command that resumes a run, and name what the user has to fill in."""
    words = list(flags)
    if command.mode == "infer":
        words += ["--mode", "infer"]
    if command.data_dir is not None:
        words += ["--data-dir", str(command.data_dir)]
    for key in ended.secret_settings:
        words += ["--set", f"{key}=…"]
    secrets = "\n  … stands for a secret, which the run folder does not keep: give it again"
    resume = ended.folder.command(shlex.join([*_command(), "--reuse"]))
    return " ".join([resume, *map(shlex.quote, words)]) + (secrets if ended.secret_settings else "")
