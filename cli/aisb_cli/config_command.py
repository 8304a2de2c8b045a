"""`aisb config`: write a configuration file with your models, tasks and load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisb_cli import shared_options as shared
from aisb_cli.grouped_help import Listing

if TYPE_CHECKING:
    from aisb_engine import Plugins

FILE_HEADER = """\
# Your own models and tasks for aisb. `aisb run` reads ./aisb.toml, or the file given with -c.
# A table with the name of an installed model or task overrides its keys. Any other name defines a new one,
# and `base` names the installed one that it extends. Flags and --set override this file.
# Lines that begin with `#` show the values of keys that are not set.

[run]
# models = ["mine"]
# datasets = ["gsm8k"]

[load]
# concurrency = 32        # requests in flight, for each subtask
# retries = 3             # for connections that fail, 408, 429, 5xx and cut streams
# num_prompts = 100       # only the first samples of each task
"""


@click.group(cls=Listing)
def config() -> None:
    """Write a configuration file to start from."""


@config.command("init")
@click.option("--models", multiple=True, metavar="NAME", help="Write this model's options (repeatable).")
@click.option("--datasets", multiple=True, metavar="NAME", help="Write this task's keys (repeatable).")
@shared.new_configuration
@click.pass_context
def init_command(
    context: click.Context, models: tuple[str, ...], datasets: tuple[str, ...], output: Path, *, force: bool
) -> None:
    """Write a commented aisb.toml; with --models and --datasets, with all their keys and current values.

    \b
      aisb config init --models vllm_api_stream_chat --datasets gsm8k
    """  # noqa: D301 - \b is for click
    from aisb_engine import split_names

    shared.refuse_existing(output, force=force)
    plugins = shared.load_plugins(context)
    names = split_names(models) or ["vllm_api_stream_chat"]
    parts = [FILE_HEADER, *(_model_part(plugins, name, is_selected=bool(models)) for name in names)]
    parts += [_task_part(plugins, name) for name in split_names(datasets)]
    output.write_text("\n".join(parts), encoding="utf-8")
    click.echo(f"wrote {output}")


def _model_part(plugins: Plugins, name: str, *, is_selected: bool) -> str:
    """Return a model's table: its options with their help, each commented out with its current value."""
    from aisb_engine import Catalog, Resolver, RunInput, factory_options

    layers = Resolver(plugins, Catalog(plugins), RunInput()).model(name)
    table = layers.table
    factory = plugins.find("backend", str(table["backend"])).factory
    title = name if is_selected else "mine"
    lines = [f"[models.{_key(title)}]"]
    if not is_selected:
        lines.append(f"base = {_toml(name)}")
    lines += ["", f"[models.{_key(title)}.options]"]
    for option in factory_options(factory):
        value = table.get("options", {}).get(option.name, None if option.required else option.default)
        text = _toml(value) if value is not None else "…"
        lines.append(f"# {option.name} = {text}" + (f"    # {option.help}" if option.help else ""))
    lines += ["", f"[models.{_key(title)}.params]    # sent unchanged"]
    lines += [f"# {key} = {_toml(value)}" for key, value in layers.file_params.items()]
    return "\n".join(lines) + "\n"


def _task_part(plugins: Plugins, name: str) -> str:
    """Return a task's table with its current keys, each commented out."""
    import tomli_w

    from aisb_engine import Catalog, Resolver, RunInput

    task = Resolver(plugins, Catalog(plugins), RunInput()).show(name)
    table = task.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    for key in ("name", "base", "variant"):
        table.pop(key, None)
    nested = tomli_w.dumps({"tasks": {task.name: table}}, multiline_strings=True)
    commented = "\n".join(f"# {line}" if line else "" for line in nested.splitlines())
    return f"[tasks.{_key(task.name)}]\n{commented}\n"


def _key(name: str) -> str:
    return name if name.replace("-", "").replace("_", "").isalnum() and name.isascii() else _toml(name)


def _toml(value: Any) -> str:
    import tomli_w

    plain = list(value) if isinstance(value, tuple) else value
    try:
        return (
            tomli_w.dumps({"x": plain}).removeprefix("x = ").strip() if not isinstance(plain, dict) else "{}"
        )
    except TypeError:
        return repr(value)
