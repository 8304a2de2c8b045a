"""The rows of a gate: each task, and each number of a performance run, checked against a policy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from math import exp, log
from typing import TYPE_CHECKING, Literal

from aisb_analysis._margins import Allowance, Worsening, judge, slowdown
from aisb_analysis._policy import USUAL_NUMBERS, Policy, Rule, shown_number

if TYPE_CHECKING:
    from aisb_analysis._compare import Comparison
    from aisb_analysis._speeds import SpeedComparison

MIN_RUNS = 3
"""The number of performance runs that each side needs, to estimate the variation between runs."""


@dataclass(frozen=True, slots=True)
class GateRow:
    """One row. Numbers are points of a score, or the percentage by which B is slower; positive is worse.

    `low` and `high` are one-sided 95 % bounds; `detectable` is the minimum detectable worsening at 80 %
    power. They are None if nothing could be measured; `reason` says why.
    """

    status: Literal["PASS", "FAIL", "MISSING", "INCONCLUSIVE"]
    rule: str
    blocking: bool
    model: str
    task: str
    number: str
    unit: Literal["points", "%"]
    worse: float | None = None
    low: float | None = None
    high: float | None = None
    allowed: float | None = None
    detectable: float | None = None
    reason: str = ""
    point: str = ""

    @property
    def name(self) -> str:
        """The task, with the point of the sweep."""
        return f"{self.task}, {self.point}" if self.point else self.task


_PendingRow = tuple[GateRow, Worsening, Allowance]


def gate_rows(
    policy: Policy,
    grades: Sequence[Comparison],
    speeds: Sequence[SpeedComparison],
    *,
    ungraded: Sequence[tuple[str, str, str]] = (),
    unmeasured: Sequence[tuple[str, str, str]] = (),
) -> list[GateRow]:
    """Return the rows of a gate in the order of the policy.

    `ungraded` and `unmeasured` are (model, task, point) of accuracy and performance runs that B lacks.
    """
    rows: list[GateRow | _PendingRow] = [*_score_rows(policy.accuracy, grades, ungraded)]
    rows += _speed_rows(policy.performance, speeds, unmeasured)
    verdicts = iter(judge([(row[1], row[2]) for row in rows if isinstance(row, tuple)]))
    return [replace(row[0], status=next(verdicts)) if isinstance(row, tuple) else row for row in rows]


def _score_rows(
    rules: Sequence[Rule], grades: Sequence[Comparison], missing: Sequence[tuple[str, str, str]]
) -> Iterator[GateRow | _PendingRow]:
    for place, rule in enumerate(rules):
        for one in grades:
            if _first_rule(rules, one.task) == place:
                yield _score_row(rule, one)
        yield from _missing(rules, place, [one.task for one in grades], missing, "score")


def _score_row(rule: Rule, one: Comparison) -> GateRow | _PendingRow:
    limits = [rule.limits[key] for key in ("max_drop",) if key in rule.limits]
    limits += [rule.limits[key] * one.a / 100 for key in ("max_drop_percent",) if key in rule.limits]
    allowed = Allowance(min(limits, default=0.0), rule.limits.get("guard", 0.0))
    row = GateRow("INCONCLUSIVE", rule.name, rule.blocking, one.model_b, one.task, "score", "points")
    if one.worsening is None:
        return replace(row, reason="no sample is on both sides")
    worsening = Worsening(
        100 * one.worsening.estimate,
        100 * one.worsening.center,
        100 * one.worsening.standard_error,
        one.worsening.degrees_of_freedom,
    )
    low, high = worsening.interval()
    measured = replace(
        row,
        worse=worsening.estimate,
        low=low,
        high=high,
        allowed=max(allowed),
        detectable=worsening.detectable(*allowed),
    )
    return measured, worsening, allowed


def _speed_rows(
    rules: Sequence[Rule], speeds: Sequence[SpeedComparison], missing: Sequence[tuple[str, str, str]]
) -> Iterator[GateRow | _PendingRow]:
    for place, rule in enumerate(rules):
        names = {shown_number(number): number for number in rule.numbers}
        for one in speeds:
            # Some runs lack some numbers: without streaming there is no TPOT.
            is_required = one.a or one.b or rule.numbers != USUAL_NUMBERS
            if _first_rule(rules, one.task) == place and one.name in names and is_required:
                yield _speed_row(rule, one)
        yield from _missing(rules, place, [one.task for one in speeds], missing, "speed")


def _speed_row(rule: Rule, one: SpeedComparison) -> GateRow | _PendingRow:
    margin, guard = (rule.limits.get(key, 0.0) for key in ("max_slowdown", "guard"))
    row = GateRow(
        "INCONCLUSIVE", rule.name, rule.blocking, one.model_b, one.task, one.name, "%", point=one.point
    )
    if not one.a or not one.b:
        return replace(row, status="MISSING", reason=f"{'B' if one.a else 'A'} does not have it")
    if min(len(one.a), len(one.b)) < MIN_RUNS:
        counts = f"{len(one.a)} of A and {len(one.b)} of B"
        return replace(row, reason=f"needs {MIN_RUNS} runs with this number on each side, and has {counts}")
    worsening = slowdown(one.a, one.b, one.better)
    if worsening is None:
        return replace(row, reason="a value is 0")
    allowed = Allowance(log(1 + margin / 100), log(1 + guard / 100))
    low, high = map(_percent, worsening.interval())
    measured = replace(
        row,
        worse=_percent(worsening.estimate),
        low=low,
        high=high,
        allowed=_percent(max(allowed)),
        detectable=_percent(worsening.detectable(*allowed)),
    )
    return measured, worsening, allowed


def _percent(logarithm: float) -> float:
    return 100 * (exp(min(logarithm, 700.0)) - 1)


def _first_rule(rules: Sequence[Rule], task: str) -> int | None:
    return next((place for place, rule in enumerate(rules) if rule.covers(task)), None)


def _missing(
    rules: Sequence[Rule],
    place: int,
    tasks: Sequence[str],
    missing: Sequence[tuple[str, str, str]],
    number: str,
) -> Iterator[GateRow]:
    """Yield rows for missing comparisons: tasks that B lacks, and patterns that match no task."""
    rule = rules[place]
    unit: Literal["points", "%"] = "points" if number == "score" else "%"
    for model, task, point in missing:
        if _first_rule(rules, task) == place:
            row = GateRow("MISSING", rule.name, rule.blocking, model, task, number, unit, point=point)
            yield replace(row, reason="B lacks it")
    known = [*tasks, *(task for _, task, _ in missing)]
    for pattern in rule.tasks:
        if not any(fnmatchcase(task, pattern) for task in known):
            kinds = "performance runs" if number == "speed" else "scores"
            reason = "no compared task matches" if known else f"no {kinds} were compared"
            yield GateRow("MISSING", rule.name, rule.blocking, "", pattern, number, unit, reason=reason)


def is_failure(row: GateRow, *, strict: bool) -> bool:
    """Return whether a row fails: FAIL or MISSING in a blocking rule, with `strict`, all but PASS."""
    failing = ("FAIL", "MISSING", "INCONCLUSIVE") if strict else ("FAIL", "MISSING")
    return row.blocking and row.status in failing


def gate_text(row: GateRow) -> str:
    """Return the result of a row in one line."""
    if row.worse is None:
        return f"{row.status}: {row.reason}"
    verb, unit = ("drop", " points") if row.unit == "points" else ("slowdown", " %")
    return (
        f"{row.status}: {verb} of {row.worse:.2f}{unit} [{row.low:.2f}, {row.high:.2f}], "
        f"allowed {row.allowed:.2f}; detects a true {verb} of {row.detectable:.2f}{unit} at 80 % power"
    )


def gate_lines(rows: Sequence[GateRow]) -> Iterator[str]:
    """Yield the rows as a table, and an explanation of its columns."""
    from tabulate import tabulate

    yield tabulate(
        [_cells(row) for row in rows],
        headers=("gate", "rule", "task", "number", "worse by", "90 %", "allowed", "power"),
        disable_numparse=True,
        colalign=("left", "left", "left", "left", "right", "left", "right", "right"),
    )
    yield "worse by: points of a score, % slower; power: worsening that is detected at 80 % power"


def _cells(row: GateRow) -> tuple[str, ...]:
    rule = row.rule if row.blocking else f"{row.rule} (not blocking)"
    first = (row.status, rule, row.name, row.number)
    if row.worse is None:
        return (*first, "–", row.reason, "–", "–")
    unit = "" if row.unit == "points" else " %"
    interval = f"[{row.low:.2f}, {row.high:.2f}]"
    return (*first, f"{row.worse:.2f}{unit}", interval, f"{row.allowed:.2f}", f"{row.detectable:.2f}")
