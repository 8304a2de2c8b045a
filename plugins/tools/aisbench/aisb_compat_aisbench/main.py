"""`ais_bench`: AISBench's command line, with AISBench's defaults."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import click

from aisb_cli.main import main as run_main
from aisb_cli.run_command import MODES, Run, run
from aisb_cli.run_flags import TABLES

MODES_THERE = (*MODES, "judge", "infer_judge")
REPLACED = ("mode", "config_dir", "summarizer", "name")
"""Parameters of `aisb run` that this command replaces."""


def main(arguments: list[str] | None = None) -> Any:
    """Run `ais_bench` with these arguments, or those of the process; exit with its code."""
    run_main(arguments, command=ais_bench, name="ais_bench")


def _answered(flag: str, why: str, **more: Any) -> Callable[[Any], Any]:
    """Accept a flag without effect, and print the reason in one line."""

    def say(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        del parameter
        if value is not None and not context.resilient_parsing:
            click.echo(f"{flag.partition('/')[0]}: {why}", err=True)

    return click.option(flag, expose_value=False, callback=say, hidden=True, default=None, **more)


@click.command(
    "ais_bench", cls=Run, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.argument("config", required=False, type=click.Path(path_type=Path), metavar="[CONFIG.py]")
@click.option(
    "-m",
    "--mode",
    type=click.Choice(MODES_THERE),
    default="all",
    metavar="MODE",
    help=f"{', '.join(MODES_THERE)} [default: all].",
)
@click.option(
    "--config-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder searched first for config files: DIR/models and DIR/datasets [default: ./configs].",
)
@click.option(
    "--summarizer", metavar="NAME", help="stable_stage shows the steady stage of a performance run."
)
@click.option(
    "--dump-extract-rate", is_flag=True, help="Write to results/ the share of replies with an answer."
)
@_answered("--response-anomaly/--no-response-anomaly", "aisb does not search replies for anomalies")
@_answered(
    "--response-anomaly-payload-retention", "aisb does not search replies for anomalies", metavar="WHICH"
)
@click.pass_context
def ais_bench(context: click.Context, /, **flags: Any) -> int:
    """Run a command line or a config file of AISBench, unchanged.

    \b
    Names of models and data sets, with .py or without:
      ais_bench --models vllm_api_general_chat --datasets gsm8k_gen_4_shot_cot_str
    A config file, which is parsed and not run:
      ais_bench CONFIG.py
    """  # noqa: D301 - \b is for click
    from aisb_compat_aisbench._translate import translate

    plugins = context.obj.load_plugins(flags["block"], quiet=True)
    tables, kept = translate(context, flags, plugins)
    context.meta[TABLES] = tables
    files = kept.pop("config_files")
    if kept["search"]:
        from aisb_compat_aisbench._searching import print_places

        return print_places(context, kept, files)
    ended: int = context.invoke(cast("Callable[..., int]", run.callback), **kept)
    return ended


def _with_flags_of_run() -> None:
    """Add the other flags of `aisb run` to the command: those of a service, and `--set`."""
    own = {parameter.name for parameter in ais_bench.params}
    ais_bench.params += [
        parameter for parameter in run.params if parameter.name not in own and parameter.name not in REPLACED
    ]


_with_flags_of_run()

if __name__ == "__main__":
    main()
