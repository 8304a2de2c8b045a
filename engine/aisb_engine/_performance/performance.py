"""What a run's performance was: every number of docs/performance.md, computed from the log of a subtask.

`measure` gives a `Performance`: a value that reporters show. Times are milliseconds, rates are per second,
and None (NaN in columns) is "not known", never zero.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aisb._errors import CheckFailed, UsageError, did_you_mean
from aisb_engine._performance.certificate import Certificate, certify
from aisb_engine._performance.columns import Columns
from aisb_engine._performance.counters import Counters, gained
from aisb_engine._performance.gaps import gap_spreads
from aisb_engine._performance.latency import SOURCES, Requests, each_request
from aisb_engine._performance.reading import CountTokens, read_columns
from aisb_engine._performance.split import Split, split_for
from aisb_engine._performance.spreads import Spread, spread
from aisb_engine._performance.stages import InFlight, Window, in_flight, steady
from aisb_engine._performance.throughput import Achieved, Stage, common_stable, common_total, per
from aisb_engine._record.loadfiles import LoadFiles, read_load_files
from aisb_engine._record.runfolder import RunFolder

if TYPE_CHECKING:
    from aisb_engine._performance.columns import Floats

PERCENTILES = (75.0, 90.0, 99.0)
PARAMETERS = (
    "E2EL", "TTFT", "TPOT", "ITL", "InputTokens", "OutputTokens", "OutputTokenThroughput",
    "PrefillTokenThroughput",
)  # fmt: skip
"""The rows of the table "Performance Parameters"."""
BESIDE = ("TTFB", "TTFC", "ICL", "E2EL(close)", "TTFT(planned)", "E2EL(planned)", "Lateness")
"""What is measured beside them; same form."""
OBJECTIVES = ("ttft", "ttfc", "tpot", "e2el", "ttft_planned", "e2el_planned")


@dataclass(frozen=True, slots=True)
class Goodput:
    """Requests that met every objective (milliseconds): how many, a second, and of those offered."""

    objectives: Mapping[str, float]
    good: int
    per_second: float | None
    share: float | None


@dataclass(frozen=True, slots=True)
class Performance:
    """Everything measured of one model on one task. `unsteady` says why there is no stable stage."""

    model: str
    task: str
    percentiles: tuple[float, ...]
    stages: tuple[Stage, ...]
    window: Window | None
    unsteady: str
    achieved: Achieved
    goodput: Goodput | None
    certificate: Certificate
    notes: tuple[str, ...]
    load: LoadFiles
    counters: Counters | None
    columns: Columns = field(repr=False)
    requests: Requests = field(repr=False)
    flight: InFlight = field(repr=False)


def measure(
    folder: RunFolder,
    model: str,
    task: str,
    *,
    percentiles: Sequence[float] = PERCENTILES,
    objectives: Mapping[str, float] | None = None,
    count_tokens: CountTokens | None = None,
) -> Performance:
    """Compute everything that the log of a subtask says about its performance.

    `objectives` are upper limits in milliseconds by name, as in OBJECTIVES; `count_tokens` tells the tokens
    of a text, for services that do not count them.

    Raises:
        UsageError: there is no such objective or percentile.
        RunError: the log cannot be read.
    """
    percentiles, objectives = checked(percentiles, objectives)
    log = folder.log(model, task)
    files = [*sorted(log.glob("worker-*")), *sorted(log.glob("vitals-*")), *log.glob("load.json")]
    stamps = tuple((str(file), (found := file.stat()).st_size, found.st_mtime_ns) for file in files)
    wanted = tuple(objectives.items())
    return _measured(folder.path, model, task, percentiles, wanted, count_tokens, stamps)


def measure_for_run(
    folder: RunFolder, model: str, task: str, options: Mapping[str, Any] | None = None
) -> Performance:
    """Measure as a run's performance tables are asked to, so that whoever shows it shows the same numbers.

    `options` are those of the reporter `performance`; if not given, those of the run's own configuration.

    Raises:
        UsageError: there is no such objective, percentile or tokenizer.
        RunError: the log cannot be read.
    """
    if options is None:
        options = _table_options(folder)
    count_tokens = None
    if tokenizer := options.get("tokenizer"):
        from aisb_engine._data.tokens import load_tokenizer

        count_tokens = load_tokenizer(tokenizer).count
    return measure(
        folder,
        model,
        task,
        percentiles=options.get("percentiles", PERCENTILES),
        objectives=options.get("objectives", {}),
        count_tokens=count_tokens,
    )


def _table_options(folder: RunFolder) -> Mapping[str, Any]:
    with suppress(OSError, ValueError):
        run: Mapping[str, Any] = tomllib.loads(folder.config.read_text("utf-8")).get("run", {})
        options: Mapping[str, Any] = run.get("reporter_options", {}).get("performance", {})
        return options
    return {}


@lru_cache(maxsize=4)
def _measured(  # noqa: PLR0917 - a cache takes them in order
    path: Path,
    model: str,
    task: str,
    percentiles: tuple[float, ...],
    wanted: tuple[tuple[str, float], ...],
    count_tokens: CountTokens | None,
    stamps: tuple[tuple[str, int, int], ...],
) -> Performance:
    """Compute it once for several reporters of one command, as long as the files stay as they are."""
    del stamps
    folder, objectives = RunFolder(path), dict(wanted)
    load = read_load_files(folder, model, task)
    log = folder.log(model, task)
    with split_for(log) as split:
        columns = read_columns(log, count_tokens=count_tokens, split=split)
        requests = each_request(columns)
        sent, end = columns["sent"], columns.end
        window, unsteady = steady(sent, end, requests.e2el)
        flight = in_flight(sent, end)
        stages = tuple(
            _stages(columns, requests, flight, window, load=load, percentiles=percentiles, split=split)
        )
    achieved = _achieved(columns, flight, load)
    counters = gained(load.counters)
    return Performance(
        model=model,
        task=task,
        percentiles=percentiles,
        stages=stages,
        window=window,
        unsteady=unsteady,
        achieved=achieved,
        goodput=_goodput(requests, objectives, achieved, stages[0].common.duration_ms),
        certificate=certify(
            columns,
            requests,
            stages=stages,
            achieved=achieved,
            load=load,
            counters=counters,
            window=window,
            unsteady=unsteady,
            percentiles=percentiles,
        ),
        notes=tuple(_notes(columns, requests, load)),
        load=load,
        counters=counters,
        columns=columns,
        requests=requests,
        flight=flight,
    )


def checked(
    percentiles: Sequence[float], objectives: Mapping[str, float] | None
) -> tuple[tuple[float, ...], Mapping[str, float]]:
    """Return percentiles and objectives as numbers. Raise `UsageError` where they make no sense."""
    for percent in percentiles:
        if not 0 < percent < 100:
            raise UsageError(f"a percentile of {percent:g}: it must lie between 0 and 100, as in 99 or 99.9")
    for name, limit in (objectives or {}).items():
        if name not in OBJECTIVES:
            raise UsageError(
                f"no objective named {name!r}{did_you_mean(name, OBJECTIVES)}; known: {', '.join(OBJECTIVES)}"
            )
        if not limit > 0:
            raise UsageError(f"the objective {name} = {limit:g}: it must be more than 0 milliseconds")
    return tuple(dict.fromkeys(map(float, percentiles))), dict(objectives or {})


def require_valid(performances: Iterable[Performance]) -> None:
    """Demand that every result is VALID.

    Raises:
        CheckFailed: one is not; the message names each with its reasons.
    """
    lines = [
        f"{found.task} · {found.model} is {found.certificate.verdict}:\n"
        + "\n".join(f"  {reason}" for reason in found.certificate.reasons)
        for found in performances
        if found.certificate.verdict != "VALID"
    ]
    if lines:
        raise CheckFailed("\n".join(lines) + "\n  without --require-valid this is shown and not an error")


def _stages(
    columns: Columns,
    requests: Requests,
    flight: InFlight,
    window: Window | None,
    *,
    load: LoadFiles,
    percentiles: tuple[float, ...],
    split: Split | None,
) -> Iterator[Stage]:
    import numpy as np

    sent = columns["sent"]
    ok = requests.ok
    inside = np.zeros(len(columns), bool)
    if window is not None:
        inside = (sent >= window.start) & (sent < window.end)
    gaps = gap_spreads(columns, requests, inside, percentiles, split)
    yield Stage(
        "total",
        _parameters(requests, ok, percentiles, gaps["ICL total"], gaps["ITL total"]),
        common_total(columns, requests, load.concurrency),
    )
    if window is not None:
        yield Stage(
            "stable",
            _parameters(requests, ok & inside, percentiles, gaps["ICL stable"], gaps["ITL stable"]),
            common_stable(columns, requests, flight, window, load.concurrency),
        )


def _parameters(
    requests: Requests, chosen: Any, percentiles: tuple[float, ...], icl: Spread | None, itl: Spread | None
) -> dict[str, Spread | None]:
    def of(values: Floats) -> Spread | None:
        return spread(values[chosen], percentiles)

    return {
        "E2EL": of(requests.e2el),
        "TTFT": of(requests.ttft),
        "TPOT": of(requests.tpot),
        "ITL": itl,
        "InputTokens": of(requests.input_tokens),
        "OutputTokens": of(requests.output_tokens),
        "OutputTokenThroughput": of(requests.output_rate),
        "PrefillTokenThroughput": of(requests.prefill_rate),
        "TTFB": of(requests.ttfb),
        "TTFC": of(requests.ttfc),
        "ICL": icl,
        "E2EL(close)": of(requests.e2el_close),
        "TTFT(planned)": of(requests.ttft_planned),
        "E2EL(planned)": of(requests.e2el_planned),
        "Lateness": of(requests.lateness),
    }


def _achieved(columns: Columns, flight: InFlight, load: LoadFiles) -> Achieved:
    import numpy as np

    sent = np.sort(columns["sent"][~np.isnan(columns["sent"])])
    span = float(sent[-1] - sent[0]) / 1e9 if len(sent) > 1 else 0.0
    return Achieved(
        offered=max(load.planned or 0, len(columns)),
        sent=len(sent),
        rate=(len(sent) - 1) / span if span > 0 else None,
        concurrency=flight.mean(flight.times[0], flight.times[-1]) if len(flight.times) else None,
        peak=flight.peak,
    )


def _goodput(
    requests: Requests, objectives: Mapping[str, float], achieved: Achieved, duration_ms: float | None
) -> Goodput | None:
    if not objectives:
        return None
    good = requests.ok.copy()
    for name, limit in objectives.items():
        good &= getattr(requests, name) <= limit  # unknown compares false: a miss
    count = int(good.sum())
    seconds = None if duration_ms is None else duration_ms / 1000
    return Goodput(objectives, count, per(count, seconds), per(count, achieved.offered))


def _notes(columns: Columns, requests: Requests, load: LoadFiles) -> Iterator[str]:
    import numpy as np

    ok = requests.ok
    if ok.any():
        told = [
            f"{name} {n}" for i, name in enumerate(SOURCES) if (n := int((requests.source[ok] == i).sum()))
        ]
        if unknown := int((requests.source[ok] < 0).sum()):
            chunks = int(columns.count()[ok & (requests.source < 0)].sum())
            told.append(f"unknown {unknown} ({chunks} chunks)")
        yield f"output tokens are told by: {', '.join(told)}"
        if whole := int((columns["streamed"][ok] == 0).sum()):
            yield f"replies that were not streamed: {whole}; without TTFT, TPOT, ICL and ITL"
        if unknown := int((np.isnan(requests.one_each) & ok & (columns.count() > 1)).sum()):
            yield f"replies that do not say how many tokens a chunk holds: {unknown}; not in ITL"
    if load.input_exact is False:
        yield "the prompts' lengths in tokens are not exactly those asked"
    if columns.earlier:
        yield f"requests of earlier commands in this log, left out: {columns.earlier}"
    if load.warmups:
        yield f"warm-up, not counted: {load.warmups}"
    yield from load.notes
