"""The metrics of a result in the terms that other tools share: an identifier, a family, parameters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import fsum, isclose, sqrt
from typing import Any

from aisb import Metric

RUNS = re.compile(r"accuracy \((?P<k>\d+) runs average\)|avg@(?P<n>\d+)")
OVER_REPEATS = re.compile(r"(?P<name>pass|cons|maj|g-pass)@(?P<k>\d+)(?:_(?P<threshold>[\d.]+))?")
AVERAGES = {"naive_average": "groups", "weighted_average": "samples"}
WILSON = "Wilson score interval, clustered where samples repeat or share material"


@dataclass(frozen=True, slots=True)
class SharedMetric:
    """A metric by its identifier (`pass_at_k`), its family (`pass_rate`) and its parameters (k = 4)."""

    id: str
    kind: str
    parameters: dict[str, Any] = field(default_factory=dict)
    interval: str | None = None


def shared_metric(metric: Metric) -> SharedMetric:
    """Return a metric of ours in shared terms; other metrics keep their name, after `aisb.`."""
    name = metric.name
    if name == "accuracy":
        return SharedMetric("accuracy", "accuracy", {}, WILSON)
    if name in AVERAGES:
        return SharedMetric("accuracy", "accuracy", {"mean_over": AVERAGES[name]})
    if found := RUNS.fullmatch(name):
        return SharedMetric("accuracy", "accuracy", {"runs": int(found["k"] or found["n"])}, WILSON)
    if found := OVER_REPEATS.fullmatch(name):
        parameters: dict[str, Any] = {"k": int(found["k"])}
        if found["threshold"]:
            parameters["threshold"] = float(found["threshold"])
        return SharedMetric(f"{found['name'].replace('-', '_')}_at_k", "pass_rate", parameters, WILSON)
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "metric"
    return SharedMetric(f"aisb.{plain}", plain)


def proportion(metric: Metric, value: float) -> float:
    """Return a value of the metric as a share of 1 if its unit is percent, and unchanged otherwise."""
    return round(value / 100, 12) if metric.unit == "%" else value


def is_mean(metric: Metric, values: Sequence[float]) -> bool:
    """Return whether a metric is the mean of the values of samples; a perplexity, for example, is not."""
    if metric.unit != "%" or metric.value is None or not values:
        return False
    return isclose(metric.value / 100, fsum(values) / len(values), abs_tol=1e-6)


def standard_error(values: Sequence[float]) -> float:
    """Return the standard error of the mean of independent samples; at least two."""
    mean = fsum(values) / len(values)
    return sqrt(fsum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))
