"""Print how a run ended, and the command that resumes it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from aisb_engine import ExecutedRun, RunCommand


def show_ending(ended: ExecutedRun, command: RunCommand, flags: Sequence[str] = ()) -> int:
    """Print the run folder, the number of failures and how to resume; return the exit code.

    `flags` are flags of this command that the run folder does not keep, and the next command needs.
    """
    for note in ended.notes:
        click.echo(note, err=True)
    resume = _resuming(ended, command, flags)
    failed = f"{ended.failed} failed"
    if command.mode in {"perf", "perf_viz"}:
        again = ended.folder.command(f"{_command()} --mode perf_viz --reuse")
        stopped = "stopped, " if ended.is_stopped else ""
        click.echo(
            f"{stopped}{failed}; everything is in {ended.folder}; show it again with: {again}", err=True
        )
    elif ended.is_stopped:
        click.echo(f"stopped, {failed}; everything is in {ended.folder}; resume with: {resume}", err=True)
    elif ended.failed:
        click.echo(f"{failed}; everything is in {ended.folder}; ask them again with: {resume}", err=True)
    else:
        click.echo(f"{failed}; everything is in {ended.folder}", err=True)
    return ended.exit_code


def _command() -> str:
    """Return the command that resumes a run: the one that is running, where it is another than `aisb`."""
    context = click.get_current_context(silent=True)
    name = context.find_root().info_name if context else None
    return "aisb run" if name in (None, "aisb") else str(name)


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
    resume = " ".join([ended.folder.command(f"{_command()} --reuse"), shlex.join(words)]).rstrip()
    return resume + (secrets if ended.secret_settings else "")
