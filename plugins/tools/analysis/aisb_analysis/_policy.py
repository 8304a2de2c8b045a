"""The policy of a gate: the allowed worsening by task, from flags of `aisb compare` or a TOML file.

[tiers.release]                 # accuracy
tasks = ["gsm8k", "mmlu*"]
max_drop = 0.5                  # points
[tiers.watched]
tasks = ["*"]
max_drop_percent = 3            # of A's score
blocking = false
[performance.service]
tasks = ["synthetic"]
numbers = ["ttft_p95", "output_throughput"]
max_slowdown = 0                # percent
guard = 5
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from math import isfinite
from pathlib import Path
from typing import Any

from aisb import UsageError
from aisb.helpers import did_you_mean

POLICY_RATES = {"request_throughput": "RequestThroughput", "output_throughput": "OutputTokenThroughput"}
USUAL_NUMBERS = ("ttft_p50", "tpot_p50", "e2el_p50", *POLICY_RATES)
_TIME = re.compile(r"(ttft|tpot|e2el|itl)_p(\d{1,2}(?:\.\d+)?)")
_LIMITS = {"tiers": ("max_drop", "max_drop_percent", "guard"), "performance": ("max_slowdown", "guard")}
_KEYS = {
    "tiers": ("tasks", "blocking", *_LIMITS["tiers"]),
    "performance": ("tasks", "blocking", "numbers", *_LIMITS["performance"]),
}


@dataclass(frozen=True, slots=True)
class Tier:
    """Tasks with the same allowance. `limits` are points, or percent where the key says so."""

    name: str
    tasks: tuple[str, ...]
    limits: Mapping[str, float] = field(default_factory=dict)
    blocking: bool = True
    numbers: tuple[str, ...] = USUAL_NUMBERS

    def covers(self, task: str) -> bool:
        """Return whether a task belongs to the tier, unless an earlier tier names it."""
        return any(fnmatchcase(task, pattern) for pattern in self.tasks)


@dataclass(frozen=True, slots=True)
class Policy:
    """Tiers of accuracy and of performance; a task belongs to the first of each that names it."""

    tiers: tuple[Tier, ...] = ()
    performance: tuple[Tier, ...] = ()

    @property
    def percentiles(self) -> list[tuple[str, float]]:
        """The times to compare at percentiles other than the median, as ("TTFT", 95)."""
        found = dict.fromkeys(name for tier in self.performance for name in tier.numbers)
        matched = [_TIME.fullmatch(name) for name in found]
        return [(one[1].upper(), float(one[2])) for one in matched if one and float(one[2]) != 50]


def shown_number(name: str) -> str:
    """Return a comparison's name of a number in a policy: "TTFT (P95)" for ttft_p95."""
    if matched := _TIME.fullmatch(name):
        at = float(matched[2])
        return f"{matched[1].upper()} ({'median' if at == 50 else f'P{at:g}'})"
    return POLICY_RATES[name]


def read_policy(path: Path | None, max_drop: float | None, max_slowdown: float | None) -> Policy | None:
    """Return the policy of a file, or of flags for all tasks; None without either.

    Raises:
        UsageError: the file cannot be read, has unknown keys, or flags are given, too.
    """
    if path is None:
        if max_drop is None and max_slowdown is None:
            return None
        tiers = () if max_drop is None else (Tier("all", ("*",), {"max_drop": max_drop}),)
        speeds = () if max_slowdown is None else (Tier("all", ("*",), {"max_slowdown": max_slowdown}),)
        return Policy(tiers, speeds)
    if max_drop is not None or max_slowdown is not None:
        raise UsageError("--policy sets the allowances: omit --max-drop and --max-slowdown")
    from aisb_engine import read_toml

    table = read_toml(path)
    _refuse_unknown(path, "", table, tuple(_KEYS))
    policy = Policy(*(tuple(_tiers(path, kind, table.get(kind, {}))) for kind in _KEYS))
    if not policy.tiers and not policy.performance:
        raise UsageError(f"{path} has no rules: write a table [tiers.NAME] or [performance.NAME]")
    return policy


def _tiers(path: Path, kind: str, tables: Any) -> list[Tier]:
    if not isinstance(tables, Mapping) or not all(isinstance(one, Mapping) for one in tables.values()):
        raise UsageError(f"{path}: {kind} must have one table for each tier, as in [{kind}.release]")
    return [_tier(path, kind, name, table) for name, table in tables.items()]


def _tier(path: Path, kind: str, name: str, table: Mapping[str, Any]) -> Tier:
    where = f"{kind}.{name}"
    _refuse_unknown(path, f"{where}.", table, _KEYS[kind])
    limits = {key: _limit(path, f"{where}.{key}", table[key]) for key in _LIMITS[kind] if key in table}
    numbers = _texts(path, f"{where}.numbers", table.get("numbers", list(USUAL_NUMBERS)))
    for number in numbers:
        if number not in POLICY_RATES and not _TIME.fullmatch(number):
            raise UsageError(
                f"{path}: {where}.numbers has {number!r}{did_you_mean(number, USUAL_NUMBERS)}; "
                f"known: {', '.join(POLICY_RATES)}, and ttft, tpot, e2el or itl with a percentile, "
                "as in ttft_p95"
            )
    if "tasks" not in table:
        raise UsageError(f'{path}: {where}.tasks is needed, as in tasks = ["gsm8k", "mmlu*"]')
    blocking = table.get("blocking", True)
    if not isinstance(blocking, bool):
        raise UsageError(f"{path}: {where}.blocking is {blocking!r}, and must be true or false")
    return Tier(name, _texts(path, f"{where}.tasks", table["tasks"]), limits, blocking, numbers)


def _texts(path: Path, where: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(one, str) and one for one in value):
        raise UsageError(f"{path}: {where} is {value!r}, and must be a list of names")
    return tuple(value)


def _limit(path: Path, where: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or not isfinite(value):
        raise UsageError(f"{path}: {where} is {value!r}, and must be a number of at least 0")
    return float(value)


def _refuse_unknown(path: Path, where: str, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in table:
        if key not in known:
            raise UsageError(
                f"{path}: no key named {where}{key}{did_you_mean(key, known)}\n  known: {', '.join(known)}"
            )
