"""`aisb sweep`: measure a grid of loads and settings, and report all points together."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisb_engine import command_options as shared

if TYPE_CHECKING:
    from aisb import CommandContext
    from aisb_analysis._sweep.record import SweepRecord
    from aisb_analysis._sweep.running import SweepRunner
    from aisb_engine import Plugins, RunSpec

INTERRUPTED = 130


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    options_metavar="[OPTIONS] [OPTIONS OF AISB RUN]",
)
@click.option(
    "--grid",
    "grids",
    multiple=True,
    metavar="PATH=V,V…",
    help="A key, as --set takes it, and its values (repeatable).",
)
@click.option(
    "-r",
    "--reuse",
    is_flag=False,
    flag_value="latest",
    metavar="[DIR]",
    help="Resume the sweep in DIR, or the latest one. Finished points are not measured again.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1, 100),
    metavar="N",
    help="Measure the grid N times, and report medians and their spread [default: 1]. "
    "With --reuse: add repeats up to N.",
)
@click.option("--dry-run", is_flag=True, help="Print the points; send nothing.")
@click.option(
    "--reporters",
    multiple=True,
    metavar="NAME,…",
    help="Reporters of all points [default: all that support several runs].",
)
@shared.work_dir_option("Work folder, which will contain the folder of the sweep.", Path("outputs/sweeps"))
@click.pass_context
def sweep(context: click.Context, /, **flags: Any) -> int:
    """Measure every combination of the values of a grid, and report all points together.

    Each point is a performance run. All options of `aisb run` can follow. Without --duration or
    --num-prompts a point lasts 60 s, and without --datasets prompts are synthetic.

    \b
      aisb sweep --url URL --grid load.concurrency=1,4,16,64
      aisb sweep --models old=URL new=URL --grid load.request_rate=2,4,8,16 \\
          --grid task.dataset.input=512,4096 --duration 120
      aisb sweep --url URL --grid load.request_rate=2,4,8 --repeats 3
      aisb sweep --reuse
    """  # noqa: D301 - \b is for click
    from aisb_engine import RunFolder

    record, words = _record(flags, context.args)
    record.check_runs()
    runner = _runner(context.obj, record, words, dry_run=flags["dry_run"])
    specs = runner.check()
    if flags["dry_run"]:
        _print_plan(runner, specs)
        return 0
    _print_summary(runner, specs)
    record.folder.mkdir(parents=True, exist_ok=True)
    with RunFolder(record.folder).lock():
        try:
            record.write()
            code = runner.run()
        except KeyboardInterrupt:  # between two runs, or during a report
            code = INTERRUPTED
        finally:
            failed = _report(record, flags["reporters"], runner.plugins) if record.done else 0
            _say_how_to_resume(record)
    return code or failed


def _say_how_to_resume(record: SweepRecord) -> None:
    """Print the command that resumes an unfinished sweep; remove a sweep without requests."""
    left = len(record.points) - len(record.done)
    if not record.done and not any(record.runs.glob("*")):
        shutil.rmtree(record.folder)
    elif left:
        resume = shlex.join(["aisb", "sweep", "--reuse", str(record.folder)])
        click.echo(f"{left} of {len(record.points)} points remain; resume with: {resume}", err=True)


def _record(flags: dict[str, Any], words: Sequence[str]) -> tuple[SweepRecord, list[str]]:
    """Return the record of a new or resumed sweep, and its options of `aisb run`."""
    from aisb import UsageError
    from aisb_analysis._sweep.grid import check_options, parse_grids
    from aisb_analysis._sweep.record import SweepRecord, find_folder, new_folder

    grid = parse_grids(flags["grids"])
    check_options(words, grid)
    if flags["reuse"]:
        record = SweepRecord.read(find_folder(flags["work_dir"], flags["reuse"]))
        if grid or words:
            record.check_same(words, grid)
        record.repeat(flags["repeats"] or record.repeats)
        return record, list(words) or record.words
    if not grid:
        raise UsageError("a sweep needs a grid, as in --grid load.concurrency=1,4,16,64")
    record = SweepRecord.begin(new_folder(flags["work_dir"]), words, grid, flags["repeats"] or 1)
    return record, list(words)


def _runner(
    context: CommandContext, record: SweepRecord, words: Sequence[str], *, dry_run: bool
) -> SweepRunner:
    """Return the runner of a sweep. Services that are given by their address are probed, as by `aisb run`.

    Raises:
        ServiceError: a service does not answer, or its kind is unknown.
        UsageError: the options are not those of a performance run.
    """
    from aisb import UsageError
    from aisb_analysis._sweep.running import SweepRunner, missing_task, with_default_model

    plugins = context.load_plugins()
    command = context.run_command(words)
    if command.mode not in {"all", "perf"}:
        raise UsageError(f"--mode {command.mode}: the points of a sweep are performance runs; omit --mode")
    command = context.run_command(
        [*words, *missing_task(command)],
        plugins,
        dry=dry_run and not record.done,  # finished points are compared with what the service really is
    )
    return SweepRunner(record, with_default_model(command), plugins, context.display)


def _print_plan(runner: SweepRunner, specs: Sequence[RunSpec]) -> None:
    from tabulate import tabulate

    keys = list(runner.record.grid)
    repeated = runner.record.repeats > 1
    rows = [
        (
            number,
            *((point.repeat,) if repeated else ()),
            *(point.settings[key] for key in keys),
            ", ".join(_lengths(spec)),
            point.run or "",
        )
        for number, (point, spec) in enumerate(zip(runner.record.points, specs, strict=True), 1)
    ]
    heads = ("point", *(("repeat",) if repeated else ()), *keys, "length", "run")
    click.echo(tabulate(rows, headers=heads, disable_numparse=True))


def _lengths(spec: RunSpec) -> list[str]:
    """Return the number of requests, or the duration, of each subtask of a point."""
    ends = (
        ("num_prompts", "{} requests"), ("duration", "{:g} s"), ("pressure_time", "{:g} s"),
    )  # fmt: skip
    return [
        f"{pair.task} · {pair.model}: "
        + ", ".join(form.format(getattr(pair.load, key)) for key, form in ends if getattr(pair.load, key))
        for pair in spec.subtasks
    ]


def _print_summary(runner: SweepRunner, specs: Sequence[RunSpec]) -> None:
    """Print the number of remaining points, and their total time if each has a duration."""
    record = runner.record
    left = [spec for point, spec in zip(record.points, specs, strict=True) if point.run is None]
    loads = [pair.load for spec in left for pair in spec.subtasks]
    lengths = [load.duration or load.pressure_time or 0.0 for load in loads if not load.num_prompts]
    time = (
        f", at least {sum(lengths) / 60:.1f} min" if all(lengths) and len(lengths) == len(loads) > 0 else ""
    )
    done = f"{len(record.done)} of {len(record.points)} points are finished; " if record.done else ""
    click.echo(f"{done}{len(left)} points to measure{time}; folder: {record.folder}", err=True)


def _report(record: SweepRecord, reporters: Sequence[str], plugins: Plugins) -> int:
    """Report the finished points; return 1 if a reporter failed, else 0."""
    from aisb_analysis._together import show_together

    runs = [record.runs / str(point.run) for point in record.done]
    return show_together(runs, record.folder, plugins, reporters=reporters)
