"""What a performance run measured, for the summary: computed from its log as the performance tables are."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aisb._report import FinishedRun

if TYPE_CHECKING:
    from aisb_engine._performance.performance import Performance

TIMES = ("TTFT", "TPOT", "E2EL")


def is_performance(run: FinishedRun) -> bool:
    """Say whether a run is one of load, whose numbers are times and rates."""
    return bool(_run_table(run.folder).get("performance"))


def performances(run: FinishedRun) -> list[Performance]:
    """Return what was measured of each subtask of a performance run; nothing for other runs.

    Percentiles, objectives and the tokenizer are those that the run's performance tables were asked for.
    """
    from aisb_engine._performance.performance import measure_for_run
    from aisb_engine._record.runfolder import RunFolder

    if not is_performance(run):
        return []
    folder = RunFolder(run.folder)
    return [measure_for_run(folder, model, task) for model, task in asked(run)]


def asked(run: FinishedRun) -> list[tuple[str, str]]:
    """Return the (model, task) pairs that have a log, in the run's order."""
    logs = {path.parent.parts[-2:] for path in run.folder.glob("log/*/*/worker-*")}
    subtasks = config(run.folder).get("subtasks", [])
    order = {(pair["model"], pair["task"]): place for place, pair in enumerate(subtasks)}
    return sorted(
        ((model, task) for model, task in logs), key=lambda pair: (order.get(pair, len(order)), pair)
    )


def numbers(found: Performance) -> Iterator[tuple[str, float | None]]:
    """Yield the numbers of a subtask that stand in a summary, each with its unit in the name."""
    total = found.stages[0]
    for name in TIMES:
        spread = total.parameters[name]
        yield f"{name} median (ms)", spread.median if spread else None
        percent = max(found.percentiles, default=None)
        if percent is not None:
            yield f"{name} P{percent:g} (ms)", spread.percentiles[percent] if spread else None
    yield "requests/s", total.common.request_rate
    yield "output tokens/s", total.common.output_rate


def _run_table(folder: Path) -> Mapping[str, Any]:
    table: Mapping[str, Any] = config(folder).get("run", {})
    return table


def config(folder: Path) -> dict[str, Any]:
    """Return the resolved configuration of a run; nothing where there is none that can be read."""
    from aisb_engine._record.runfolder import RunFolder

    with suppress(OSError, ValueError):
        return tomllib.loads(RunFolder(folder).config.read_text("utf-8"))
    return {}
