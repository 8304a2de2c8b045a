"""Several performance runs as points: the load of each, what it measured, and which points form a curve.

A curve (`series`) has one model on one task, with all settings equal but the load. The load is requests in
flight in a closed loop and requests per second in an open loop. Where runs do not differ in their load, it is
the first number in which they do differ, such as `task.dataset.input`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aisb import Distribution, FinishedRun, PerformanceResult
from aisb_reporter_summary._repeats import medians_of
from aisb_reporter_summary._speeds import performances

RATE, CONCURRENCY = "load.request_rate", "load.concurrency"
LOADS = ("arrival", "burstiness", "ramp_up", "use_timestamp", "pressure_time", "cache_share")
"""Keys of a load, besides its level, that change what is measured. How long it lasts does not."""
NAMING = {"tasks": ("name", "summary", "file", "base"), "models": ("name", "abbr", "file")}
"""Keys that say what a table is called; they change nothing."""
DRAWN = ("task.dataset.requests", "task.dataset.seed")
"""Keys that say how many prompts are made, and which: other prompts of the same kind are no other load."""
TIMES = ("TTFT", "TPOT", "ITL", "E2EL")
LABELS = {RATE: "request rate", CONCURRENCY: "concurrency"}


@dataclass(frozen=True, slots=True)
class Points:
    """The points of several runs, as plain values, and how they are arranged.

    `settings` are the keys in which the runs differ, in the form of `--set`. Each point names the key of its
    `level` as `axis`; `series` lists the curves in the order of their points. Rates are per second, of the
    stable stage if there is one: `user_rate` is the median over requests of output tokens / E2EL,
    `writing_rate` 1000 / median TPOT. Runs of one load are a point each, and together one of the `medians`.
    """

    settings: tuple[str, ...]
    series: tuple[str, ...]
    points: tuple[Mapping[str, Any], ...]
    medians: tuple[Mapping[str, Any], ...]

    def curve(self, name: str) -> list[Mapping[str, Any]]:
        """Return the medians of a curve by rising level; points without a level stand last."""
        found = [point for point in self.medians if point["series"] == name]
        return sorted(found, key=lambda point: (not isinstance(point["level"], int | float), point["level"]))


@dataclass(slots=True)
class _Measured:
    run: FinishedRun
    result: PerformanceResult
    settings: dict[str, Any]

    @property
    def axis(self) -> str:
        return RATE if self.result.requested.rate else CONCURRENCY


def points_of(runs: Sequence[FinishedRun]) -> Points:
    """Return a point for each model and task of each run, in the order of the runs."""
    measured = [
        _Measured(run, result, _settings(run, result)) for run in runs for result in performances(run)
    ]
    varying = _varying(measured)
    axis = _only_axis(measured, varying)
    kinds = {kind: [one for one in measured if one.axis == kind] for kind in (CONCURRENCY, RATE)}
    apart = {kind: [key for key in _varying(found) if key != (axis or kind)] for kind, found in kinds.items()}
    points = []
    for one in measured:
        name = _name(one, measured, apart[one.axis], mixed=all(kinds.values()))
        points.append(_point(one, axis or one.axis, name, varying))
    series = tuple(dict.fromkeys(point["series"] for point in points))
    return Points(tuple(varying), series, tuple(points), medians_of(points))


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Return the last part of each key, or the whole key where two end alike."""
    ends = [key.rpartition(".")[2] for key in keys]
    return {
        key: LABELS.get(key) or (end.replace("_", " ") if ends.count(end) == 1 else key)
        for key, end in zip(keys, ends, strict=True)
    }


def shown_setting(value: Any) -> str:
    """Return the value of a setting as text."""
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value)


