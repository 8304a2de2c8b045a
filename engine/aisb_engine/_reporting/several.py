"""Show several performance runs together, in a folder that belongs to none of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aisb import FinishedRun, Reporter, UsageError
from aisb_engine._faults import RAISED, PluginFaults, owner
from aisb_engine._reporting.finished import open_finished_run
from aisb_engine._reporting.reporters import make_reporters, reporter_names, written_files

if TYPE_CHECKING:
    from aisb._plugins import Plugins
    from aisb_engine._record.runfolder import RunFolder
    from aisb_engine._spec import RunTable


def report_several(
    run: RunTable, folders: Sequence[RunFolder], into: Path, plugins: Plugins, faults: PluginFaults
) -> tuple[list[FinishedRun], list[Path]]:
    """Let reporters show runs together in the folder `into`, which is made; return them and the files.

    `run` names the reporters and has their options. Each run is measured by its own configuration. A
    reporter that fails is recorded in `faults`.

    Raises:
        RunError: a run folder is broken.
        UsageError: a run is no performance run, or a reporter shows one run at a time only.
    """
    reporters = make_reporters(run, plugins, ("several",))
    for name, reporter in reporters:
        _refuse_single(name, reporter, plugins)
    runs = [open_finished_run(folder.path, plugins=plugins) for folder in folders]
    _refuse_accuracy(runs)
    into.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for name, reporter in reporters:
        try:
            written += written_files(reporter.report_several(runs, into))
        except RAISED as error:  # the other reporters still show the runs
            faults.record(f"reporter {name!r}", owner(plugins, "reporter", name), error, during="report")
    return runs, written


def _refuse_single(name: str, reporter: Reporter, plugins: Plugins) -> None:
    if getattr(type(reporter), "report_several", Reporter.report_several) is Reporter.report_several:
        able = ", ".join(reporter_names("several", plugins)) or "none is installed"
        raise UsageError(f"the reporter {name!r} shows one run at a time; reporters for several runs: {able}")


def _refuse_accuracy(runs: Sequence[FinishedRun]) -> None:
    for run in runs:
        if not run.is_performance:
            raise UsageError(
                f"{run.folder} is an accuracy run; only performance runs can be shown together\n"
                "  aisb compare RUN_A RUN_B compares scores, and aisb view shows many runs"
            )
