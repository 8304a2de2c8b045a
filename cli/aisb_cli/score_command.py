"""`aisb score`: score a run again from its log."""

from __future__ import annotations

from pathlib import Path

import click

from aisb_cli import shared_options as shared
from aisb_cli.ending import show_ending
from aisb_cli.judge_options import allow_options, judge_options, judge_table


@click.command()
@judge_options
@allow_options
@shared.which_run
@shared.work_dir()
@shared.sets("Score by other rules, e.g. task.postprocess=[…].")
@shared.dump_eval_details
@shared.merge_ds
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
) -> int:
    """Score a run again from its log: RUN is a timestamp, a path, or `latest`.

    Nothing is sent, except new questions to a judge model.

    \b
    Take the last number of each text as its answer:
      aisb score latest --set 'task.postprocess=[{use="last-number"}]'
    """  # noqa: D301 - \b is for click
    from aisb_cli.display import choose_display
    from aisb_engine import RunCommand, RunInput, execute_run

    flags = {"dump_eval_details": dump_eval_details, "merge_ds": merge_ds}
    asked = RunInput(
        sets=sets,
        run={key: True for key, value in flags.items() if value},
        judge=judge_table(judge, judge_url),
    )
    command = RunCommand(asked, mode="eval", reuse=which, work_dir=work_dir)
    ended = execute_run(command, shared.load_plugins(context), choose_display(debug=False))
    return show_ending(ended, command)
