"""Convert the flags of `aisb run` to an `aisb_engine.RunCommand`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from aisb_cli.aisbench_flags import refuse_python
from aisb_cli.judge_options import judge_table
from aisb_cli.load_options import load_table
from aisb_cli.own_data_options import selected_tasks
from aisb_cli.under_load import with_load

if TYPE_CHECKING:
    from aisb_engine import Plugins, RunCommand

FOR_ONE_RUN = frozenset((
    "search", "dry_run", "as_json", "block", "reuse", "name", "debug", "fail_under", "slo", "junit",
    "under_load",
))  # fmt: skip
"""Options for a single run only. Other commands that accept the options of `aisb run` refuse these."""
TABLES = "aisb_cli.tables"
"""The key in a context's `meta` for tables that another command merges over `aisb.toml`."""


def parse_run(words: Sequence[str], plugins: Plugins | None = None, *, dry: bool = False) -> RunCommand:
    """Return the command that `aisb run` would execute with these arguments, for use by another command.

    With `plugins`, services that are given by their address are looked at; with `dry` no token is asked for.

    Raises:
        UsageError: `aisb run` would refuse the arguments, or one of them is an option for a single run.
    """
    outer = click.get_current_context()
    root = outer.find_root()
    command = root.command.get_command(root, "run") if isinstance(root.command, click.Group) else None
    if command is None:
        raise click.UsageError("the command `aisb run` is missing because its plugin is blocked")
    context = command.make_context("run", list(words), parent=root)
    with context:
        flags = context.params
        for parameter in command.params:
            if parameter.name in FOR_ONE_RUN and flags[parameter.name]:
                flag = max(parameter.opts, key=len)
                raise click.UsageError(f"{flag} is for a single run: leave it out of {outer.command_path}")
        flags["sets"] = (*context.obj.settings, *flags["sets"])
        return run_command(context, flags | {"dry_run": dry}, plugins)


def run_command(context: click.Context, flags: dict[str, Any], plugins: Plugins | None = None) -> RunCommand:
    """Convert flags to configuration tables; flags that were not passed set nothing.

    With `plugins`, services that are given by their address are looked at.
    """
    from aisb_engine import RunCommand, RunInput, read_user_file, split_names

    def given(**names: str) -> dict[str, Any]:
        return {
            key: flags[flag]
            for key, flag in names.items()
            if flags[flag] is not None and flags[flag] is not False  # 0 is a value
        }

    file = flags["config_file"]
    if file is not None:
        refuse_python(file)
    if file is None and Path("aisb.toml").is_file():
        file = Path("aisb.toml")
    run_table = given(
        require_valid="require_valid",
        merge_ds="merge_ds",
        dump_eval_details="dump_eval_details",
        launcher="launcher",
        max_num_workers="max_num_workers",
        max_failures="max_failures",
        wait="wait",
        stop_after_failures="stop_after_failures",
        token_budget="token_budget",  # noqa: S106 - a number of tokens
    )
    if reporters := split_names(flags["reporters"]):
        run_table["reporters"] = reporters
    if flags["no_predictions_json"]:
        run_table["predictions_json"] = False
    if options := _performance_options(flags):
        run_table["reporter_options"] = {"performance": options}
    if flags["debug"]:
        run_table["max_num_workers"] = 1
    names, own = selected_tasks(flags, file)
    run_input = RunInput(
        models=flags["models"],
        datasets=names,
        tasks=own,
        file=file,
        options=given(
            url="url", model="model_name", api_key_env="api_key_env", allow_download="allow_download"
        ),
        params=given(max_tokens="max_out_len"),
        load=load_table(flags),
        lengths=given(input="input_len", output="output_len"),
        run=run_table,
        judge=judge_table(flags["judge"], flags["judge_url"], own=not flags["reuse"]),
        sets=(*_goodput_setting(flags["goodput"]), *_tiers_setting(flags["tiers"]), *flags["sets"]),
        tables=context.meta.get(TABLES, {}),
    )
    by_place = any("=" in name or "/" in name for name in flags["models"])
    by_address = by_place or (flags["url"] and not flags["models"])
    # Where tables are given, another command names the models.
    if plugins is not None and TABLES not in context.meta and (by_address or flags["name"] is not None):
        from aisb_cli.run_services import with_services

        run_input = with_services(run_input, plugins, flags)
    work_dir = flags["work_dir"]
    if context.get_parameter_source("work_dir") is ParameterSource.DEFAULT:
        table = {**(read_user_file(file) if file else {}), **run_input.tables}
        work_dir = Path(table.get("run", {}).get("work_dir", work_dir))
    command = RunCommand(
        run_input,
        mode=flags["mode"],
        reuse=flags["reuse"],
        work_dir=work_dir,
        data_dir=flags["data_dir"],
    )
    if flags["under_load"] is None:
        return command
    user = read_user_file(file) if file else {}
    user = {**user, "models": {**user.get("models", {}), **run_input.tables.get("models", {})}}
    return with_load(command, flags["under_load"], user)


def _goodput_setting(texts: Sequence[str]) -> list[str]:
    """Return the setting for `--goodput`, which replaces all objectives of the configuration."""
    if not texts:
        return []
    from aisb_engine import parse_goodput

    limits = ", ".join(f"{name} = {limit!r}" for name, limit in parse_goodput(",".join(texts)).items())
    return [f"run.reporter_options.performance.objectives={{{limits}}}"]


def _tiers_setting(texts: Sequence[str]) -> list[str]:
    """Return the setting for `--tier`, which replaces all tiers of the configuration."""
    if not texts:
        return []
    from aisb_engine import parse_tier

    tables = []
    for name, limits in map(parse_tier, texts):
        values = ", ".join(f"{key} = {limit!r}" for key, limit in limits.items())
        tables.append(f'"{name}" = {{{values}}}')
    return [f"run.tiers={{{', '.join(tables)}}}"]


def _performance_options(flags: dict[str, Any]) -> dict[str, Any]:
    """Return the options of the performance reporter that flags set."""
    options: dict[str, Any] = {}
    if flags["dialect"]:
        options["dialects"] = [name for text in flags["dialect"] for name in text.replace(",", " ").split()]
    if flags["percentiles"]:
        try:
            options["percentiles"] = [float(text) for text in flags["percentiles"].split(",")]
        except ValueError:
            raise click.UsageError(
                f"--percentiles {flags['percentiles']} is not a list like 50,90,99"
            ) from None
    for name in ("tables", "spec_decode"):
        if flags[name]:
            options[name] = True
    return options
