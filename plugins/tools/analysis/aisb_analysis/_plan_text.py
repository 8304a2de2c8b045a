"""`aisb compare --plan`: print the samples that differences need, and what a budget can detect."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from aisb_analysis._planning import CORRELATION, Need, Pilot, least_need, pilot_of, within_budget
from aisb_analysis._times import read_seconds

if TYPE_CHECKING:
    from aisb_analysis._determinism import Determinism
    from aisb_engine import OpenedRun, Plugins, Subtask

DIFFERENCES = (0.5, 1.0, 2.0, 5.0)
"""In points."""


def show_plan(flags: dict[str, Any], plugins: Plugins, noise: Determinism | None) -> int:
    """Print a plan from a pilot of one or two sides, task by task.

    Raises:
        UsageError: more than two runs are named, a side has no grades, or scipy is not installed.
    """
    from aisb_analysis._paired import scipy_stats

    scipy_stats()
    budget = read_seconds("--budget", flags["budget"]) if flags["budget"] else None
    differences = flags["differences"] or DIFFERENCES
    pilots = asyncio.run(_pilots(flags, plugins, noise.flip_share if noise else None))
    if flags["as_json"]:
        click.echo(json.dumps([_table(pilot, differences, budget) for pilot in pilots], indent=2))
        return 0
    for pilot in pilots:
        for line in _lines(pilot, differences, budget):
            click.echo(line)
    return 0


async def _pilots(flags: dict[str, Any], plugins: Plugins, noise: float | None) -> list[Pilot]:
    from aisb import UsageError
    from aisb_analysis._compare import pair_up
    from aisb_analysis._compare_sides import sweep_folder
    from aisb_engine import open_run

    names = flags["runs"] or ("latest",)
    if len(names) > 2 or flags["baseline"]:
        raise UsageError("--plan takes a pilot of one run, or of two: aisb compare --plan RUN_A [RUN_B]")
    if sweeps := [folder for name in names if (folder := sweep_folder(name))]:
        raise UsageError(
            f"{sweeps[0]} is a sweep, whose runs have no scores: --plan says how many samples a difference "
            "of scores needs\n  to measure speeds more exactly, add repeats to the sweep: "
            f"{shlex.join(['aisb', 'sweep', '--reuse', str(sweeps[0]), '--repeats', 'N'])}"
        )
    runs = [open_run(flags["work_dir"], name, plugins) for name in names]
    a, b = runs[0], runs[-1]
    models = [name for name in (flags["model_a"], flags["model_b"]) if name]
    pairs: Sequence[tuple[Subtask, Subtask | None]]
    if len(runs) == 1 and len(models or a.models) == 1:
        pairs = [(one, None) for one in a.subtasks(models, flags["tasks"])]
    else:
        pairs, _ = pair_up(a, b, tasks=flags["tasks"], model_a=flags["model_a"], model_b=flags["model_b"])
    return [await _pilot((a, b), pair, plugins, noise) for pair in pairs]


async def _pilot(
    runs: tuple[OpenedRun, OpenedRun],
    pair: tuple[Subtask, Subtask | None],
    plugins: Plugins,
    noise: float | None,
) -> Pilot:
    from aisb_engine import read_grades

    subtasks = [subtask for subtask in pair if subtask is not None]
    grades = [await read_grades(run, one, plugins) for run, one in zip(runs, subtasks, strict=False)]
    times = [_seconds(run, one, plugins) for run, one in zip(runs, subtasks, strict=False)]
    known = [time for time in times if time is not None]
    is_part = any(one.load.num_prompts or one.load.rows for one in subtasks)
    return pilot_of(
        subtasks[0].task,
        grades[0],
        grades[1] if len(grades) > 1 else None,
        seconds=2 * sum(known) / len(known) if len(known) == len(times) else None,
        size=None if is_part else len(grades[0]),
        noise=noise,
    )


def _seconds(run: OpenedRun, subtask: Subtask, plugins: Plugins) -> float | None:
    """Return the duration of the run divided by its requests, in seconds."""
    from aisb_engine import open_finished_run

    measured = open_finished_run(run.folder.path, plugins=plugins).performance
    found = measured.get((subtask.model, subtask.task))
    rate = found.stages[0].totals.request_rate if found else None
    return 1 / rate if rate else None


def _lines(pilot: Pilot, differences: Sequence[float], budget: float | None) -> Iterator[str]:
    from tabulate import tabulate

    yield f"\n{pilot.task}: a pilot of {pilot.samples:,} samples"
    if pilot.is_assumed:
        yield (
            f"  only one side: the plan assumes another model with the same score and a correlation of "
            f"{CORRELATION}; two runs, or one run of two models, give a better plan"
        )
    if pilot.assumed_share is not None:
        what, verb = (
            ("every answer has the same grade", "have another one")
            if pilot.is_assumed
            else ("no answer changed", "change")
        )
        yield (
            f"  {what} in the pilot: the plan assumes that {100 * pilot.assumed_share:.1f} % {verb}, "
            "the largest share that the pilot allows (95 % confidence)"
        )
    if pilot.within is None:
        yield "  the effect of repeats is not known without params.num_return_sequences or --noise"
    yield tabulate(
        [_row(points, least_need(pilot, points / 100)) for points in differences],
        headers=("difference", "samples", "repeats", "requests", "minutes"),
        disable_numparse=True,
        colalign=("right",) * 5,
    )
    yield "in points, at 80 % power; requests and minutes are for both sides, at the load of the pilot"
    if budget is not None:
        yield _budget_line(pilot, budget)


def _row(points: float, need: Need) -> tuple[str, ...]:
    minutes = "–" if need.minutes is None else f"{need.minutes:,.1f}"
    samples = f"{need.samples:,}" if need.fits else f"{need.samples:,} (the task has fewer)"
    return (f"{points:g}", samples, f"{need.repeats}", f"{need.requests:,}", minutes)


def _budget_line(pilot: Pilot, budget: float) -> str:
    plan = within_budget(pilot, budget)
    if plan is None:
        return f"in {budget / 60:g} minutes: unknown, since the pilot has no times, or too few samples fit"
    samples, repeats, difference = plan
    often = "once" if repeats == 1 else f"{repeats} times"
    return (
        f"in {budget / 60:g} minutes: {samples:,} samples {often} on both sides "
        f"show {100 * difference:.1f} points"
    )


def _table(pilot: Pilot, differences: Sequence[float], budget: float | None) -> dict[str, Any]:
    needs = [least_need(pilot, points / 100) for points in differences]
    table = {**asdict(pilot), "needs": [asdict(need) for need in needs]}
    if budget is not None:
        found = within_budget(pilot, budget)
        names = ("samples", "repeats", "difference")
        table["budget"] = {"seconds": budget, **(dict(zip(names, found, strict=True)) if found else {})}
    return table
