"""The options of `aisb run` that evaluate rows of your own data file, without a task file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

OWN_DATA_FLAGS = (
    "custom_dataset_path",
    "custom_dataset_data_type",
    "custom_dataset_infer_method",
    "custom_dataset_meta_path",
)

_OPTIONS = (
    click.option(
        "--custom-dataset-path",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Evaluate rows of a .jsonl or .csv file; aisb tasks new makes a task of it.",
    ),
    click.option(
        "--custom-dataset-data-type",
        metavar="TYPE",
        help="mcq, qa or media [default: by its columns].",
    ),
    click.option(
        "--custom-dataset-infer-method",
        metavar="METHOD",
        help="gen, or ppl: compare the options' likelihood [default: gen].",
    ),
    click.option(
        "--custom-dataset-meta-path",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Number of rows and output lengths [default: FILE.meta.json].",
    ),
)


def own_data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add these options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def own_tasks(flags: dict[str, Any], file: Path | None) -> dict[str, dict[str, Any]]:
    """Return the task for these flags, by the name of its data file; empty without a file."""
    path, data_type, method, meta = (flags[name] for name in OWN_DATA_FLAGS)
    if path is None:
        for name, value in zip(OWN_DATA_FLAGS[1:], (data_type, method, meta), strict=True):
            if value is not None:
                flag = f"--{name.replace('_', '-')}"
                raise click.UsageError(f"{flag} needs --custom-dataset-path")
        return {}
    from aisb_engine import Catalog, Plugins, own_task, read_user_file, safe_name

    catalog = Catalog(Plugins.load())
    table = own_task(path, catalog.grading, data_type=data_type, method=method, meta=meta)
    name = safe_name(path.name.partition(".")[0])
    taken = {entry.name for entry in catalog.entries("task")} | set(catalog.aliases)
    taken |= set(read_user_file(file).get("tasks", {})) if file else set()
    return {f"{name}-custom" if name in taken else name: table}
