"""Shell completion for names of models, tasks and runs. It must not print, fail, or take long."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aisb_engine.command_options import complete_last, complete_runs

if TYPE_CHECKING:
    import click

    from aisb_engine import Catalog, Plugins

__all__ = ["complete_models", "complete_runs", "complete_tasks"]


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
        return complete_last(names, incomplete)
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
            return complete_last([f"{name}:{variant}" for variant in variants], incomplete)
        tasks = [entry.name for entry in catalog.entries("task")]
        return complete_last([*tasks, *catalog.aliases, *own.get("tasks", {})], incomplete)
    return []


def _offered() -> tuple[Plugins, Catalog, dict[str, Any]]:
    from aisb_engine import Catalog, Plugins, read_toml

    own = read_toml(Path("aisb.toml")) if Path("aisb.toml").is_file() else {}
    plugins = Plugins.load()
    return plugins, Catalog(plugins), own
