"""`aisb capacity`: find the highest request rate of a service that meets objectives."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisb_engine import command_options as shared

if TYPE_CHECKING:
    from aisb import CommandContext
    from aisb_analysis._capacity.loads import Limit
    from aisb_analysis._capacity.measured import MeasuredService
    from aisb_engine import Plugins

MIN_BUDGET_SECONDS = 60.0
FILE = "capacity.json"
"""The options of a search, in its folder."""
_OPTIONS = {
    "limits": "--slo", "budget": "--budget", "url": "--url", "model": "--models",
    "model_name": "--model-name", "task": "--datasets", "input_len": "--input-len",
    "output_len": "--output-len", "api_key_env": "--api-key-env", "launcher": "--launcher",
    "data_dir": "--data-dir",
}  # fmt: skip
STORED = tuple(key for key in _OPTIONS if key not in {"limits", "budget"})
TASK = "synthetic"
DEFAULT_MODEL = "vllm-chat"
"""The backend without --url and --models."""
DEFAULT_LENGTHS = (512, 128)
"""Tokens of synthetic prompts and replies, as the task has them."""


@click.command()
@click.option("--url", metavar="URL", help="Address of the service.")
@click.option(
    "--models", "model", metavar="NAME", help="Model file or backend for the service [default: detected]."
)
@shared.model_name
@shared.api_key_env
@shared.objectives
@click.option(
    "--budget", default="10m", show_default=True, metavar="TIME", help="Time to spend: 600s, 10m, 1h."
)
@click.option("--datasets", "task", metavar="NAME", help="Task to send [default: synthetic prompts].")
@click.option(
    "--input-len", type=click.IntRange(min=1), metavar="N", help="Tokens of synthetic prompts [default: 512]."
)
@click.option(
    "--output-len",
    type=click.IntRange(min=1),
    metavar="N",
    help="Tokens of replies to synthetic prompts [default: 128].",
)
@click.option("--launcher", metavar="NAME", help="Launcher of the workers [default: local].")
@shared.work_dir_option("Work folder, which will contain the folder of the search.", Path("outputs/capacity"))
@click.option("--data-dir", type=click.Path(path_type=Path), metavar="DIR", help="Folder of data files.")
@click.option(
    "-r",
    "--reuse",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Folder of an interrupted search to resume, with its options.",
)
@shared.as_json
@click.pass_context
def capacity(context: click.Context, /, **flags: Any) -> int:
    """Find how many requests per second a service can take while it meets all objectives.

    Each point is an ordinary performance run in a subfolder of the search. This command needs scipy: the
    extra [stats] of aisb-analysis.

    \b
      aisb capacity --url http://localhost:8000 --slo ttft_p95=500ms --budget 30m
    """  # noqa: D301 - \b is for click
    from aisb_analysis._paired import scipy_stats

    scipy_stats()
    from aisb import AisbError
    from aisb_analysis._capacity.loads import Limit, limits_of
    from aisb_analysis._capacity.search import Search
    from aisb_analysis._together import show_together
    from aisb_engine import RunFolder, parse_run_objectives, write_atomically

    limits = limits_of(parse_run_objectives(",".join(flags["objectives"]) or shared.OBJECTIVES))
    budget = read_budget(flags["budget"])
    if flags["reuse"]:
        kept = _kept_options(flags["reuse"] / FILE)
        given = _given_options(context, {**flags, "limits": limits, "budget": budget})
        _check_same(flags["reuse"], kept, given)
        flags |= {key: kept[key] for key in STORED if key in kept and key not in given}
        limits = [Limit(**one) for one in kept["limits"]] if "limits" in kept else limits
        budget = kept.get("budget", budget)
        flags["data_dir"] = Path(flags["data_dir"]) if flags["data_dir"] else None
    options = _stored_options({**flags, "limits": limits, "budget": budget})
    plugins = context.obj.load_plugins()
    model, table = _model(context.obj, flags, plugins)
    folder = flags["reuse"] or RunFolder.create(flags["work_dir"], datetime.now().astimezone()).path
    if not (folder / FILE).exists():
        write_atomically(folder / FILE, (json.dumps(options, indent=2) + "\n").encode())
    service = _service(folder, flags, limits, (model, table))
    heading = _heading(model, table, flags)
    click.echo(f"{heading}; folder: {folder}", err=True)
    search = Search(service, limits, budget, say=lambda line: click.echo(line, err=True))
    try:
        found = search.run()
    except AisbError as error:
        if any(path.is_dir() for path in folder.iterdir()):
            error.add_note(f"  resume with: {shlex.join(['aisb', 'capacity', '--reuse', str(folder)])}")
        else:  # nothing was sent
            shutil.rmtree(folder)
        raise
    lines = [*found.lines(), *filter(None, [service.lag_line])]
    failed = show_together(service.runs, folder, plugins, printed=False, notes=lines, heading=heading)
    measured = {**asdict(found), "heading": heading, "lag_limit_ms": service.lag_ms, "lines": lines}
    _show(measured, folder, as_json=flags["as_json"])
    return failed


def read_budget(text: str) -> float:
    """Return a budget in seconds.

    Raises:
        UsageError: the text is not a duration, or too short for a search.
    """
    from aisb import UsageError
    from aisb_analysis._times import read_seconds

    seconds = read_seconds("--budget", text)
    if seconds < MIN_BUDGET_SECONDS:
        raise UsageError(
            f"--budget {text}: a search needs at least {MIN_BUDGET_SECONDS:.0f} s; 10m or more is useful"
        )
    return seconds


def _stored_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a search in the form of its file."""
    found = {key: values[key] for key in ("budget", *STORED)}
    found["data_dir"] = None if values["data_dir"] is None else str(values["data_dir"])
    return {"limits": [limit._asdict() for limit in values["limits"]], **found}


