"""`aisb data`: list the data sets of tasks, compare them with the published ones, and download them."""

from __future__ import annotations

import functools
import shutil
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisb_cli import shared_options as shared
from aisb_cli.completing import complete_tasks
from aisb_cli.grouped_help import Listing
from aisb_cli.terminal import as_json_text

if TYPE_CHECKING:
    from aisb_cli.data_sets.inventory import DataStatus
    from aisb_engine import DataFolders, Plugins, Task


@click.group(cls=Listing)
def data() -> None:
    """List the data sets of tasks, check them, and download them.

    Data is searched in --data-dir, $AISB_DATA, ./datasets and ./ais_bench/datasets.
    """


@data.command("list")
@click.argument("names", nargs=-1, metavar="[NAME]…", shell_complete=complete_tasks)
@shared.data_dir
@shared.as_json
@click.pass_context
def list_command(
    context: click.Context, names: tuple[str, ...], data_dir: Path | None, *, as_json: bool
) -> None:
    """List the data of the named tasks, or of all: whether it exists, and in which layout.

    Files are not read; `aisb data check` reads them.

    \b
      aisb data list gsm8k mmlu
    """  # noqa: D301 - \b is for click
    from aisb_cli.data_sets.inventory import locate

    found = list(_standings(context, names, data_dir, locate))
    if as_json:
        _print_json(found)
        return
    for state in dict.fromkeys(one.state for one in found):
        same = [one for one in found if one.state == state]
        click.echo(f"{state}: {len(same)}")
        for one in same:
            _print_line(one, "  ")
            if one.state == "wrong":
                click.echo(_folded(one.note, "    "))
        click.echo()
    click.echo("aisb data check reads these files; aisb data pull NAME downloads missing ones")


@data.command("check")
@click.argument("names", nargs=-1, metavar="[NAME]…", shell_complete=complete_tasks)
@shared.data_dir
@shared.as_json
@click.option("--lock", is_flag=True, help="Print entries for a datasets.lock; compare nothing.")
@click.pass_context
def check_command(
    context: click.Context, names: tuple[str, ...], data_dir: Path | None, *, as_json: bool, lock: bool
) -> int:
    """Read the data of the named tasks, or of all, and compare it with the published data.

    Rows and SHA-256 are compared with the file datasets.lock of each family. The exit code is 4 if data is
    broken or has other rows or bytes, or if the data of a named task is missing.

    \b
      aisb data check gsm8k
    """  # noqa: D301 - \b is for click
    from aisb_cli.data_sets.inventory import FAILING_STATES, check_data

    found = []
    for one in _standings(context, names, data_dir, check_data):
        found.append(one)
        if not as_json and not lock and (names or one.state != "missing"):
            _print_checked(one)
    if lock:
        _print_lock(found)
        return 0
    if as_json:
        _print_json(found)
    bad = [one.task for one in found if one.state in FAILING_STATES or (names and one.state == "missing")]
    if not as_json:
        states = dict.fromkeys(one.state for one in found)
        click.echo("\n" + ", ".join(f"{sum(o.state == s for o in found)} {s}" for s in states))
    return 4 if bad else 0


