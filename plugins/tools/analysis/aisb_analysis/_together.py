"""Report the runs of a search or a sweep together, in its folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from aisb_engine import Plugins


def show_together(
    runs: Iterable[Path],
    into: Path,
    plugins: Plugins,
    *,
    reporters: Sequence[str] = (),
    printed: bool = True,
    notes: Sequence[str] = (),
    heading: str = "",
) -> int:
    """Let reporters show several runs in a folder; return 1 if one failed, else 0.

    Without `reporters`, all reporters that support several runs are used. With `printed` they also print, and
    name their files. `heading` and `notes` are at the top of the page, if the reporter html is installed.
    """
    from aisb_engine import (
        PluginFaults,
        RunFolder,
        report_several,
        reporter_names,
        reporter_table,
        split_names,
    )

    names = split_names(reporters) or reporter_names("several", plugins)
    table = reporter_table(None, names, ())
    if not printed and "text" in names:
        table.reporter_options["text"] = {"show": False}
    if (notes or heading) and "html" in names:
        table.reporter_options["html"] = {"notes": list(notes), "heading": heading}
    faults = PluginFaults()
    _, files = report_several(table, [RunFolder(run) for run in runs], into, plugins, faults)
    for line in (*(files if printed else ()), *faults.lines()):
        click.echo(line, err=True)
    return 1 if faults.faults else 0
