"""`aisb config import`: convert config files of AISBench to an `aisb.toml`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisb import ConfigError, UsageError
from aisb_cli import shared_options as shared
from aisb_compat_aisbench._convert import Converted, add_file, convert, keep_secrets
from aisb_compat_aisbench._datasets import TaskMapper
from aisb_compat_aisbench._files import config_files, read_config

if TYPE_CHECKING:
    from aisb_engine import Plugins

FILE_HEADER = """\
# Converted from {source} by aisb config import, for `aisb run`. It contains AISBench's defaults for missing
# keys: one request at a time, {retries} retries, no time limit. Flags and --set override it.
"""


@click.command("import")
@click.argument("source", type=click.Path(path_type=Path), metavar="FILE.py|FOLDER")
@click.option(
    "--config-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A folder below which the file may include others, such as a copy of ais_bench/benchmark/configs.",
)
@shared.new_configuration
@click.pass_context
def import_(
    context: click.Context, source: Path, config_dir: Path | None, output: Path, *, force: bool
) -> int:
    """Convert Python config files of AISBench to an equivalent aisb.toml.

    Files are not run; parts that cannot be read are reported with their lines. In a folder, all files that
    define models or data sets are read; files that are left out are listed, and the exit code is then 1.

    \b
      aisb config import demo_infer_vllm_api.py
      aisb config import ais_bench/benchmark/configs/models -o models.toml
    """  # noqa: D301 - \b is for click
    shared.refuse_existing(output, force=force)
    if config_dir is not None and not config_dir.is_dir():
        raise UsageError(f"--config-dir {config_dir}: there is no such folder")
    folders = [config_dir] if config_dir else []
    plugins = context.obj.load_plugins()
    left_out: list[str] = []
    if source.is_dir():
        converted = _folder(source, folders, plugins, left_out)
    else:
        converted = convert(read_config(source, folders), plugins)
    keys = keep_secrets(converted, output if source.is_dir() else output.with_name(source.name))
    output.write_text(_text(source, converted), encoding="utf-8")
    for note in [*converted.notes, *left_out]:
        click.echo(note, err=True)
    for file in keys:
        click.echo(f"the API key is in {file}, which only you can read, and not in {output}", err=True)
    models, tasks = len(converted.models), len(converted.selected)
    click.echo(f"wrote {output}: {_count(models, 'model')}, {_count(tasks, 'task')}")
    return 1 if left_out else 0


def _folder(source: Path, folders: list[Path], plugins: Plugins, left_out: list[str]) -> Converted:
    """Read all files of a folder that define models or data sets; list unreadable ones in `left_out`."""
    converted, mapper = Converted(), TaskMapper.of(plugins)
    for path in config_files(source):
        try:
            add_file(converted, read_config(path, [source, *folders]), mapper)
        except ConfigError as error:
            left_out.append(f"left out: {error}")
    if not converted.models and not converted.selected:
        why = "\n  ".join(["", *left_out])
        raise UsageError(f"{source} contains no config file with models or data sets{why}")
    return converted


def _text(source: Path, converted: Converted) -> str:
    import tomli_w

    from aisb_compat_aisbench._models import RETRIES

    tables: dict[str, Any] = converted.tables()
    if not converted.models or not converted.selected:
        tables["run"] = {key: value for key, value in tables["run"].items() if value}
    head = FILE_HEADER.format(source=source.name, retries=RETRIES)
    notes = "".join(f"# {note}\n" for note in converted.notes)
    return head + notes + "\n" + tomli_w.dumps(tables, multiline_strings=True)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