def _given_options(context: click.Context, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that the command line has, in the form of the file."""
    from click.core import ParameterSource

    def is_given(key: str) -> bool:
        name = "objectives" if key == "limits" else key
        return context.get_parameter_source(name) is not ParameterSource.DEFAULT

    return {key: value for key, value in _stored_options(values).items() if is_given(key)}


def _kept_options(path: Path) -> dict[str, Any]:
    """Return the options of a search that is resumed.

    Raises:
        UsageError: the folder is not that of a search, or its file is damaged.
    """
    from aisb import UsageError
    from aisb_analysis._capacity.measured import POINTS_FILE

    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        if (path.parent / POINTS_FILE).exists():  # a search of an older version, which did not store them
            return {}
        raise UsageError(f"{path.parent} is not the folder of a search: it has no {FILE}") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}; start a new search without --reuse") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path} is damaged: it is no table; start a new search without --reuse")
    return found


def _check_same(folder: Path, kept: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse other options for a search that is resumed.

    Raises:
        UsageError: they differ; the message has both values of each.
    """
    from aisb import UsageError

    now = json.loads(json.dumps(given))
    differing = [
        f"{_OPTIONS[key]}: it was {_option_text(key, kept[key])}, and is {_option_text(key, value)}"
        for key, value in now.items()
        if key in kept and kept[key] != value
    ]
    if differing:
        raise UsageError(
            f"{folder} was started with other options\n  "
            + "\n  ".join(differing)
            + "\n  resume it without them, or start a new search without --reuse"
        )


def _option_text(key: str, value: Any) -> str:
    """Return the value of a stored option as the command line has it."""
    if value is None:
        return "not given"
    if key == "budget":
        return f"{value:g}s"
    if key != "limits":
        return str(value)
    limits = [
        f"{one['name']}={100 * one['share']:g}%"
        if one["milliseconds"] is None
        else f"{one['name']}={one['milliseconds']:g}ms"
        for one in value
    ]
    return ",".join(limits)


def _heading(model: str, table: Mapping[str, Any], flags: Mapping[str, Any]) -> str:
    """Return the title of the result: the model, its address, and the data."""
    from aisb_engine import mask_url

    at = f" at {mask_url(url)}" if (url := table.get("url")) else ""
    lengths = [flags["input_len"] or DEFAULT_LENGTHS[0], flags["output_len"] or DEFAULT_LENGTHS[1]]
    data = flags["task"] or f"{TASK} {lengths[0]}/{lengths[1]}"
    return f"Capacity of {model}{at}, {data}"


def _model(context: CommandContext, flags: dict[str, Any], plugins: Plugins) -> tuple[str, dict[str, Any]]:
    """Return the name and the table of the model. Without --models, the service at the address is probed.

    Raises:
        ServiceError: the service does not answer, is of no known kind, or serves several models.
        UsageError: a model or task does not exist.
    """
    from aisb_engine import plan_run

    options = {"url": flags["url"], "model": flags["model_name"], "api_key_env": flags["api_key_env"]}
    given = {key: value for key, value in options.items() if value is not None}
    task = ["--mode", "perf", "--datasets", flags["task"] or TASK]
    if flags["data_dir"]:
        task += ["--data-dir", str(flags["data_dir"])]
    if flags["model"] or not flags["url"]:
        name = flags["model"] or DEFAULT_MODEL
        url = ["--url", flags["url"]] if flags["url"] else []
        plan_run(
            context.run_command(["--models", name, *url, *task]), plugins
        )  # names that do not exist end it
        return name, {"base": name, **given}
    words = ["--url", flags["url"], *task]
    for flag, option in (("--model-name", "model"), ("--api-key-env", "api_key_env")):
        words += [flag, given[option]] if option in given else []
    command = context.run_command(words, plugins)
    plan_run(command, plugins)
    run_input = command.run_input
    (name,) = run_input.models
    return name, {"base": DEFAULT_MODEL, **run_input.tables["models"][name], **given}


def _service(
    folder: Path, flags: dict[str, Any], limits: list[Limit], named: tuple[str, dict[str, Any]]
) -> MeasuredService:
    from aisb import UsageError
    from aisb_analysis._capacity.measured import MeasuredService, stored_names
    from aisb_engine import safe_name

    task: dict[str, Any] = {"base": flags["task"] or TASK}
    lengths = {"input": flags["input_len"], "output": flags["output_len"]}
    set_lengths = {key: value for key, value in lengths.items() if value is not None}
    if set_lengths and flags["task"]:
        raise UsageError("--input-len and --output-len apply to synthetic prompts; omit --datasets")
    if not flags["task"]:
        task["dataset"] = set_lengths
    names = stored_names(folder) or (safe_name(named[0]), safe_name(task["base"]))
    return MeasuredService(
        folder,
        {names[0]: {**named[1], "abbr": names[0]}},
        {names[1]: task},
        limits=limits,
        synthetic=not flags["task"],
        launcher=flags["launcher"],
        data_dir=flags["data_dir"],
    )


def _show(measured: Mapping[str, Any], folder: Path, *, as_json: bool) -> None:
    from aisb_engine import write_atomically

    text = json.dumps(measured, indent=2)
    write_atomically(folder / "result.json", f"{text}\n".encode())
    if as_json:
        click.echo(text)
        return
    for line in measured["lines"]:
        click.echo(line)
    page = folder / "points.html"
    click.echo(f"points: {page if page.exists() else folder}")
