"""`aisb run --under-load N`: the same samples with few and with N requests in flight, as two subtasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from aisb import FinishedRun
    from aisb_engine import RunCommand

ALONE = 4
"""Requests in flight without --concurrency."""

under_load_option = click.option(
    "--under-load",
    type=click.IntRange(2, 64_000),
    metavar="N",
    help=f"Run twice, with --concurrency [here: {ALONE}] and with N in flight; compare the answers.",
)


def with_load(command: RunCommand, in_flight: int, user: Mapping[str, Any]) -> RunCommand:
    """Return a command that runs each model twice; `user` is the content of its `aisb.toml`.

    Raises:
        UsageError: the run has no answers to compare, is paced, or both numbers are the same.
    """
    from aisb_analysis import loaded_name
    from aisb_engine import split_names

    run_input = command.run_input
    alone = run_input.load.get("concurrency") or ALONE
    _check(command, alone, in_flight)
    own = user.get("models", {})
    names = split_names(run_input.models) or list(user.get("run", {}).get("models", ()))
    if run_input.run.get("combinations"):
        raise click.UsageError(
            "--under-load compares one kind of requests, and these tasks need two APIs of the service: run "
            "tasks that send texts or compare likelihoods separately"
        )
    if not names:
        raise click.UsageError("--under-load runs each model twice: name the models with --models")
    again = {loaded_name(name, in_flight): _table(own.get(name), name, in_flight) for name in names}
    tables = {
        **run_input.tables,
        "models": {**run_input.tables.get("models", {}), **again},
        "load": {**run_input.tables.get("load", {}), "concurrency": alone},
    }
    # A flag would override the number in a model's own table.
    load = {key: value for key, value in run_input.load.items() if key != "concurrency"}
    models = [name for pair in zip(names, again, strict=True) for name in pair]
    return replace(command, run_input=replace(run_input, models=models, tables=tables, load=load))


def _check(command: RunCommand, alone: int, in_flight: int) -> None:
    try:  # report it before hours of requests
        import_module("scipy")
    except ImportError as error:
        raise click.UsageError(
            f"--under-load needs scipy, which cannot be imported: {error}\n"
            "  install it, in the folder of the repository: pip install './plugins/tools/analysis[stats]'"
        ) from error
    if command.mode not in ("all", "infer"):
        raise click.UsageError(
            f"--under-load compares the answers of an accuracy run, and --mode {command.mode} is not one"
        )
    if command.reuse:
        raise click.UsageError(
            "--under-load is for a new run; to resume a run that was started with it, use only --reuse"
        )
    if alone >= in_flight:
        raise click.UsageError(
            f"--under-load {in_flight} must be more than the {alone} requests in flight of --concurrency"
        )
    paced = [key for key in ("request_rate", "ramp_up", "use_timestamp") if command.run_input.load.get(key)]
    if paced:
        flag = f"--{paced[0].replace('_', '-')}"
        raise click.UsageError(f"--under-load sets the number in flight; omit {flag}")
    for text in command.run_input.sets:
        if text.replace(" ", "").startswith("load.concurrency="):
            raise click.UsageError(
                f"--under-load sets two numbers in flight; write --concurrency, not --set {text}"
            )


def _table(own: Mapping[str, Any] | None, name: str, in_flight: int) -> dict[str, Any]:
    """Return the table of a model that is asked again: the user's own, or one that is based on its file."""
    table = dict(own or {})
    if "abbr" in table:
        from aisb_analysis import loaded_name

        table["abbr"] = loaded_name(str(table["abbr"]), in_flight)
    if "base" not in table and "backend" not in table:
        table["base"] = name
    table.pop("batch_size", None)
    table["load"] = {**table.get("load", {}), "concurrency": in_flight}
    return table


def show_under_load(run: FinishedRun) -> None:
    """Print what load does to the answers, where the run asked models alone and under load."""
    subtasks = run.configuration.get("subtasks", ())
    if not any(one["model"].endswith(f"-at-{one.get('load', {}).get('concurrency')}") for one in subtasks):
        return  # most runs need not import the analysis
    from aisb import UsageError
    from aisb_analysis import answers_under_load

    try:
        found = answers_under_load(run)
    except UsageError as error:  # the run itself has finished
        click.echo(f"not compared: {error}", err=True)
        return
    for one in found:
        click.echo(f"\nunder load: {one.task} · {one.model}")
        for line in one.lines():
            click.echo(f"  {line}")
