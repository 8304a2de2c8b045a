"""`aisb runs`: list the runs of a work folder, show their results, and remove them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisb_cli import shared_options as shared
from aisb_cli.completing import complete_runs
from aisb_cli.grouped_help import Listing
from aisb_cli.headlines import compact_lines
from aisb_cli.tag_command import tag
from aisb_cli.terminal import as_json_text

if TYPE_CHECKING:
    from aisb import Result as ScoredResult
    from aisb_engine import RunInfo

STATES = ("running", "done", "partial", "failed", "stopped", "killed", "crashed")
DATES = ("%Y-%m-%d", "%Y%m%d", "%Y-%m-%d %H:%M", "%Y%m%d_%H%M%S")


@click.group(cls=Listing)
def runs() -> None:
    """List, show, tag and remove runs, and print their paths.

    \b
      aisb runs list --task gsm8k --since 2026-11-20
      aisb runs show latest
      cd "$(aisb runs path latest)"
    """  # noqa: D301 - \b is for click


runs.add_command(tag)


@runs.command("list")
@shared.work_dir()
@click.option("--model", "models", multiple=True, metavar="TEXT", help="Runs with a model of this name.")
@click.option("--task", "tasks", multiple=True, metavar="TEXT", help="Runs with a task of this name.")
@click.option("--status", "states", multiple=True, type=click.Choice(STATES), help="Runs with this status.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Runs with this tag.")
@click.option("--since", type=click.DateTime(DATES), metavar="DATE", help="Runs started then or later.")
@click.option("--until", type=click.DateTime(DATES), metavar="DATE", help="Runs started before this time.")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    metavar="N",
    help="Only the N latest; 0: all.",
)
@shared.as_json
def list_command(work_dir: Path, limit: int, *, as_json: bool, **filters: Any) -> None:
    """List the runs of a work folder, the latest first.

    TEXT is the name, or a part of it.

    \b
      aisb runs list --model qwen --status failed
    """  # noqa: D301 - \b is for click
    found = list(_selected(work_dir, limit, **filters))
    if as_json:
        click.echo(as_json_text([record(one) for one in found]))
        return
    if not found:
        from aisb_engine import RunFolder

        click.echo(
            f"no run in {work_dir} matches these options; omit one to see more"
            if RunFolder.list(work_dir)
            else f"there is no run in {work_dir} yet\n"
            "  start one: aisb run --models sim --datasets demo_gsm8k\n"
            "  -w names another folder with runs",
            err=True,
        )
        return
    for one in found:
        tags = "".join(f"  #{tag}" for tag in one.tags)
        click.echo(f"{one.folder.timestamp}  {one.status:7}  {_description(one)}{tags}")
        for line in _result_lines(one):
            click.echo(f"    {line}")


@runs.command("show")
@shared.which_run
@shared.work_dir()
@shared.as_json
def show_command(which: str, work_dir: Path, *, as_json: bool) -> None:
    """Show a run: its status, what it sent, its results, and where its files are.

    RUN is a timestamp, a path, a tag, or `latest`.

    \b
      aisb runs show 20261121_220301
    """  # noqa: D301 - \b is for click
    from aisb_engine import RUN_STATUSES, RunFolder, read_progress, read_run, run_size

    one = read_run(RunFolder.find(work_dir, which))
    if as_json:
        more = {"bytes": run_size(one.folder), "progress": read_progress(one.folder)}
        click.echo(as_json_text(record(one) | more))
        return
    click.echo(f"{one.folder}: {one.status}, {RUN_STATUSES[one.status]}")
    click.echo(f"  {_description(one)}")
    for name, value in (
        ("command", " ".join(one.command)),
        ("imported", one.imported),
        ("began", one.started),
        ("ended", one.ended),
        ("exit code", one.exit_code),
        ("tags", ", ".join(one.tags)),
        ("note", one.note),
        ("not sent", f"{one.not_sent} requests" if one.not_sent and one.status != "running" else None),
        ("size", f"{run_size(one.folder) / 1e6:.1f} MB"),
    ):
        if value not in (None, ""):
            click.echo(f"  {name}: {value}")
    scores = _first_blocks(one, list(_scored(one)))
    for line in (*_served(one), *scores, *_progress(read_progress(one.folder))):
        click.echo(f"  {line}")
    for page in one.pages:
        click.echo(f"  page: {page}")
    for line in _headlines(one):
        click.echo(line)


@runs.command("path")
@shared.which_run
@shared.work_dir()
def path_command(which: str, work_dir: Path) -> None:
    """Print the folder of a run, for other commands.

    \b
      ls "$(aisb runs path latest)/predictions"
    """  # noqa: D301 - \b is for click
    from aisb_engine import RunFolder

    click.echo(RunFolder.find(work_dir, which).path)


@runs.command("rm")
@click.argument("names", metavar="RUN…", nargs=-1, required=True, shell_complete=complete_runs)
@shared.work_dir()
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def rm_command(names: tuple[str, ...], work_dir: Path, *, yes: bool) -> None:
    """Remove runs from the work folder, after asking.

    A run that a command is writing is kept, and so is a folder that you renamed.

    \b
      aisb runs rm 20261121_220301 20261121_221500
    """  # noqa: D301 - \b is for click
    from aisb_engine import find_removable_run, read_run, run_size

    found = {
        folder.path.resolve(): folder for folder in (find_removable_run(work_dir, name) for name in names)
    }
    for folder in found.values():
        click.echo(f"{folder}  {_description(read_run(folder))}  {run_size(folder) / 1e6:.1f} MB")
    if not yes and not _is_confirmed(f"remove {'it' if len(found) == 1 else f'these {len(found)}'}?"):
        click.echo("nothing was removed")
        return
    for folder in found.values():
        with folder.lock():
            folder.remove()
        click.echo(f"removed {folder}")


def _is_confirmed(question: str) -> bool:
    """Ask a question on the terminal.

    Raises:
        UsageError: the input has ended, so nobody can confirm.
    """
    try:
        return click.confirm(question)
    except click.Abort:
        if sys.stdin.isatty():
            raise
    click.echo()
    raise click.UsageError(
        "nothing was removed: there is no terminal to confirm it; --yes skips the question"
    )


def record(one: RunInfo) -> dict[str, Any]:
    """Return a run in the form of `--json`."""
    return {
        "run": one.folder.timestamp,
        "path": str(one.folder),
        "status": one.status,
        "kind": one.kind,
        "models": list(one.models),
        "tasks": list(one.tasks),
        "started": one.started,
        "ended": one.ended,
        "exit_code": one.exit_code,
        "not_sent": one.not_sent,
        "command": list(one.command),
        "imported": one.imported,
        "served": {name: dict(table) for name, table in one.served.items()},
        "scores": [
            {
                "model": model,
                "task": task,
                "value": value,
                "remark": one.remarks.get((model, task)),
                **_graded(one.results[model, task]),
            }
            for (model, task), value in one.scores.items()
        ],
        "figures": [{"model": model, "task": task, **table} for (model, task), table in one.figures.items()],
        "pages": [str(page.relative_to(one.folder.path)) for page in one.pages],
        "tags": list(one.tags),
        "note": one.note or None,
        "unreadable": one.unreadable or None,
    }


def _graded(result: ScoredResult) -> dict[str, Any]:
    """Return the headline metric of a result with its interval, and the number of answers by outcome."""
    metric = result.headline
    return {
        "metric": metric and metric.name,
        "unit": metric and metric.unit,
        "low": metric and metric.low,
        "high": metric and metric.high,
        "n": result.predictions,
        "bounds": list(result.bounds) if result.bounds else None,
        "outcomes": dict(result.outcomes),
        "not_sent": result.not_sent,
        "version": result.version,
    }


def _selected(
    work_dir: Path,
    limit: int,
    *,
    models: tuple[str, ...],
    tasks: tuple[str, ...],
    states: tuple[str, ...],
    tags: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
) -> Iterator[RunInfo]:
    from aisb_engine import RunFolder, read_run, started_at

    count = 0
    for folder in reversed(RunFolder.list(work_dir)):
        began = started_at(folder)
        if began and ((since and began < since) or (until and began >= until)):
            continue
        one = read_run(folder)
        if (
            (models and not _matches(models, one.models))
            or (tasks and not _matches(tasks, one.tasks))
            or (states and one.status not in states)
            or not set(tags) <= set(one.tags)
        ):
            continue
        yield one
        count += 1
        if count == limit:
            return


def _matches(parts: Iterable[str], names: Iterable[str]) -> bool:
    return any(part.lower() in name.lower() for part in parts for name in names)


def _description(one: RunInfo) -> str:
    if one.unreadable:
        return one.unreadable
    kind = "performance of " if one.kind == "performance" else ""
    return f"{kind}{_shortened(one.models)} on {_shortened(one.tasks)}"


def _shortened(names: tuple[str, ...]) -> str:
    if len(names) > 3:
        return f"{', '.join(names[:2])} and {len(names) - 2} more"
    return ", ".join(names) or "nothing"


def _result_lines(one: RunInfo) -> Iterator[str]:
    """Yield the results of each subtask; only of the first ones if there are many."""
    speeds = (compact_lines(_subtask(one, *pair), headline) for pair, headline in one.figures.items())
    return _first_blocks(one, [*_scored(one), *speeds])


def _scored(one: RunInfo) -> Iterator[list[str]]:
    """Yield the score of each subtask that has one."""
    for pair, value in one.scores.items():
        yield [f"{_subtask(one, *pair)}: {value:.2f}{_parenthesized(one.remarks.get(pair))}"]


def _first_blocks(one: RunInfo, blocks: list[list[str]]) -> Iterator[str]:
    """Yield the lines of the first blocks, and how many more there are."""
    for block in blocks[:8]:
        yield from block
    if len(blocks) > 8:
        yield f"and {len(blocks) - 8} more: {one.folder.command('aisb runs show --json')}"


def _headlines(one: RunInfo) -> Iterator[str]:
    """Yield the headlines of a performance run as it printed them; those of older versions are shortened."""
    for pair, headline in one.figures.items():
        yield ""
        yield from headline["text"] or compact_lines(_subtask(one, *pair), headline)


def _subtask(one: RunInfo, model: str, task: str) -> str:
    return f"{task} · {model}" if len(one.models) > 1 else task


def _parenthesized(remark: str | None) -> str:
    return f" ({remark})" if remark else ""


def _served(one: RunInfo) -> Iterator[str]:
    """Yield the identity that each model's service reported; long hashes are cut."""
    from aisb_engine import printable

    for name, table in one.served.items():
        words = " ".join(str(table[key]) for key in ("server", "server_version") if key in table)
        more = [
            f"{key.replace('_', ' ')} {str(value)[:12] if 'sha256' in key else value}"
            for key, value in table.items()
            if key not in {"server", "server_version"}
        ]
        yield printable(f"{name} was served by: {', '.join([*([words] if words else []), *more])}")


def _progress(table: dict[str, Any]) -> Iterator[str]:
    for one in table.get("subtasks", ()):
        yield (
            f"{one['task']} · {one['model']}: {one['phase']}, {one['finished']}/{one['total']} finished, "
            f"{one['failed']} failed"
        )
