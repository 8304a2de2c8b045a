"""Performance results of another tool: the values that an importer returns, and their files in a run folder.

If the tool kept the times of single requests, they become a log like any other, and everything is measured
from it. If it kept only its own numbers, these are stored next to the place of the log (`imported.json`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from aisb import ImportedAnswer, ImportedRow, ImportedTask, Prediction, Stage, Timing, Usage, UsageError
from aisb_engine._record.loadfiles import IMPORTED
from aisb_engine._record.log import LogWriter
from aisb_engine._record.runfolder import RunFolder, write_atomically
from aisb_engine._resolve.names import safe_name
from aisb_engine._spec import Task


@dataclass(frozen=True, slots=True)
class TimedAnswer(ImportedAnswer):
    """An answer with its times, in nanoseconds since the tool sent its first request."""

    timing: Timing = field(default_factory=Timing)


@dataclass(frozen=True, slots=True)
class ImportedPerformance(ImportedTask):
    """A performance run of another tool.

    The answers of its rows are `TimedAnswer`s. A tool that keeps no times of single requests has no rows, but
    a `stage` with its own numbers; numbers that it does not have are None, and NaN in distributions. `load`
    has the requested load with keys of `[load]`, and `planned` the number of requests. `chunk_times` tells
    that the times of all chunks are known, and not only those of the first and the last. `notes` are
    sentences on what the file does not have.
    """

    load: Mapping[str, Any] = field(default_factory=dict)
    planned: int | None = None
    stage: Stage | None = None
    chunk_times: bool = True
    notes: tuple[str, ...] = ()


def check_kinds(found: Sequence[ImportedTask]) -> bool:
    """Return whether these are performance results.

    Raises:
        UsageError: some are, and some are not.
    """
    kinds = {isinstance(one, ImportedPerformance): one for one in reversed(found)}
    if len(kinds) > 1:
        raise UsageError(
            f"{kinds[True].source} has performance results, and {kinds[False].source} has answers to score: "
            "import them separately"
        )
    return True in kinds


def with_names(found: Sequence[ImportedTask], given: Mapping[str, str]) -> list[ImportedTask]:
    """Return performance results under the names that `given` has for tasks; equal names are numbered."""
    counts: dict[tuple[str, str], int] = {}
    named = []
    for one in found:
        task = safe_name(given.get(one.task, given.get("*", one.task)))
        number = counts[one.model, task] = counts.get((one.model, task), 0) + 1
        named.append(replace(one, task=task if number == 1 else f"{task}-{number}"))
    return named


def performance_task(one: ImportedTask) -> Task:
    """Return the task of a performance result: its prompts are those of the tool."""
    return Task.model_validate(
        {
            "name": one.task,
            "summary": f"Imported from {one.tool}",
            "dataset": {"use": "imported", "path": str(one.source)},
            "prompt": {"user": "(as it was imported)"},
        }
    )


def write_performance(folder: RunFolder, model: str, one: ImportedPerformance) -> None:
    """Write the log, or the tool's own numbers, and the load of a performance result."""
    log = folder.log(model, one.task)
    log.mkdir(parents=True, exist_ok=True)
    if one.rows:
        with LogWriter(log / "worker-0") as writer:
            for row in one.rows:
                for repeat, answer in enumerate(row.answers):
                    writer.append(_prediction(row, repeat, answer), final=True)
    if one.stage is not None:
        write_atomically(log / IMPORTED, orjson.dumps(one.stage, option=orjson.OPT_NON_STR_KEYS))
    facts = {
        "imported": one.tool,
        "requested": dict(one.load),
        "planned": one.planned,
        "chunk_times": one.chunk_times,
        "notes": list(one.notes),
    }
    write_atomically(log / "load.json", orjson.dumps(facts, option=orjson.OPT_INDENT_2))


def _prediction(row: ImportedRow, repeat: int, answer: ImportedAnswer) -> Prediction:
    return Prediction(
        str(row.position),
        repeat,
        text=answer.text,
        reasoning=answer.reasoning,
        finish_reason=answer.finish_reason,
        usage=answer.usage or Usage(),
        timing=answer.timing if isinstance(answer, TimedAnswer) else Timing(),
        failure=answer.failure,
    )
