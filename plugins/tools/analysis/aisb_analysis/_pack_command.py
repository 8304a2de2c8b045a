"""`aisb pack`: pack a run into one file that others can verify."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from aisb_engine import command_options as shared


@click.command()
@shared.which_run
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File to write [default: TIMESTAMP.capsule].",
)
@click.option("--no-prompts", is_flag=True, help="Leave out the prompts, for example because of a licence.")
@shared.work_dir
@click.pass_context
def pack(context: click.Context, which: str, output: Path | None, work_dir: Path, *, no_prompts: bool) -> int:
    """Pack a run into one file, from which `aisb verify` recomputes its numbers.

    RUN is a timestamp, a path, a tag, or `latest`. The file is a ZIP with the log, configuration, manifest,
    tasks, predictions, results and performance tables; of data files it has the hash. Keys of the run's
    services, keys in the environment, and keys of known formats are masked everywhere, also in answers.

    \b
      aisb pack latest
      aisb pack 20261121_220301 --no-prompts -o gpqa.capsule
    """  # noqa: D301 - \b is for click
    from aisb import UsageError
    from aisb_analysis._packing import write_capsule as packed
    from aisb_engine import open_run

    plugins = context.obj.load_plugins()
    run = open_run(work_dir, which, plugins)
    target = output or Path(f"{run.folder.timestamp}.capsule")
    if target.exists():
        raise UsageError(f"{target} already exists: remove it, or name another file with -o")
    made = packed(run, target, plugins, prompts=not no_prompts)
    for note in made.notes:
        click.echo(note, err=True)
    click.echo(f"{made.path}: {made.files} files, {made.path.stat().st_size / 1e6:.1f} MB")
    click.echo(f"sha256 {made.sha256}")
    click.echo(f"check it with: {shlex.join(['aisb', 'verify', str(made.path)])}")
    return 0
