"""`aisb report`: show a run that has ended again, in whatever form; nothing is asked, and nothing graded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisb_cli import shared_options as shared
from aisb_cli.completing import complete_runs
from aisb_cli.gates import gate_options, read_gates, show_checks

if TYPE_CHECKING:
    from aisb_engine import Plugins


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN]…", shell_complete=complete_runs)
@click.option(
    "--reporters",
    multiple=True,
    metavar="NAME,…",
    help="How to show it [default: html, or text where that is not installed].",
)
@click.option(
    "--set", "sets", multiple=True, metavar="NAME.OPTION=VALUE", help="An option of a reporter (repeatable)."
)
@gate_options
@shared.work_dir()
@click.pass_context
def report(
    context: click.Context,
    /,
    runs: tuple[str, ...],
    reporters: tuple[str, ...],
    sets: tuple[str, ...],
    work_dir: Path,
    **flags: Any,
) -> int:
    """Show a run that has ended: one page of it, unless other reporters are named.

    RUN is a timestamp, a path, or `latest`. Further performance runs, as of other concurrencies, stand beside
    the first one in throughput and latency.

    \b
      aisb report latest
      aisb report 20261121_220301 --reporters markdown,junit --set junit.least=70
      aisb report RUN_OF_8 RUN_OF_16 RUN_OF_32
      aisb report latest --reporters text --fail-under gsm8k=75 --junit checks.xml
    """  # noqa: D301 - \b is for click
    from aisb import UsageError
    from aisb_engine import PluginFaults, RunFolder, reporter_table, split_names
    from aisb_engine import report_run as shown

    gates = read_gates(flags)
    plugins = shared.load_plugins(context)
    first, *beside = [RunFolder.find(work_dir, name) for name in runs or ("latest",)]
    names = split_names(reporters) or _usual(plugins)
    if beside and "html" not in names:
        raise UsageError(
            f"only the page (--reporters html) can show {len(beside) + 1} runs at once, and this asks for "
            f"{', '.join(names)}: name one run, or html"
        )
    table = reporter_table(first, names, sets)
    if beside:
        table.reporter_options.setdefault("html", {})["beside"] = [str(run.path) for run in beside]
    faults = PluginFaults(first)
    finished, files = shown(table, first, plugins, faults)
    for line in (*files, *faults.lines()):
        click.echo(line, err=True)
    code = 1 if faults.faults else 0
    if not gates:
        return code
    checked = [finished, *(finished.open(run.path) for run in beside)]
    gates.check_names(task for run in checked for task in run.tasks)
    return show_checks(gates, checked, "aisb report", code)


def _usual(plugins: Plugins) -> list[str]:
    return ["html"] if "html" in plugins.names("reporter") else ["text"]
