"""`aisb report`: show one run that has ended, or several together; nothing is sent and nothing graded."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisb_cli import shared_options as shared
from aisb_cli.completing import complete_runs
from aisb_cli.gates import gate_options, read_gates, show_checks

if TYPE_CHECKING:
    from aisb import FinishedRun
    from aisb_engine import PluginFaults, Plugins, RunFolder


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN]…", shell_complete=complete_runs)
@click.option(
    "--reporters",
    multiple=True,
    metavar="NAME,…",
    help="Reporters to use [default: html, or text if html is not installed].",
)
@click.option(
    "--set", "sets", multiple=True, metavar="NAME.OPTION=VALUE", help="An option of a reporter (repeatable)."
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder for a report of several runs [default: reports/TIME in the work folder].",
)
@gate_options
@shared.work_dir()
@click.pass_context
def report(context: click.Context, /, **flags: Any) -> int:
    """Show a finished run as one page, or with the reporters that you name.

    RUN is a timestamp, a path, a tag, or `latest`. Several performance runs are shown together, in a new
    folder: a page of throughput against latency, and the table as text, CSV, JSON and Markdown.

    \b
      aisb report latest
      aisb report 20261121_220301 --reporters markdown,junit --set junit.least=70
      aisb report RUN_OF_8 RUN_OF_16 RUN_OF_32
      aisb report latest --reporters text --fail-under gsm8k=75 --junit checks.xml
    """  # noqa: D301 - \b is for click
    from aisb import UsageError
    from aisb_engine import RunFolder, split_names

    gates = read_gates(flags)
    plugins = shared.load_plugins(context)
    work_dir, out = flags["work_dir"], flags["out"]
    found = [RunFolder.find(work_dir, name) for name in flags["runs"] or ("latest",)]
    folders = list({folder.path.resolve(): folder for folder in found}.values())
    names = split_names(flags["reporters"])
    if len(folders) > 1:
        into = out or _new_folder(work_dir / "reports")
        runs, code = _report_several(folders, names, flags["sets"], into, plugins)
    elif out is not None:
        raise UsageError(
            "--out is for a report of several runs; the report of one run is in its folder, in summary/"
        )
    else:
        runs, code = _report_one(folders[0], names, flags["sets"], plugins)
    if not gates:
        return code
    gates.check_names(task for run in runs for task in run.tasks)
    return show_checks(gates, runs, "aisb report", code)


def _report_one(
    folder: RunFolder, names: list[str], sets: tuple[str, ...], plugins: Plugins
) -> tuple[list[FinishedRun], int]:
    """Show one run; return it, and the exit code."""
    from aisb_engine import PluginFaults, report_run, reporter_table

    faults = PluginFaults(folder)
    default = ["html"] if "html" in plugins.names("reporter") else ["text"]
    finished, files = report_run(reporter_table(folder, names or default, sets), folder, plugins, faults)
    _print_files(files, faults)
    return [finished], 1 if faults.faults else 0


def _report_several(
    folders: list[RunFolder], names: list[str], sets: tuple[str, ...], into: Path, plugins: Plugins
) -> tuple[list[FinishedRun], int]:
    """Show several runs together in the folder `into`; return them, and the exit code."""
    from aisb_engine import PluginFaults, report_several, reporter_names, reporter_table

    faults = PluginFaults()
    table = reporter_table(None, names or reporter_names("several", plugins), sets)
    runs, files = report_several(table, folders, into, plugins, faults)
    _print_files(files, faults)
    return runs, 1 if faults.faults else 0


def _print_files(files: Iterable[Path], faults: PluginFaults) -> None:
    for line in (*files, *faults.lines()):
        click.echo(line, err=True)


def _new_folder(parent: Path) -> Path:
    """Return the path of a new folder named after the time; the second one in a second gets `_2`."""
    stamp = datetime.now().astimezone().strftime("%Y%m%d_%H%M%S")
    names = (stamp, *(f"{stamp}_{number}" for number in range(2, 1000)))
    return next(parent / name for name in names if not (parent / name).exists())
