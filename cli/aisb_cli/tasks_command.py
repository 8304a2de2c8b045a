"""`aisb tasks`: list tasks, show one with its prompts, and write a task file for your own data."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisb_cli import shared_options as shared
from aisb_cli.completing import complete_tasks
from aisb_cli.grouped_help import Listing
from aisb_cli.index import not_installed, not_offered_yet
from aisb_cli.own_data_options import column_options, named_columns
from aisb_cli.terminal import as_json_text

if TYPE_CHECKING:
    from aisb import Message, Request
    from aisb_engine import BrokenRow, DataFolders, Plugins, Task


NEW_HEAD = """\
# A task: its data, its prompt, and how answers are graded. docs/tasks.md describes every key; add the licence
# and citation of the data here, too.
"""


@click.group(cls=Listing)
def tasks() -> None:
    """List tasks, show what one sends, and write new ones."""


@tasks.command("list")
@shared.as_json
@click.option("--all", "with_others", is_flag=True, help="Also list tasks that are not installed or offered.")
@click.option("--markdown", is_flag=True, help="Print a table in Markdown: rows, grading, data, licence.")
@click.pass_context
def list_command(context: click.Context, as_json: bool, with_others: bool, markdown: bool) -> None:
    """List tasks with their variants and other names.

    \b
      aisb tasks list --all
    """  # noqa: D301 - \b is for click
    from aisb_engine import Catalog, read_toml

    if markdown:
        from aisb_cli.tasks_table import markdown_table

        click.echo(markdown_table(shared.load_plugins(context)), nl=False)
        return
    catalog = Catalog(shared.load_plugins(context))
    rows: list[dict[str, Any]] = []
    for entry in catalog.entries("task"):
        table = read_toml(entry.path)
        names = [alias for alias, target in catalog.aliases.items() if target.split(":")[0] == entry.name]
        rows.append(
            {
                "task": entry.name,
                "summary": table.get("summary", ""),
                "variants": list(table.get("variants", {})),
                "aliases": names,
                "plugin": entry.plugin,
                "file": str(entry.path),
            }
        )
    others = [one for one in not_installed() if "tasks" in one.names] if with_others else []
    later = not_offered_yet() if with_others else {}
    if as_json:
        missing = [
            {"task": task, "distribution": one.distribution, "install": one.install}
            for one in others
            for task in one.names["tasks"]
        ]
        missing += [{"task": name, "not_offered_yet": reason} for name, reason in later.items()]
        click.echo(as_json_text(rows + missing))
        return
    for row in rows:
        _wrapped(f"{row['task']}: {row['summary']} ({row['plugin']})", "")
        if row["variants"]:
            _wrapped(", ".join(f"{row['task']}:{variant}" for variant in row["variants"]), "  variants: ")
        if row["aliases"]:
            _wrapped(", ".join(row["aliases"]), "  also: ")
    if later:
        click.echo("\nNot offered yet, by their names in other tools:")
    for name, reason in later.items():
        _wrapped(f"{name}: {reason}", "")
    if others:
        click.echo("\nNot installed; run the commands in a checkout of aisb:")
    for one in others:
        _wrapped(f"{', '.join(one.names['tasks'])} ({one.distribution})", "")
        click.echo(f"  {one.install}")


@tasks.command("show")
@click.argument("name", shell_complete=complete_tasks)
@click.option(
    "--sample",
    "count",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Render the first N prompts.",
)
@column_options
@shared.data_dir
@shared.as_json
@click.pass_context
def show_command(
    context: click.Context, /, name: str, *, count: int, data_dir: Path | None, as_json: bool, **columns: Any
) -> int:
    """Show a task: its prompt, how it is graded, and where its data comes from.

    NAME may have a variant: gsm8k:zero-shot. It may also be a data file. With --sample 3 its first three
    prompts are rendered.

    \b
      aisb tasks show gsm8k:zero-shot --sample 3
    """  # noqa: D301 - \b is for click
    from aisb_engine import (
        BrokenRow,
        Catalog,
        DataFolders,
        Resolver,
        RunInput,
        preview_requests,
        tasks_from_data_files,
    )

    plugins = shared.load_plugins(context)
    catalog = Catalog(plugins)
    file = Path("aisb.toml") if Path("aisb.toml").is_file() else None
    (name,), own = tasks_from_data_files([name], catalog, columns=named_columns(**columns))
    task = Resolver(plugins, catalog, RunInput(file=file, tasks=own)).show(name)
    requests = preview_requests(task, plugins, DataFolders.default(data_dir), count) if count else []
    code = 1 if any(isinstance(request, BrokenRow) for request in requests) else 0
    table = task.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    sessions = _sessions(task, plugins, DataFolders.default(data_dir)) if task.prompt.turns else None
    if as_json:
        prompts = [_prompt(request) for request in requests]
        more = {} if sessions is None else {"sessions": sessions}
        click.echo(as_json_text({**table, **more, "prompts": prompts}))
        return code
    import tomli_w

    click.echo(tomli_w.dumps(table, multiline_strings=True).rstrip())
    if sessions is not None:
        click.echo(f"\n# {sessions['sessions']:,} sessions with {sessions['turns']:,} turns")
        if sessions["cache_share"] is not None:
            click.echo(
                f"# a prefix cache without a limit holds {100 * sessions['cache_share']:.1f} % of the input "
                f"(counted in {sessions['cache_unit']})"
            )
    for request in requests:
        click.echo(f"\n── {task.name} {request.id} " + "─" * 40)
        if isinstance(request, BrokenRow):
            click.echo(f"cannot be sent: {request.error}")
            continue
        if request.messages is None:
            click.echo(request.text)
            continue
        for message in request.messages:
            click.echo(f"[{message.role}]\n{_message_text(message)}")
    return code


def _sessions(task: Task, plugins: Plugins, folders: DataFolders) -> dict[str, Any] | None:
    """Return the number of sessions and turns of a task, and what a cache could hold; None without data."""
    from aisb import DataMissing
    from aisb_engine import load_samples, prefix_cache_share

    try:
        samples = load_samples(task, plugins, folders)
    except DataMissing:
        return None
    field = str(task.prompt.turns).strip("{}")
    share = prefix_cache_share(samples.samples)
    return {
        "sessions": len(samples),
        "turns": sum(len(sample.fields[field]) for sample in samples),
        "cache_share": None if share is None else share.share,
        "cache_unit": None if share is None else share.unit,
    }


@tasks.command("new")
@click.argument("data", type=click.Path(path_type=Path), metavar="FILE")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="TASK",
    help="Task file to write [default: FILE with .toml].",
)
@column_options
@click.option("--data-type", metavar="TYPE", help="mcq, qa or media [default: detected from the columns].")
@click.option("--infer-method", metavar="METHOD", help="gen, or ppl: compare the options' likelihood.")
@click.option(
    "--meta-path",
    type=click.Path(path_type=Path),
    metavar="META",
    help="Number of rows and output lengths [default: FILE.meta.json].",
)
@click.option("--force", is_flag=True, help="Replace an existing task file.")
@click.pass_context
def new_command(
    context: click.Context,
    /,
    data: Path,
    *,
    output: Path | None,
    data_type: str | None,
    infer_method: str | None,
    meta_path: Path | None,
    force: bool,
    **columns: Any,
) -> None:
    """Write a task file for the .jsonl, .json, .csv or .parquet file FILE, ready to run.

    \b
    The columns determine the type of its rows:
      question, A, B, …, answer       multiple choice (mcq)
      question, answer                an open question (qa)
      type, path, question, answer    a question on an image, audio, video (media)
    Other common names are detected; --question, --answer, --choices set any.

    \b
      aisb tasks new my-questions.csv
    """  # noqa: D301 - \b is for click
    import shlex

    import tomli_w

    from aisb import UsageError
    from aisb_engine import Catalog, task_from_data_file

    output = output or data.with_name(f"{data.name.partition('.')[0]}.toml")
    if output.suffix != ".toml":
        raise UsageError(f"{output}: a task file ends with .toml")
    shared.refuse_existing(output, force=force)
    grading = Catalog(shared.load_plugins(context)).grading
    table = task_from_data_file(
        data,
        grading,
        data_type=data_type,
        method=infer_method,
        meta=meta_path,
        beside=output.parent,
        columns=named_columns(**columns),
    )
    text = NEW_HEAD + tomli_w.dumps(table, multiline_strings=True)
    output.write_text(text, encoding="utf-8")
    name = str(output) if output.is_absolute() else f"./{output}"
    click.echo(f"wrote {output}; to see its first prompt, and to try it without a model:")
    click.echo(f"  aisb tasks show {shlex.quote(name)} --sample 1")
    click.echo(f"  aisb run --models sim --datasets {shlex.quote(name)}")


def _wrapped(text: str, lead: str) -> None:
    """Print a text wrapped at the terminal's width, with continued lines indented."""
    width = max(shutil.get_terminal_size((80, 24)).columns, 40)
    click.echo(
        textwrap.fill(
            text,
            width,
            initial_indent=lead,
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    )


def _message_text(message: Message) -> str:
    """Return a turn as text: other parts by their kind and address."""
    if isinstance(message.content, str):
        return message.content
    parts = [
        part.value if part.kind == "text" else f"<{part.kind} {_start(part.value)}>"
        for part in message.content
    ]
    return "\n".join(parts)


def _start(address: str) -> str:
    """Return an address; of a long one, such as a data URL, the beginning."""
    return address if len(address) <= 200 else f"{address[:60]}…"


def _prompt(request: Request | BrokenRow) -> Any:
    from aisb_engine import BrokenRow, prompt_of

    return {"error": str(request.error)} if isinstance(request, BrokenRow) else prompt_of(request)
