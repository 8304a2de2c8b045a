"""Runs of one load as one point: the median of each number over the runs, its minimum and its maximum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

RATES = (
    "concurrency", "request_rate", "output_rate", "total_rate", "user_rate", "writing_rate", "goodput",
)  # fmt: skip
"""The numbers of a point besides its latencies. What is not known is None."""
VERDICTS = ("VALID", "SUSPECT", "INVALID")


def medians_of(points: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """Return one point for each load, in the order of the first runs.

    Runs of one load differ only in seed, drawn data, and time. A point of several runs has `runs`,
    the sum of their requests, failures and seconds, the worst of their certificates, medians of all other
    numbers, and `minimum` and `maximum` with the extremes under the same keys.
    """
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for point in points:
        same = [point[key] for key in ("model", "task", "series", "settings", "load")]
        groups.setdefault(repr(same), []).append(point)
    return tuple(_together(group) for group in groups.values())


def numbered(points: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the number of each point among the runs of its load, from 1."""
    place = {run: number for group in medians_of(points) for number, run in enumerate(group["runs"], 1)}
    return [place[point["run"]] for point in points]


def spread(point: Mapping[str, Any], number: Any) -> float | None:
    """Return (maximum - minimum) / median of a number over the runs of a point; None if it is not known.

    `number` reads it: from the point itself, from its `minimum`, and from its `maximum`.
    """
    middle = number(point)
    return None if not middle else (number(point["maximum"]) - number(point["minimum"])) / middle


def _together(group: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    first = {key: value for key, value in group[0].items() if key != "folder"}
    runs = [point["run"] for point in group]
    if len(group) == 1:
        return {**first, "runs": runs, "minimum": None, "maximum": None}
    seconds = [point["seconds"] for point in group if point["seconds"] is not None]
    worst_first = sorted(group, key=lambda point: -VERDICTS.index(point["certificate"]))
    reasons = [f"run {point['run']}: {reason}" for point in worst_first for reason in point["reasons"]]
    return {
        **first,
        "run": ", ".join(runs),
        "runs": runs,
        "certificate": worst_first[0]["certificate"],
        "reasons": reasons,
        "requests": sum(point["requests"] for point in group),
        "failed": sum(point["failed"] for point in group),
        "seconds": sum(seconds) if seconds else None,
        "stage": " or ".join(dict.fromkeys(point["stage"] for point in group)),
        **_numbers(group, median),
        "minimum": _numbers(group, min),
        "maximum": _numbers(group, max),
    }


def _numbers(group: Sequence[Mapping[str, Any]], choose: Any) -> dict[str, Any]:
    """Return every number of the points, chosen from those of the runs that have it."""
    latencies: dict[str, dict[str, float] | None] = {}
    for name in group[0]["latency_ms"]:
        times = [point["latency_ms"][name] for point in group if point["latency_ms"][name]]
        shares = dict.fromkeys(share for one in times for share in one)
        latencies[name] = {share: _chosen((one.get(share) for one in times), choose) for share in shares}
        latencies[name] = latencies[name] or None
    return {
        **{key: _chosen((point[key] for point in group), choose) for key in RATES},
        "latency_ms": latencies,
    }


def _chosen(values: Iterable[float | None], choose: Any) -> Any:
    known = [value for value in values if value is not None]
    return choose(known) if known else None
