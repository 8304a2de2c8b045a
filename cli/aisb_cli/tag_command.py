"""`aisb runs tag`: tags and a note on a run, which change nothing else in it."""

from __future__ import annotations

import re
from pathlib import Path

import click

from aisb_cli import shared_options as shared

TAG = re.compile(r"[\w.:+-]{1,40}")
MAX_NOTE_LENGTH = 2000
"""The maximum length of a note."""


@click.command("tag")
@shared.which_run
@click.argument("tags", metavar="[TAG]…", nargs=-1)
@shared.work_dir()
@click.option("-r", "--remove", is_flag=True, help="Remove these tags; without TAG, all of them.")
@click.option("--note", metavar="TEXT", help='Set the note, a line about the run; "" removes it.')
def tag(which: str, tags: tuple[str, ...], work_dir: Path, note: str | None, *, remove: bool) -> None:
    """Add tags to a run, remove them, or set its note; without any, print both.

    RUN is a timestamp, a path, a tag, or `latest`. A tag that only one run has can name this run in every
    command; `aisb runs list --tag TAG` and `aisb view` find all runs with a tag. Tags are stored in
    `configs/notes.json` of the run folder, and change no result.

    \b
      aisb runs tag latest baseline --note "before the new kernel"
      aisb runs tag latest baseline --remove
    """  # noqa: D301 - \b is for click
    from aisb_engine import RunFolder, printable, read_run, write_run_notes

    _check(tags, note)
    folder = RunFolder.find(work_dir, which)
    one = read_run(folder)
    names = list(one.tags)
    if remove:
        names = [name for name in names if tags and name not in tags]
    else:
        names += tags
    if tags or remove or note is not None:
        write_run_notes(folder, names, one.note if note is None else note)
        one = read_run(folder)
    click.echo(f"{folder}: tags: {', '.join(one.tags) or 'none'}; note: {printable(one.note) or 'none'}")


def _check(tags: tuple[str, ...], note: str | None) -> None:
    from aisb import UsageError

    for name in tags:
        if name == "latest":
            raise UsageError("'latest' cannot be a tag: it already names the latest run")
        if not TAG.fullmatch(name):
            raise UsageError(
                f"{name!r} is not a tag: use 1 to 40 letters, digits and the characters . _ : + -\n"
                '  a sentence belongs in the note: --note "…"'
            )
    if note is not None and (len(note) > MAX_NOTE_LENGTH or "\n" in note):
        raise UsageError(f"the note must be one line of at most {MAX_NOTE_LENGTH} characters")
