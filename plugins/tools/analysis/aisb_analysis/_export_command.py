"""`aisb export`: the tables of a run as Parquet, CSV or JSON lines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisb_engine import command_options as shared

if TYPE_CHECKING:
    from aisb_analysis._export_files import ExportFormat
    from aisb_analysis._export_tables import TableName

FORMATS: tuple[ExportFormat, ...] = ("parquet", "csv", "jsonl")


@click.command()
@shared.which_run
@click.option(
    "--format", "form", type=click.Choice(FORMATS), help="Format [default: the ending of FILE, else csv]."
)
@click.option(
    "--table",
    type=click.Choice(("samples", "requests", "results")),
    help="Table [default: samples; of a performance run: requests].",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="File to write, - for stdout [default: RUN_TABLE.FORMAT].",
)
@click.option("--prompts", is_flag=True, help="Add the prompts to the table samples.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@shared.only_models
@shared.only_tasks
@shared.work_dir
@click.pass_context
def export(context: click.Context, /, **flags: Any) -> int:
    """Write a table of a run for pandas, Polars, DuckDB or a spreadsheet.

    samples has a row for each answer and evaluator, requests a row for each request with its times, and
    results a row for each metric and measurement. Numbers are numbers, with the unit in the column's name;
    what is unknown is null. RUN is a timestamp, a path, a tag, or latest. Parquet needs pyarrow.

    \b
      aisb export latest --format parquet
      aisb export 20261121_220301 --table results -o results.csv
      aisb export latest --task gsm8k --prompts -o gsm8k.jsonl
    """  # noqa: D301 - \b is for click
    from aisb import UsageError
    from aisb_analysis._export_files import write_table, write_table_file
    from aisb_analysis._export_tables import export_table
    from aisb_engine import open_finished_run, open_run

    plugins = context.obj.load_plugins()
    opened = open_run(flags["work_dir"], flags["which"], plugins)
    models, tasks, output = flags["models"], flags["tasks"], flags["output"]
    opened.subtasks(models, tasks)  # for the error on an unknown name
    run = open_finished_run(opened.folder.path, plugins=plugins)
    table: TableName = flags["table"] or ("requests" if run.is_performance else "samples")
    if flags["prompts"] and table != "samples":
        raise UsageError(f"--prompts is for the table samples, and this is {table}: add --table samples")
    form: ExportFormat = flags["form"] or _format_of(output)
    content = export_table(run, table, models=models, tasks=tasks, prompts=flags["prompts"])
    if output == Path("-"):
        write_table(content, sys.stdout.buffer, form)
        return 0
    target = output or Path(f"{run.timestamp}_{table}.{form}")
    if target.exists() and not flags["force"]:
        raise UsageError(f"{target} exists already; --force replaces it, -o names another file")
    count = write_table_file(content, target, form)
    click.echo(f"{target}: {count} row{'' if count == 1 else 's'}, {len(content.columns)} columns")
    return 0


def _format_of(output: Path | None) -> ExportFormat:
    """Return the format that a file's name ends with; CSV by default."""
    ending = output.suffix.removeprefix(".") if output else ""
    return next((form for form in FORMATS if form == ending), "csv")
