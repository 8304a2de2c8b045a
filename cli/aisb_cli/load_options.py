"""The options of `aisb run` that set the load."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

LOAD_FLAGS = (
    "concurrency", "request_rate", "arrival", "burstiness", "ramp_up", "use_timestamp", "pressure",
    "pressure_time", "duration", "num_prompts", "shuffle", "num_warmups", "workers", "session_header",
)  # fmt: skip
PRESSURE_SECONDS = 15.0

_OPTIONS = (
    click.option(
        "--concurrency",
        type=click.IntRange(1, 64_000),
        metavar="N",
        help="Maximum requests in flight, per subtask.",
    ),
    click.option(
        "--request-rate",
        type=float,
        metavar="R",
        help="Launch R requests/s without waiting for replies [default: 0, no pacing].",
    ),
    click.option(
        "--arrival",
        type=click.Choice(["constant", "poisson", "gamma"]),
        help="Distribution of launch times at that rate [default: poisson].",
    ),
    click.option(
        "--burstiness",
        type=float,
        metavar="B",
        help="Shape of gamma arrivals: 0 even, below 1 bursty, 1 Poisson, above 1 smoother.",
    ),
    click.option(
        "--ramp-up", metavar="SHAPE:A:B", help="Raise the rate from A to B: linear:A:B, exponential:A:B."
    ),
    click.option("--use-timestamp", is_flag=True, help="Launch at the times of a trace."),
    click.option("--pressure", is_flag=True, help="Add clients step by step, and repeat the rows."),
    click.option(
        "--pressure-time",
        type=click.FloatRange(1, 86_400),
        metavar="S",
        help="Seconds of pressure [default with --pressure: 15].",
    ),
    click.option(
        "--duration",
        type=click.FloatRange(0, 1_000_000, min_open=True),
        metavar="S",
        help="Repeat rows for S seconds, or until --num-prompts are sent.",
    ),
    click.option(
        "--session-header", metavar="NAME", help="HTTP header that carries the session of each turn."
    ),
    click.option(
        "--workers", type=click.IntRange(min=0), metavar="N", help="Sending processes; 0: automatic."
    ),
    click.option(
        "--num-prompts",
        type=click.IntRange(min=1),
        metavar="N",
        help="Send N samples per task, or per group if it has groups; with perf modes, N in total.",
    ),
    click.option(
        "--shuffle", type=int, metavar="SEED", help="Use samples in random order; a larger N extends a run."
    ),
    click.option(
        "--num-warmups",
        type=click.IntRange(min=0),
        metavar="N",
        help="Requests sent before the load, which are not measured.",
    ),
)


def load_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add these options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def load_table(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `[load]` table for these flags; flags that were not passed set nothing."""
    values = {name: flags[name] for name in LOAD_FLAGS if name != "pressure"}
    table = {name: value for name, value in values.items() if value is not None and value is not False}
    if flags["pressure"]:
        table.setdefault("pressure_time", PRESSURE_SECONDS)
    return table
