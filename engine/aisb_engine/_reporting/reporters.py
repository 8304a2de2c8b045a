"""Select, create and call the reporters of a run; one that fails is recorded, and the others go on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from aisb import FinishedRun, Reporter
from aisb._errors import PluginError
from aisb._plugins import Plugins
from aisb._report import RunKind
from aisb_engine._faults import RAISED, PluginFaults, owner

if TYPE_CHECKING:
    from aisb_engine._spec import RunTable


def chosen_reporters(run: RunTable, plugins: Plugins, kinds: Sequence[RunKind]) -> list[str]:
    """Return the reporters of a run: those of its configuration, else the defaults for these kinds."""
    if "reporters" in run.model_fields_set:
        return run.reporters
    return list(dict.fromkeys(name for kind in kinds for name in reporter_names(kind, plugins)))


def reporter_names(kind: RunKind, plugins: Plugins) -> list[str]:
    """Return the installed reporters that report on a kind of run by default, in the order of their plugins.

    A reporter that cannot be imported is omitted; the error is raised if a user names it.
    """
    names = dict.fromkeys(name for info in plugins.infos for name in info.offers.get("reporter", ()))
    found = []
    for name in names:
        with suppress(PluginError):
            factory = plugins.find("reporter", name).factory
            if kind in getattr(factory, "default_for", ()):
                found.append(name)
    return found


def make_reporters(run: RunTable, plugins: Plugins, kinds: Sequence[RunKind]) -> list[tuple[str, Reporter]]:
    """Create the reporters of a run for these kinds, each with its name.

    Raises:
        UsageError: a reporter is unknown or cannot be created.
    """
    return [
        (
            name,
            plugins.make(
                "reporter", name, run.reporter_options.get(name, {}), where=f"run.reporter_options.{name}"
            ),
        )
        for name in chosen_reporters(run, plugins, kinds)
    ]


def show_run(
    finished: FinishedRun,
    reporters: Iterable[tuple[str, Reporter]],
    plugins: Plugins,
    faults: PluginFaults,
) -> list[Path]:
    """Call reporters; return the files they wrote. `faults` records the exception of one that fails."""
    written: list[Path] = []
    with suppress(OSError):  # on a full disk each reporter tells what it could not write
        (finished.folder / "summary").mkdir(parents=True, exist_ok=True)
    for name, reporter in reporters:
        try:
            written += written_files(reporter.report(finished))
        except RAISED as error:  # a reporter must not end the others
            faults.record(f"reporter {name!r}", owner(plugins, "reporter", name), error, during="report")
    return written


def written_files(returned: object) -> list[Path]:
    """Return the files that a reporter wrote.

    Raises:
        TypeError: it returned another type.
    """
    if isinstance(returned, str) or not isinstance(returned, Iterable):
        raise TypeError(f"report() returned {returned!r}; it must return the files that it wrote")
    return list(returned)
