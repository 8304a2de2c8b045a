"""Show what `aisb run` would do, without running it: the source of each name, and the requests to send."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from aisb_cli.terminal import as_json_text

if TYPE_CHECKING:
    from aisb_engine import LoadedSamples, PluginFaults, Plugins, RunCommand, RunSpec


OVERRIDING = (
    "Override any key with --set PATH=VALUE or in aisb.toml (see aisb config init); "
    "installed files are not changed."
)


def print_sources(command: RunCommand, plugins: Plugins, *, as_json: bool) -> None:
    """Print the source of each selected name; of all names if none is selected."""
    found = list(sources(command, plugins))
    if as_json:
        keys = ("kind", "name", "source")
        rows = [dict(zip(keys, (flag.strip("-"), name, source), strict=True)) for flag, name, source in found]
        click.echo(as_json_text(rows))
        return
    from tabulate import tabulate

    click.echo(tabulate(found, headers=("Task Type", "Task Name", "Config File Path"), tablefmt="grid"))
    click.echo(OVERRIDING)


def sources(command: RunCommand, plugins: Plugins) -> Iterator[tuple[str, str, str]]:
    """Yield the flag, the name and the source of each name: a file, or `plugin:NAME` for a bare backend."""
    from aisb_engine import Catalog, Selection, read_user_file, split_names

    catalog = Catalog(plugins)
    file, backends = command.run_input.file, plugins.names("backend")
    user = read_user_file(file) if file else {}
    models, datasets = split_names(command.run_input.models), split_names(command.run_input.datasets)
    if not models and not datasets:
        models = [*(entry.name for entry in catalog.entries("model")), *user.get("models", {}), *backends]
        tasks = (entry.name for entry in catalog.entries("task"))
        datasets = [*tasks, *user.get("tasks", {}), *catalog.aliases]
    for name in models:
        if name in backends:
            yield "--models", name, f"plugin:{name}"
            continue
        _, entry = catalog.find("model", Selection(name), user.get("models", ()))
        yield "--models", name, str(entry.path if entry else file)
    for name in datasets:
        _, entry = catalog.find("task", Selection.parse(name), user.get("tasks", ()))
        yield "--datasets", name, str(entry.path if entry else file)


def print_plan(command: RunCommand, plugins: Plugins, *, as_json: bool) -> int:
    """Print the requests to send, then the resolved configuration; return 1 if a plugin raised, else 0."""
    from aisb_engine import PluginFaults, plan_run, run_configuration

    spec, _ = plan_run(command, plugins)
    faults = PluginFaults()
    rows = list(_request_count(spec, plugins, command, faults))
    for line in (*spec.doubts, *faults.lines()):
        click.echo(line, err=True)
    code = 1 if faults.faults else 0
    if as_json:
        table = {"subtasks": rows, "configuration": run_configuration(spec)}
        click.echo(as_json_text(table))
        return code
    import tomli_w
    from tabulate import tabulate

    shown = [
        (row["model"], row["task"], row["requests"], row["prompt"], row["in_flight"] or "backend's")
        for row in rows
    ]
    click.echo(tabulate(shown, headers=("model", "task", "requests", "prompt", "in flight")))
    click.echo(f"\n{tomli_w.dumps(run_configuration(spec), multiline_strings=True)}", nl=False)
    return code


def _request_count(
    spec: RunSpec, plugins: Plugins, command: RunCommand, faults: PluginFaults
) -> Iterator[dict[str, Any]]:
    """Yield a summary of the requests of each subtask, except those of a task whose dataset raises.

    Raises:
        PluginError: the datasets of all tasks raise.
    """
    from aisb import PluginError
    from aisb_engine import BrokenRow, ComponentError, DataFolders, load_samples, select_rows

    folders = DataFolders.default(command.data_dir)
    loads: dict[str, LoadedSamples] = {}
    for name, task in spec.tasks.items():
        try:
            loaded = load_samples(task, plugins, folders)
        except ComponentError as error:
            faults.add(error, f"task {name}")
            continue
        loads[name] = loaded
        for row in loaded.broken:
            faults.add(row.error, f"sample {row.id} of {name}")
    if faults.faults and not loads:
        raise PluginError("\n  ".join(["there is nothing to send", *faults.lines()]))
    for subtask in spec.subtasks:
        task, all_rows = spec.tasks[subtask.task], loads.get(subtask.task)
        wanted = (
            select_rows(task, all_rows, subtask, spec.run, performance=command.mode == "perf")
            if all_rows
            else []
        )
        samples = sum(not isinstance(row, BrokenRow) for row in wanted)
        prompt = task.prompt
        yield {
            "model": subtask.model,
            "task": subtask.task,
            "requests": samples * subtask.repeats,
            "prompt": f"{prompt.shots}-shot {prompt.style}",
            "in_flight": subtask.load.concurrency,
        }
