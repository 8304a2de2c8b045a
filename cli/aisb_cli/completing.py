"""Shell completion for names of models, tasks and runs. It must not print, fail, or take long."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import click

    from aisb_engine import Catalog, Plugins

WORK_DIR = Path("outputs/default")


def complete_models(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete names of models and backends; after a comma, the next name."""
    del context, parameter
    with suppress(Exception):
        plugins, catalog, own = _offered()
        names = [
            *(entry.name for entry in catalog.entries("model")),
            *plugins.names("backend"),
            *own.get("models", {}),
        ]
        return _fitting(names, incomplete)
    return []


def complete_tasks(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete names and aliases of tasks; after a colon, variants of the task."""
    del context, parameter
    with suppress(Exception):
        from aisb_engine import Selection, read_toml

        _, catalog, own = _offered()
        name, colon, _ = incomplete.rpartition(",")[2].partition(":")
        if colon:
            _, entry = catalog.find("task", Selection.parse(name), own.get("tasks", {}))
            variants = read_toml(entry.path).get("variants", {}) if entry else {}
            return _fitting([f"{name}:{variant}" for variant in variants], incomplete)
        tasks = [entry.name for entry in catalog.entries("task")]
        return _fitting([*tasks, *catalog.aliases, *own.get("tasks", {})], incomplete)
    return []


def complete_runs(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete names and tags of runs in the work folder, the latest first."""
    del parameter
    with suppress(Exception):
        from aisb_engine import RunFolder

        work_dir = Path(context.params.get("work_dir") or WORK_DIR)
        found = list(reversed(RunFolder.list(work_dir)))
        tags = [tag for run in found for tag in run.tags]
        return _fitting(["latest", *tags, *(run.timestamp for run in found)], incomplete)
    return []


def _fitting(names: Iterable[str], incomplete: str) -> list[str]:
    """Return the names that match the text after the last comma, with the text before it."""
    before, comma, last = incomplete.rpartition(",")
    fitting = dict.fromkeys(name for name in names if name.startswith(last))
    return [before + comma + name for name in fitting]


def _offered() -> tuple[Plugins, Catalog, dict[str, Any]]:
    from aisb_engine import Catalog, Plugins, read_toml

    own = read_toml(Path("aisb.toml")) if Path("aisb.toml").is_file() else {}
    plugins = Plugins.load()
    return plugins, Catalog(plugins), own
