"""The numbers that another tool computed, as measurements: they are stored in place of a log."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from aisb import (
    AchievedLoad,
    Certificate,
    DialectResult,
    Distribution,
    PerformanceResult,
    RequestedLoad,
    RunError,
    Signal,
    Stage,
    StageTotals,
)
from aisb_engine._performance.dialects import dialect
from aisb_engine._record.loadfiles import IMPORTED, LoadFiles

TEXT_COLUMNS = ("id", "finish_reason", "failure", "failure_kind", "output_tokens_source")
NUMBER_COLUMNS = (
    "repeat", "turn", "attempts", "streamed", "cached_tokens", "max_tokens", "chunks", "input_tokens",
    "output_tokens", "planned_ns", "connected_ns", "sent_ns", "headers_ns", "done_ns", "first_token_ns",
    "last_token_ns", "end_ns", "ttfb", "ttft", "ttfc", "tpot", "e2el", "e2el_close", "ttft_planned",
    "e2el_planned", "lateness",
)  # fmt: skip
WITHOUT_REQUESTS = "the file has no single requests, so there is no stable stage"


@dataclass(frozen=True)
class ImportedMeasurements(PerformanceResult):
    """Measurements without single requests."""

    def requests(self) -> Mapping[str, Any]:
        """Return columns without rows."""
        import numpy as np

        return {
            **{name: [] for name in TEXT_COLUMNS},
            **{name: np.zeros(0) for name in NUMBER_COLUMNS},
            "ok": np.zeros(0, bool),
        }

    def chunk_gaps(self, rows: Iterable[int]) -> Iterator[tuple[int, Any]]:
        """Yield nothing."""
        del rows
        return iter(())

    def dialect(self, name: str) -> DialectResult:
        """Return no numbers: without events nothing can be measured by other rules."""
        rules = dialect(name)
        return DialectResult(name, rules.summary, dict.fromkeys(self.stages[0].parameters))


def imported_measurements(
    log: Path, model: str, task: str, load: LoadFiles, percentiles: Sequence[float]
) -> ImportedMeasurements | None:
    """Return the numbers that were imported in place of a log; None if there are none.

    Raises:
        RunError: the file with the numbers is damaged.
    """
    file = log / IMPORTED
    if not file.exists():
        return None
    try:
        stage = _stage(orjson.loads(file.read_bytes()), percentiles)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise RunError(f"{file} is damaged: {error}\n  import the file of {load.imported} again") from error
    totals = stage.totals
    reason = f"{load.imported} computed the numbers, and its file has no single requests to check them with"
    return ImportedMeasurements(
        model=model,
        task=task,
        percentiles=tuple(percentiles),
        stages=(stage,),
        window=None,
        unsteady=WITHOUT_REQUESTS,
        requested=RequestedLoad(load.requested, load.planned, load.concurrency, load.rate),
        achieved=AchievedLoad(
            max(load.planned or 0, totals.requests), totals.requests, None, totals.concurrency, None
        ),
        goodput=None,
        certificate=Certificate("SUSPECT", (Signal("imported", "SUSPECT", reason),)),
        counters=None,
        client_health=None,
        notes=load.notes,
    )


def _stage(table: Mapping[str, Any], percentiles: Sequence[float]) -> Stage:
    return Stage(
        table["name"],
        {name: one and _distribution(one, percentiles) for name, one in table["parameters"].items()},
        StageTotals(**table["totals"]),
    )


def _distribution(table: Mapping[str, Any], percentiles: Sequence[float]) -> Distribution:
    """Return a distribution; JSON has null for NaN."""
    known = {float(percent): _number(value) for percent, value in table["percentiles"].items()}
    return Distribution(
        n=table["n"],
        average=_number(table["average"]),
        minimum=_number(table["minimum"]),
        maximum=_number(table["maximum"]),
        median=_number(table["median"]),
        percentiles={**dict.fromkeys([*percentiles, 95.0, 99.0], math.nan), **known},
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
