"""The options of `aisb run` for user-provided data files without a task file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from aisb_engine import DataColumns

COLUMN_FLAGS = ("question", "answer", "choices")
OWN_DATA_FLAGS = (
    *COLUMN_FLAGS,
    "custom_dataset_path",
    "custom_dataset_data_type",
    "custom_dataset_infer_method",
    "custom_dataset_meta_path",
)

_COLUMN_OPTIONS = (
    click.option("--question", metavar="COL", help="Column of the question; several (a,b) are joined."),
    click.option("--answer", metavar="COL", help="Column of the reference answer."),
    click.option(
        "--choices", metavar="COL", help="Column with the list of options, or one for each (a,b,c)."
    ),
)
_OPTIONS = (
    *_COLUMN_OPTIONS,
    click.option(
        "--custom-dataset-path",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="A data file, as in --datasets FILE; aisb tasks new makes a task of it.",
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


def column_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name the columns of a data file."""
    for option in reversed(_COLUMN_OPTIONS):
        command = option(command)
    return command


def named_columns(question: str | None, answer: str | None, choices: str | None) -> DataColumns:
    """Return the columns that these flags name."""
    from aisb_engine import DataColumns

    return DataColumns(_listed(question), answer, _listed(choices))


def selected_tasks(flags: dict[str, Any], file: Path | None) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Return the names of the tasks to run, and by name the tables of those that data files become."""
    from aisb_engine import is_data_file

    path = flags["custom_dataset_path"]
    names: list[str | Path] = [name for text in flags["datasets"] for name in _names(text)]
    names += [path] if path else []
    own = [name for name in names if isinstance(name, Path) or is_data_file(name)]
    set_flags = [name for name in OWN_DATA_FLAGS if flags[name] is not None and name != "custom_dataset_path"]
    if set_flags and not own:
        flag = f"--{set_flags[0].replace('_', '-')}"
        raise click.UsageError(f"{flag} needs a data file: --datasets FILE, or --custom-dataset-path FILE")
    meta = flags["custom_dataset_meta_path"]
    if meta and len(own) > 1:
        raise click.UsageError(
            f"--custom-dataset-meta-path {meta} is for one data file, and there are {len(own)}"
        )
    if not own:
        return [str(name) for name in names], {}
    from aisb_engine import Catalog, Plugins, read_user_file, tasks_from_data_files

    return tasks_from_data_files(
        names,
        Catalog(Plugins.load()),
        taken=read_user_file(file).get("tasks", {}) if file else {},
        data_type=flags["custom_dataset_data_type"],
        method=flags["custom_dataset_infer_method"],
        meta=meta,
        columns=named_columns(*(flags[name] for name in COLUMN_FLAGS)),
    )


def _names(text: str) -> Sequence[str]:
    """Return the names in the value of `--datasets`; the path of a file may have spaces and commas."""
    from aisb_engine import is_data_file, split_names

    return [text] if is_data_file(text) and Path(text).is_file() else split_names([text])


def _listed(text: str | None) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()] if text else []