@data.command("path")
@click.argument("name")
@shared.data_dir
@shared.as_json
@click.pass_context
def path_command(context: click.Context, name: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Print the files that a task reads, one per line.

    \b
      aisb data path gsm8k
    """  # noqa: D301 - \b is for click
    from aisb import DataMissing
    from aisb_cli.data_sets.inventory import locate

    (found,) = _standings(context, (name,), data_dir, locate)
    if found.state in {"missing", "wrong"}:
        raise DataMissing(found.note)
    if as_json:
        _print_json([found])
        return
    if found.state == "made":
        click.echo(f"{name} reads no files: its rows are generated", err=True)
    for path in found.paths:
        click.echo(path)


@data.command("pull")
@click.argument("names", nargs=-1, required=True, metavar="NAME…", shell_complete=complete_tasks)
@click.option(
    "--from",
    "hub",
    type=click.Choice(["huggingface", "modelscope"]),
    help="Hub to download from [default: the first that has it].",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder to write to [default: $AISB_DATA, else ./datasets].",
)
@click.pass_context
def pull_command(context: click.Context, names: tuple[str, ...], hub: Any, data_dir: Path | None) -> None:
    """Download the data of tasks from the Hugging Face hub or ModelScope.

    It is written to --data-dir, else $AISB_DATA, else ./datasets. This needs the library of the hub:
    pip install 'aisb[hub]' or 'aisb[modelscope]'.

    \b
      aisb data pull gsm8k --data-dir ~/data
    """  # noqa: D301 - \b is for click
    from aisb import DataMissing
    from aisb_cli.data_sets.inventory import check_data
    from aisb_cli.data_sets.pull import by_hand, pull
    from aisb_engine import DataFolders

    folder = DataFolders.default(data_dir).roots[0]
    for task, name, plugins, lock in _tasks(context, names):
        into = pull(task, folder, hub)
        found = check_data(task, name, plugins, DataFolders([folder]), lock)
        if found.state == "missing":
            outcome = f"the files downloaded to {into} match none of the layouts that the task reads"
            raise DataMissing(f"{name}: {outcome}\n{by_hand(task, folder)}")
        _print_checked(found)


def _standings(
    context: click.Context,
    names: Sequence[str],
    data_dir: Path | None,
    how: Callable[[Task, str, Plugins, DataFolders, dict[str, Any]], DataStatus],
) -> Iterator[DataStatus]:
    from aisb_engine import DataFolders

    folders = DataFolders.default(data_dir)
    for task, name, plugins, lock in _tasks(context, names):
        yield how(task, name, plugins, folders, lock)


def _tasks(
    context: click.Context, names: Sequence[str]
) -> Iterator[tuple[Task, str, Plugins, dict[str, Any]]]:
    """Yield the named tasks, or all; of all, also the variants that have other data."""
    from aisb_engine import Catalog, Resolver, RunInput, read_toml

    plugins = shared.load_plugins(context)
    catalog = Catalog(plugins)
    file = Path("aisb.toml") if Path("aisb.toml").is_file() else None
    resolver = Resolver(plugins, catalog, RunInput(file=file))
    entries = {entry.name: entry.path for entry in catalog.entries("task")}

    @functools.cache
    def others(task: str) -> list[str]:
        return _with_other_data(task, read_toml(entries[task])) if task in entries else []

    for name in names or [name for task in entries for name in (task, *others(task))]:
        task = resolver.show(name)
        variant = f"{task.name}:{task.variant}"
        is_other = task.variant is not None and variant in others(task.name)
        yield task, variant if is_other else task.name, plugins, catalog.lock


def _with_other_data(name: str, table: dict[str, Any]) -> list[str]:
    """Return the variants of a task that read other files than the task."""
    return [
        f"{name}:{variant}"
        for variant, over in table.get("variants", {}).items()
        if {"path", "split", "layouts"} & set(over.get("dataset", {}))
    ]


def _print_line(one: DataStatus, lead: str) -> None:
    """Print the data of a task in one line: rows and path; if it is missing, the path where it belongs."""
    rows = one.rows if one.rows is not None else one.locked.rows
    count = "" if rows is None else f"{rows:,}"
    line = f"{lead}{one.task:<20} {count:>7}  {one.layout or ''}".rstrip()
    click.echo(_folded(line, "", " " * (len(lead) + 30)))


def _print_checked(one: DataStatus) -> None:
    """Print the result of a check: the state, the data in one line, then notes."""
    _print_line(one, f"{one.state:<16}")
    for line in one.note.splitlines():
        click.echo(_folded(line, "    "))


def _folded(text: str, lead: str, below: str | None = None) -> str:
    return textwrap.fill(
        text,
        max(shutil.get_terminal_size((80, 24)).columns, 40),
        initial_indent=lead,
        subsequent_indent=lead + "  " if below is None else below,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
    )


def _print_lock(found: Sequence[DataStatus]) -> None:
    """Print the result in the form of a datasets.lock; data that cannot be read is omitted."""
    import tomli_w

    read = {one.task: {"rows": one.rows, "sha256": {one.layout: one.sha256}} for one in found if one.sha256}
    click.echo(tomli_w.dumps(read), nl=False)


def _print_json(found: Sequence[DataStatus]) -> None:
    click.echo(as_json_text([one.as_table() for one in found]))
