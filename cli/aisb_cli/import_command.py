"""`aisb import`: import results of other tools as a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aisb_cli import shared_options as shared
from aisb_cli.completing import complete_tasks

if TYPE_CHECKING:
    from aisb_engine import ImportedPart, Plugins, RunFolder


LIKELIHOOD_EVALUATORS = ({"use": "choice-match"},)
"""The evaluators for likelihoods of options."""


class ImportCommand(click.Command):
    """A command whose help ends with what the installed importers read."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a line for each importer of the installed plugins."""
        if ctx.obj is None:  # the command line was not parsed by `aisb`
            return
        from aisb_cli.importers.read import Importers

        importers = Importers(ctx.obj.load_plugins(quiet=True), complain=lambda _: None)
        with formatter.section("PATH is one of these"):
            formatter.write_dl(importers.readable())


@click.command("import", cls=ImportCommand)
@click.argument("paths", metavar="PATH…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--as",
    "names",
    multiple=True,
    metavar="[THEIRS=]TASK",
    shell_complete=complete_tasks,
    help="Task that grades the answers [default: the same name]; for a performance result, its new name.",
)
@click.option("--model", metavar="NAME", help="Name of the model [default: from the tool].")
@shared.config_file("Your own tasks [default: ./aisb.toml].")
@click.option("--no-score", is_flag=True, help="Only import; score later with aisb score.")
@shared.work_dir()
@click.pass_context
def import_(
    context: click.Context,
    paths: tuple[Path, ...],
    names: tuple[str, ...],
    model: str | None,
    work_dir: Path,
    *,
    config_file: Path | None,
    no_score: bool,
) -> int:
    """Import the results of another tool as a run, and score its answers by aisb's rules. Nothing is sent.

    The first importer that recognizes PATH reads it. The run then works with aisb score, audit, compare,
    report and view.

    \b
      aisb import results/qwen3-8b/samples_gsm8k_2026-11-20T10-00-00.jsonl
      aisb import outputs/default/20251120_101500 --as ceval_gen=ceval
      aisb compare latest 20261121_220301
    """  # noqa: D301 - \b is for click
    from aisb_cli.importers.read import Importers
    from aisb_engine import write_imported

    plugins = shared.load_plugins(context)
    importers = Importers(plugins, complain=lambda line: click.echo(line, err=True))
    found = [one for path in paths for one in importers.read(path)]
    if model:
        found = [replace(one, model=model) for one in found]
    if config_file is None and Path("aisb.toml").is_file():
        config_file = Path("aisb.toml")
    folder, written = write_imported(
        found,
        plugins,
        work_dir,
        choice_evaluators=LIKELIHOOD_EVALUATORS,
        graded_by=_graded_by(names),
        file=config_file,
    )
    for line in _summary_lines(written):
        click.echo(line, err=True)
    if any(one.performance for one in written):
        faults = _show_performance(folder, plugins)
        click.echo(f"imported into {folder}", err=True)
        return int(importers.faults > 0 or faults)
    if no_score or not any(one.graded_by for one in written):
        click.echo(f"imported into {folder}", err=True)
        return int(importers.faults > 0)
    from aisb import AisbError
    from aisb_cli.display import choose_display
    from aisb_cli.ending import show_ending
    from aisb_cli.terminal import held_output
    from aisb_engine import RunCommand, RunInput, execute_run

    command = RunCommand(RunInput(), mode="eval", reuse=folder.timestamp, work_dir=work_dir)
    try:
        with held_output():
            ended = execute_run(command, plugins, choose_display(debug=False))
            code = show_ending(ended, command)
    except AisbError:
        score_command = folder.command("aisb score")
        click.echo(f"the answers are imported; score them with: {score_command}", err=True)
        raise
    return code or int(importers.faults > 0)


def _show_performance(folder: RunFolder, plugins: Plugins) -> bool:
    """Report on the imported performance; return whether a reporter failed."""
    from aisb_engine import PluginFaults, report_run, reporter_names, reporter_table

    faults = PluginFaults(folder)
    table = reporter_table(folder, reporter_names("performance", plugins), ())
    report_run(table, folder, plugins, faults)
    for line in faults.lines():
        click.echo(line, err=True)
    return bool(faults.faults)


def _graded_by(names: Iterable[str]) -> dict[str, str]:
    """Return our tasks by names of the tool's tasks; a name alone is for all of them."""
    from aisb import UsageError

    choices: dict[str, str] = {}
    for text in names:
        tool_name, equals, task = text.partition("=")
        if equals and not task:
            raise UsageError(f"--as {text} names no task: write --as {tool_name}=TASK, or --as TASK for all")
        choices[tool_name if equals else "*"] = task if equals else tool_name
    return choices


def _summary_lines(written: Iterable[ImportedPart]) -> Iterable[str]:
    for one in written:
        tool_scores = ", ".join(f"{name} {value:.2f}" for name, value in one.scores.items())
        what = "requests" if one.performance else "rows"
        yield (
            f"{one.task} · {one.model}: {one.rows} {what} of {one.tool} from {one.source}"
            + (f"; it scored {tool_scores}" if tool_scores else "")
        )
        if one.why_ungraded:
            yield f"  they are kept, but not graded: {one.why_ungraded}"
        elif one.graded_by is None and not one.performance:
            yield (
                f"  no task of this name says how {one.task} is graded: import it again with --as TASK "
                "(aisb tasks list)"
            )
