"""`aisb run`: its options, its execution, and the checks of its result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisb_cli import shared_options as shared
from aisb_cli.aisbench_flags import aisbench_options, refuse_python
from aisb_cli.completing import complete_models, complete_runs, complete_tasks
from aisb_cli.ending import show_ending
from aisb_cli.gates import GATE_FLAGS, Gates, gate_options, read_gates, show_checks
from aisb_cli.grouped_help import Grouped, help_all
from aisb_cli.load_options import LOAD_FLAGS, load_options
from aisb_cli.own_data_options import OWN_DATA_FLAGS, own_data_options
from aisb_cli.run_flags import run_command
from aisb_cli.spread import SpreadOptions
from aisb_cli.sweep_line import sweep_line
from aisb_cli.terminal import held_output
from aisb_cli.under_load import show_under_load, under_load_option
from aisb_engine.command_options import allow_options, judge_options

if TYPE_CHECKING:
    from aisb_engine import Plugins, RunCommand

MODES = ("all", "infer", "eval", "viz", "perf", "perf_viz")


class Mode(click.ParamType[str]):
    """The stages of a run to execute."""

    name = "mode"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the mode; fail with the list of modes."""
        if value in MODES:
            return str(value)
        return self.fail(f"{value!r} is not one of {', '.join(MODES)}", param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return the placeholder of the mode in help texts, which list the modes."""
        del param, ctx
        return "MODE"


HEADINGS = {
    "Choose": ("models", "datasets", "mode", "search", "dry_run", "as_json", "config_file", "sets", "block"),
    "Your own data": OWN_DATA_FLAGS,
    "Model": ("url", "model_name", "name", "api_key_env", "max_out_len", "wait", "allow_download"),
    "Load": (*LOAD_FLAGS, "input_len", "output_len", "launcher", "max_num_workers", "under_load"),
    "Repeat": ("reuse", "max_failures", "stop_after_failures", "token_budget"),
    "Where": ("work_dir", "data_dir", "dump_eval_details", "no_predictions_json", "debug"),
    "Grade": ("judge", "judge_url", "allow_code_execution", "allow_uncontained"),
    "Show": (
        "reporters",
        "merge_ds",
        "dialect",
        "percentiles",
        "goodput",
        "tiers",
        "tables",
        "spec_decode",
        *GATE_FLAGS,
        "require_valid",
    ),
}


COMMON_OPTIONS = (
    "models", "datasets", "mode", "sets", "url", "max_out_len", "concurrency", "request_rate", "num_prompts",
    "reuse", "work_dir", "data_dir",
)  # fmt: skip
"""The options that `--help` explains. It only names the others; `--help-all` explains them."""


class Run(SpreadOptions, Grouped):
    """The `run` command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments. Refuse Python files and lists of values, naming the command for them."""
        takes_file = any(isinstance(parameter, click.Argument) for parameter in self.params)
        if not takes_file and args and not args[0].startswith("-") and not ctx.resilient_parsing:
            refuse_python(Path(args[0]))
        if line := sweep_line(args):
            ctx.fail(f"a run has one load and one length of prompts; a sweep measures several:\n  {line}")
        return super().parse_args(ctx, args)

    headings = HEADINGS
    usual = COMMON_OPTIONS
    others = "Flags of AISBench that do nothing here"


@click.command(cls=Run)
@click.option(
    "--models",
    multiple=True,
    metavar="NAME…",
    shell_complete=complete_models,
    help="Model files, backends, NAME=URL of a service, or FOLDER.",
)
@click.option(
    "--datasets",
    multiple=True,
    metavar="NAME…",
    shell_complete=complete_tasks,
    help="Tasks: NAME[:variant][:field=value+value], or a data file.",
)
@click.option("-m", "--mode", type=Mode(), default="all", help=f"{', '.join(MODES)} [default: all].")
@click.option("-s", "--search", is_flag=True, help="Print the file of each name; run nothing.")
@click.option("--dry-run", is_flag=True, help="Print the resolved plan; send nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: with --search or --dry-run.")
@shared.config_file("Your own models and tasks, or a run's configuration [default: ./aisb.toml].")
@shared.sets("Override any key, e.g. task.prompt.shots=0.")
@click.option("--block", multiple=True, metavar="PLUGIN", help="Do not load this plugin.")
@click.option("--url", metavar="URL", help="Address of a service. Its kind and model are detected.")
@shared.model_name
@click.option("--name", metavar="NAME", help="Name in tables and files [default: the served model's].")
@shared.api_key_env
@click.option("--allow-download", is_flag=True, help="Download a local model if its name is not a folder.")
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    metavar="S",
    help="Wait up to S seconds for a service that is still loading.",
)
@click.option(
    "--max-out-len", type=click.IntRange(min=1), metavar="N", help="Maximum number of tokens per answer."
)
@load_options
@click.option("--input-len", type=click.IntRange(min=1), metavar="N", help="Tokens in each generated prompt.")
@under_load_option
@click.option(
    "--output-len", type=click.IntRange(min=1), metavar="N", help="Tokens of the reply to a generated prompt."
)
@click.option("--launcher", metavar="NAME", help="Where workers run [default: local].")
@click.option(
    "--max-num-workers", type=click.IntRange(min=1), metavar="N", help="Parallel subtasks [default: 1]."
)
@click.option(
    "--max-failures",
    type=click.IntRange(min=0),
    metavar="N",
    help="Failed samples that still end with exit code 0 [default: 0].",
)
@click.option(
    "--stop-after-failures",
    metavar="N|P%",
    help="Stop the run after N failed requests, or P% of all [default: never].",
)
@click.option(
    "--token-budget",
    type=click.IntRange(min=1),
    metavar="N",
    help="Stop the run after N input and output tokens [default: never].",
)
@shared.work_dir("Parent of run folders.")
@shared.data_dir
@click.option(
    "-r",
    "--reuse",
    is_flag=False,
    flag_value="latest",
    metavar="[RUN]",
    shell_complete=complete_runs,
    help="Resume the latest run, or the one of this name or path.",
)
@click.option("--reporters", multiple=True, metavar="NAME,…", help="Reports to make: text, html, junit, …")
@shared.merge_ds
@click.option(
    "--dialect", multiple=True, metavar="TOOL", help="Also show performance by the rules of another tool."
)
@click.option("--percentiles", metavar="P,P…", help="Percentiles of a performance run [default: 75,90,99].")
@click.option(
    "--goodput",
    multiple=True,
    metavar="NAME=LIMIT,…",
    help="Count the requests that meet all limits: ttft=300,tpot=50 (ms), e2el=2s.",
)
@click.option(
    "--tier",
    "tiers",
    multiple=True,
    metavar="NAME:LIMIT,…",
    help="Count the sessions served within limits: fast:ttft=2s,speed=30 (tokens/s).",
)
@click.option("--tables", is_flag=True, help="Also show all tables of a performance run.")
@click.option("--spec-decode", is_flag=True, help="Also show counts of the service's speculative decoding.")
@click.option(
    "--require-valid", is_flag=True, help="Exit with 4 unless the certificate of every result is VALID."
)
@gate_options
@shared.dump_eval_details
@click.option("--no-predictions-json", is_flag=True, help="Do not write predictions/*.json, only .jsonl.")
@click.option("--debug", is_flag=True, help="Run subtasks one by one, with log lines on the terminal.")
@judge_options
@allow_options
@aisbench_options
@own_data_options
@help_all
@click.pass_context
def run(context: click.Context, /, **flags: Any) -> int:
    """Send the requests of tasks to models, score the answers, and print a table.

    \b
    Every pair of a model and a task is one subtask:
      aisb run --url http://127.0.0.1:8000 --datasets gsm8k demo_gsm8k
    Resume the latest run:
      aisb run --reuse
    """  # noqa: D301 - \b is for click
    if flags["as_json"] and not (flags["search"] or flags["dry_run"]):
        raise click.UsageError(
            "--json needs --search or --dry-run; for the results of a run as JSON use --reporters text,json"
        )
    plugins = shared.load_plugins(context, flags["block"])
    flags["sets"] = (*context.obj.settings, *flags["sets"])  # the last setting of a key wins
    command = run_command(context, flags, plugins)
    gates = read_gates(flags)
    _check_gates(gates, command, plugins)
    if flags["search"] or flags["dry_run"]:
        from aisb_cli.planning import print_plan, print_sources

        if flags["search"]:
            print_sources(command, plugins, as_json=flags["as_json"])
            return 0
        return print_plan(command, plugins, as_json=flags["as_json"])
    from aisb_cli.display import choose_display
    from aisb_engine import execute_run

    blocked = [word for name in (*context.obj.block, *flags["block"]) for word in ("--block", name)]
    with held_output():
        ended = execute_run(command, plugins, choose_display(debug=flags["debug"], plugins=plugins))
        code = show_ending(ended, command, [*context.obj.allowed, *blocked])
    if ended.finished is not None and command.mode != "perf":
        show_under_load(ended.finished)
    if gates and ended.finished is None:
        click.echo("not checked: the run stopped before it was scored", err=True)
        return code
    return show_checks(gates, [ended.finished] if ended.finished else [], "aisb run", code)


def _check_gates(gates: Gates, command: RunCommand, plugins: Plugins) -> None:
    """Refuse checks that this run cannot make, before anything is sent."""
    if not gates:
        return
    from aisb_engine import plan_run

    if command.mode == "infer":
        raise click.UsageError(
            "--fail-under and --slo check the results of a run, and --mode infer computes none"
        )
    if gates.least and command.mode.startswith("perf"):
        raise click.UsageError(
            f"--fail-under checks scores, and --mode {command.mode} has none: leave out --mode, or use --slo"
        )
    spec, _ = plan_run(command, plugins)
    gates.check_names(subtask.task for subtask in spec.subtasks)
