"""Inspect the machines of a launcher, if the launcher supports it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, cast, runtime_checkable

from aisb import RunError
from aisb_cli.doctor import CheckState, Finding
from aisb_engine import Plugins, launcher_options


@runtime_checkable
class Inspected(Protocol):
    """A launcher that can inspect the machines on which it places workers."""

    def inspect(self) -> Iterable[Mapping[str, str]]:
        """Yield findings: `name`, `state` (ok, note or problem), `text`, and `remedy`."""


def check_launcher(plugins: Plugins, name: str, sets: Sequence[str]) -> Iterator[Finding]:
    """Yield a launcher's findings about its machines.

    Raises:
        ConfigError: a setting is not one of the launcher's options.
        UsageError: there is no such launcher, or it lacks a package.
    """
    area = f"launcher {name}"
    options = launcher_options(sets)
    try:
        launcher: Any = plugins.make("launcher", name, options, where="launcher")
        if not isinstance(launcher, Inspected):
            yield Finding(area, "check", "ok", "this launcher has no checks")
            return
        for found in launcher.inspect():
            state = cast("CheckState", found["state"])
            yield Finding(area, found["name"], state, found["text"], found.get("remedy", ""))
    except RunError as error:
        yield Finding(area, "check", "problem", str(error))
