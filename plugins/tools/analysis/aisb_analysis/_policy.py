"""The policy of a gate: the allowed worsening by task, from flags of `aisb compare` or a TOML file.

[accuracy.release]                 # accuracy
tasks = ["gsm8k", "mmlu*"]
max_drop = 0.5                  # points
[accuracy.watched]
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

import click

from aisb import UsageError
from aisb.helpers import did_you_mean

POLICY_RATES = {"request_throughput": "RequestThroughput", "output_throughput": "OutputTokenThroughput"}
USUAL_NUMBERS = ("ttft_p50", "tpot_p50", "e2el_p50", *POLICY_RATES)
_TIME = re.compile(r"(ttft|tpot|e2el|itl)_p(\d{1,2}(?:\.\d+)?)")
_LIMITS = {"accuracy": ("max_drop", "max_drop_percent", "guard"), "performance": ("max_slowdown", "guard")}
_KEYS = {
    "accuracy": ("tasks", "blocking", *_LIMITS["accuracy"]),
    "performance": ("tasks", "blocking", "numbers", *_LIMITS["performance"]),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """Tasks with the same allowance. `limits` are points, or percent where the key says so."""

    name: str
    tasks: tuple[str, ...]
    limits: Mapping[str, float] = field(default_factory=dict)
    blocking: bool = True
    numbers: tuple[str, ...] = USUAL_NUMBERS

    def covers(self, task: str) -> bool:
        """Return whether a task belongs to the rule, unless an earlier rule names it."""
        return any(fnmatchcase(task, pattern) for pattern in self.tasks)


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules for accuracy and for performance; a task belongs to the first of each that names it."""

    accuracy: tuple[Rule, ...] = ()
    performance: tuple[Rule, ...] = ()

    @property
    def percentiles(self) -> list[tuple[str, float]]:
        """The times to compare at percentiles other than the median, as ("TTFT", 95)."""
        found = dict.fromkeys(name for rule in self.performance for name in rule.numbers)
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
        accuracy = () if max_drop is None else (Rule("all", ("*",), {"max_drop": max_drop}),)
        speeds = () if max_slowdown is None else (Rule("all", ("*",), {"max_slowdown": max_slowdown}),)
        return Policy(accuracy, speeds)
    if max_drop is not None or max_slowdown is not None:
        raise UsageError("--policy sets the allowances: omit --max-drop and --max-slowdown")
    from aisb_engine import read_toml

    table = _with_current_name(path, read_toml(path))
    _refuse_unknown(path, "", table, tuple(_KEYS))
    policy = Policy(*(tuple(_rules(path, kind, table.get(kind, {}))) for kind in _KEYS))
    if not policy.accuracy and not policy.performance:
        raise UsageError(f"{path} has no rules: write a table [accuracy.NAME] or [performance.NAME]")
    return policy


def _with_current_name(path: Path, table: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the policy with its rules for accuracy under `accuracy`, which was called `tiers`."""
    if "tiers" not in table:
        return table
    if "accuracy" in table:
        raise UsageError(
            f"{path}: [tiers] is the old name of [accuracy]: rename its tables to [accuracy.NAME]"
        )
    click.echo(f"{path}: [tiers.NAME] is now [accuracy.NAME]; 0.4 removes the old name", err=True)
    return {"accuracy" if key == "tiers" else key: value for key, value in table.items()}


def _rules(path: Path, kind: str, tables: Any) -> list[Rule]:
    if not isinstance(tables, Mapping) or not all(isinstance(one, Mapping) for one in tables.values()):
        raise UsageError(f"{path}: {kind} must have one table for each rule, as in [{kind}.release]")
    return [_rule(path, kind, name, table) for name, table in tables.items()]


def _rule(path: Path, kind: str, name: str, table: Mapping[str, Any]) -> Rule:
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
    return Rule(name, _texts(path, f"{where}.tasks", table["tasks"]), limits, blocking, numbers)


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
