"""`aisb score`: score a run again from its log."""

from __future__ import annotations

from pathlib import Path

import click

from aisb_cli import shared_options as shared
from aisb_cli.ending import show_ending
from aisb_cli.judge_options import judge_table
from aisb_cli.terminal import held_output
from aisb_engine.command_options import allow_options, judge_options


@click.command()
@judge_options
@allow_options
@shared.which_run
@shared.work_dir()
@shared.sets("Score by other rules, e.g. task.postprocess=[…].")
@shared.dump_eval_details
@shared.merge_ds
@click.option(
    "--launcher", metavar="NAME", help="Grade programs and formulas on workers that this launcher places."
)
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Number of these workers [default: 1]."
)
@click.pass_context
def score(
    context: click.Context,
    which: str,
    *,
    work_dir: Path,
    sets: tuple[str, ...],
    judge: str | None,
    judge_url: str | None,
    dump_eval_details: bool,
    merge_ds: bool,
    launcher: str | None,
    workers: int | None,
) -> int:
    """Score a run again from its log: RUN is a timestamp, a path, a tag, or `latest`.

    Nothing is sent, except new questions to a judge model.

    \b
    Take the last number of each text as its answer:
      aisb score latest --set 'task.postprocess=[{use="last-number"}]'

    \b
    Run the programs of the answers on a Ray cluster:
      aisb score latest --launcher ray --workers 16 --set launcher.address=auto
    """  # noqa: D301 - \b is for click
    from aisb_cli.display import choose_display
    from aisb_engine import RunCommand, RunInput, execute_run

    if workers is not None and launcher is None:
        raise click.UsageError("--workers needs --launcher, which places them")
    flags = {"dump_eval_details": dump_eval_details, "merge_ds": merge_ds, "launcher": launcher}
    run_input = RunInput(
        sets=sets,
        run={key: value for key, value in flags.items() if value},
        load={} if workers is None else {"workers": workers},
        judge=judge_table(judge, judge_url),
    )
    command = RunCommand(run_input, mode="eval", reuse=which, work_dir=work_dir)
    with held_output():
        ended = execute_run(command, shared.load_plugins(context), choose_display(debug=False))
        return show_ending(ended, command)