def _settings(run: FinishedRun, result: PerformanceResult) -> dict[str, Any]:
    """Return what was set for one model on one task, flat, by keys in the form of `--set`."""
    config = run.configuration
    requested = result.requested
    found: dict[str, Any] = {RATE: requested.rate, CONCURRENCY: requested.concurrency}
    found |= {f"load.{key}": requested.options.get(key) or None for key in LOADS}
    for kind, name in (("tasks", result.task), ("models", result.model)):
        table = config.get(kind, {}).get(name, {})
        kept = {key: value for key, value in table.items() if key not in (*NAMING[kind], "params", "load")}
        if kind == "models":
            kept |= kept.pop("options", {})
        found |= _flat(kept, kind.removesuffix("s"))
    for pair in config.get("subtasks", ()):
        if (pair["model"], pair["task"]) == (result.model, result.task):
            found |= _flat({**pair.get("params", {}), **pair.get("forced", {})}, "params")
    return found


def _flat(table: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}.{key}")
        else:
            yield f"{path}.{key}", value


def _varying(measured: Sequence[_Measured]) -> list[str]:
    """Return the keys that differ between runs of the same model, for models, or task, for tasks."""
    keys = dict.fromkeys(key for one in measured for key in one.settings)
    return [key for key in keys if key not in DRAWN and _differs(key, measured)]


def _differs(key: str, measured: Sequence[_Measured]) -> bool:
    root = key.partition(".")[0]
    groups: dict[str, set[str]] = {}
    for one in measured:
        group = {"task": one.result.task, "model": one.result.model}.get(root, "")
        groups.setdefault(group, set()).add(repr(one.settings.get(key)))
    return any(len(values) > 1 for values in groups.values())


def _only_axis(measured: Sequence[_Measured], varying: Sequence[str]) -> str | None:
    """Return the key that all points are placed by where their loads do not differ; None if they do."""
    if RATE in varying or CONCURRENCY in varying:
        return None
    return next((key for key in varying if all(_is_number(one.settings.get(key)) for one in measured)), None)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _name(one: _Measured, measured: Sequence[_Measured], apart: Sequence[str], *, mixed: bool) -> str:
    """Name a curve by what tells it from the others; the only curve by its model and task."""
    names = short_names(apart)
    several = [
        getattr(one.result, kind)
        for kind in ("model", "task")
        if len({getattr(other.result, kind) for other in measured}) > 1
    ]
    parts = [" on ".join(several)] if several else []
    if mixed:
        parts.append("open loop" if one.axis == RATE else "closed loop")
    parts += [f"{names[key]} {shown_setting(one.settings.get(key))}" for key in apart]
    return ", ".join(parts) or f"{one.result.model} on {one.result.task}"


def _point(one: _Measured, axis: str, series: str, varying: Sequence[str]) -> dict[str, Any]:
    result = one.result
    total, stage = result.stages[0], result.stages[-1]
    tpot, speed = stage.parameters.get("TPOT"), stage.parameters.get("OutputTokenThroughput")
    return {
        "run": one.run.timestamp,
        "folder": str(one.run.folder),
        "model": result.model,
        "task": result.task,
        "series": series,
        "axis": axis,
        "level": one.settings.get(axis),
        "settings": {key: one.settings.get(key) for key in varying},
        "load": {
            key: value
            for key, value in result.requested.options.items()
            if key != "seed" and value is not None
        },
        "certificate": result.certificate.verdict,
        "reasons": list(result.certificate.reasons),
        "requests": total.totals.requests,
        "failed": total.totals.failed,
        "seconds": None if total.totals.duration_ms is None else total.totals.duration_ms / 1000,
        "stage": stage.name,
        "requested_concurrency": result.requested.concurrency,
        "requested_rate": result.requested.rate,
        "concurrency": stage.totals.concurrency,
        "request_rate": stage.totals.request_rate,
        "output_rate": stage.totals.output_rate,
        "total_rate": stage.totals.total_rate,
        "user_rate": speed.median if speed else None,
        "writing_rate": 1000 / tpot.median if tpot and tpot.median > 0 else None,
        "goodput": result.goodput.per_second if result.goodput else None,
        "latency_ms": {name: _percentiles(stage.parameters.get(name)) for name in TIMES},
    }


def _percentiles(times: Distribution | None) -> dict[str, float] | None:
    if times is None:
        return None
    found = {"p50": times.median, **{f"p{percent:g}": value for percent, value in times.percentiles.items()}}
    return {name: value for name, value in found.items() if value == value}  # noqa: PLR0124 - NaN is unknown
