r'''The hooks of aisb. A plugin is a module that implements some of them, with an entry point in group `aisb`.

A complete plugin that offers a postprocessor:

    """Find the shouted word."""
    import re
    from typing import Annotated
    from aisb import Sample, hookimpl

    def shouted(*, least: Annotated[int, "minimum word length"] = 3):
        """The last word in capitals."""
        def step(text: str, sample: Sample) -> str | None:
            words = re.findall(rf"\b[A-Z]{{{least},}}\b", text)
            return words[-1] if words else None
        return step

    @hookimpl
    def aisb_postprocessors():
        return {"shouted": shouted}

Its pyproject.toml has:

    [project.entry-points.aisb]
    shouted = "aisb_shouted"

Every command loads every plugin. If a factory is slow to import, the hook returns its import path
instead, in the form of an entry point: `{"shouted": "aisb_shouted.steps:shouted"}`. The factory is imported
at its first use.
'''

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable  # at run time it would import tempfile, shutil and random

    from aisb._backend import Backend
    from aisb._environment import Environment
    from aisb._evaluator import Evaluator, Postprocessor
    from aisb._report import Reporter
    from aisb._running import Command, Importer, Launcher
    from aisb._types import Row

PROJECT = "aisb"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin's module as the implementation of a hook: `@hookimpl`."""


@hookspec
def aisb_backends() -> Mapping[str, Callable[..., Backend] | str]:  # type: ignore[empty-body]
    """Return backends by name: `{"shout": Shout}`, where `Shout(url=…)` returns a `Backend`."""


@hookspec
def aisb_datasets() -> Mapping[str, Callable[..., Iterable[Row]] | str]:  # type: ignore[empty-body]
    """Return datasets by name: `{"dice": dice}`, where `dice(count=10)` yields rows (mappings)."""


@hookspec
def aisb_postprocessors() -> Mapping[str, Callable[..., Postprocessor] | str]:  # type: ignore[empty-body]
    """Return postprocessors by name: `{"shouted": shouted}`, where `shouted(least=3)` returns a step."""


@hookspec
def aisb_evaluators() -> Mapping[str, Callable[..., Evaluator] | str]:  # type: ignore[empty-body]
    """Return evaluators by name: `{"longer": Longer}`, where `Longer()` returns an `Evaluator`."""


@hookspec
def aisb_environments() -> Mapping[str, Callable[..., Environment] | str]:  # type: ignore[empty-body]
    """Return environments by name: `{"shop": shop}`, where `shop(stock=3)` returns an `Environment`."""


@hookspec
def aisb_reporters() -> Mapping[str, Callable[..., Reporter] | str]:  # type: ignore[empty-body]
    """Return reporters by name: `{"slack": Slack}`, where `Slack(channel=…)` returns a `Reporter`."""


@hookspec
def aisb_launchers() -> Mapping[str, Callable[..., Launcher] | str]:  # type: ignore[empty-body]
    """Return launchers by name: `{"ssh": Ssh}`, where `Ssh(hosts=…)` returns a `Launcher`."""


@hookspec
def aisb_importers() -> Mapping[str, Callable[..., Importer] | str]:  # type: ignore[empty-body]
    """Return importers by name: `{"helm": Helm}`, where `Helm()` returns an `Importer`."""


@hookspec
def aisb_commands() -> Iterable[Command]:  # type: ignore[empty-body]
    """Return commands: `[Command("cost", "Print the cost of a run.", "aisb_cost.command:cost")]`.

    Unlike the other hooks, this one belongs to the entry-point group `aisb.commands`, so that `aisb --help`
    imports only the modules that declare commands.
    """


@hookspec
def aisb_configs() -> Iterable[Traversable]:  # type: ignore[empty-body]
    """Return folders with `tasks/*.toml`, `models/*.toml` and `aliases.toml`: `[files("aisb_shout")]`."""
