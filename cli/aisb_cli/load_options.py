"""The flags of `aisb run` that say how requests are sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

LOAD_FLAGS = (
    "concurrency", "request_rate", "arrival", "burstiness", "ramp_up", "use_timestamp", "pressure",
    "pressure_time", "duration", "num_prompts", "shuffle", "num_warmups", "workers",
)  # fmt: skip
PRESSURE_SECONDS = 15.0

_OPTIONS = (
    click.option(
        "--concurrency", type=click.IntRange(1, 64_000), metavar="N", help="Requests in flight, per subtask."
    ),
    click.option(
        "--request-rate",
        type=float,
        metavar="R",
        help="Launch R requests a second, whatever came of those before [default: 0, no pacing].",
    ),
    click.option(
        "--arrival",
        type=click.Choice(["constant", "poisson", "gamma"]),
        help="How launches are spread at that rate [default: poisson].",
    ),
    click.option(
        "--burstiness",
        type=float,
        metavar="B",
        help="Shape of gamma arrivals: 0 even, below 1 bursty, 1 Poisson, above it smoother.",
    ),
    click.option(
        "--ramp-up", metavar="SHAPE:A:B", help="Grow the rate from A to B: linear:A:B, exponential:A:B."
    ),
    click.option("--use-timestamp", is_flag=True, help="Launch at a trace's own times."),
    click.option("--pressure", is_flag=True, help="Add clients step by step, and ask rows again and again."),
    click.option(
        "--pressure-time",
        type=click.FloatRange(1, 86_400),
        metavar="S",
        help="For how many seconds [default with --pressure: 15].",
    ),
    click.option(
        "--duration",
        type=click.FloatRange(0, 1_000_000, min_open=True),
        metavar="S",
        help="Begin nothing after S seconds; rows repeat, and --num-prompts may end it before.",
    ),
    click.option(
        "--workers", type=click.IntRange(min=0), metavar="N", help="Processes that send; 0: chosen."
    ),
    click.option(
        "--num-prompts",
        type=click.IntRange(min=1),
        metavar="N",
        help="Only N samples of each task; of a grouped task N of each group, in perf N in all.",
    ),
    click.option(
        "--shuffle", type=int, metavar="SEED", help="Ask samples in a drawn order; a larger N extends a run."
    ),
    click.option(
        "--num-warmups", type=click.IntRange(min=0), metavar="N", help="Requests sent first and not counted."
    ),
)


def load_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command these flags."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def load_table(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `[load]` table that the flags are short for; a flag that was not given says nothing."""
    given = {name: flags[name] for name in LOAD_FLAGS if name != "pressure"}
    table = {name: value for name, value in given.items() if value is not None and value is not False}
    if flags["pressure"]:
        table.setdefault("pressure_time", PRESSURE_SECONDS)
    return table
