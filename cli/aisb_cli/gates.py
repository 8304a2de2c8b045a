"""Gates on a single run: scores that must be reached, and objectives that its requests must keep to."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from aisb import FinishedRun, Result
    from aisb_engine import JudgedObjective, Objective

GATE_FLAGS = ("fail_under", "slo", "junit")
MOST = 100
"""The largest score that --fail-under takes."""

_OPTIONS = (
    click.option(
        "--fail-under",
        multiple=True,
        metavar="TASK=SCORE",
        help="Exit with 4 if a score is lower: gsm8k=75, or 75 for all tasks (repeatable).",
    ),
    click.option(
        "--slo",
        multiple=True,
        metavar="NAME=LIMIT",
        help="Exit with 4 if an objective is missed: ttft_p95=500ms, failures=1% (repeatable).",
    ),
    click.option(
        "--junit", type=click.Path(path_type=Path), metavar="FILE", help="Write these checks as JUnit XML."
    ),
)


def gate_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add these options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


class Check(NamedTuple):
    """One requirement for one subtask, and whether it is met."""

    model: str
    task: str
    name: str
    holds: bool
    text: str


@dataclass(frozen=True, slots=True)
class Gates:
    """The requirements for a run: minimum scores by pattern of task names, and objectives of all requests."""

    least: Mapping[str, float]
    objectives: Sequence[Objective]
    junit: Path | None = None

    def __bool__(self) -> bool:
        return bool(self.least or self.objectives)

    def check_names(self, tasks: Iterable[str]) -> None:
        """Refuse a pattern that names no task of the run.

        Raises:
            UsageError: the message lists the tasks of the run.
        """
        from aisb import UsageError
        from aisb.helpers import did_you_mean

        names = list(dict.fromkeys(tasks))
        for pattern in self.least:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise UsageError(
                    f"--fail-under {pattern}: no task of the run has this name"
                    f"{did_you_mean(pattern, names)}; it has {', '.join(names) or 'none'}"
                )

    def check(self, run: FinishedRun) -> list[Check]:
        """Check a run against the requirements."""
        return [*self._scores(run), *self._speeds(run)]

    def _scores(self, run: FinishedRun) -> Iterator[Check]:
        for result in run.results:
            if (required := self._least(result.task)) is not None:
                yield _score_check(result, required)
        for model, task in run.unscored:
            if (required := self._least(task)) is not None:
                yield Check(model, task, f"score >= {required:g}", holds=False, text="there is no score")

    def _least(self, task: str) -> float | None:
        """Return the minimum score of a task: by its own name, otherwise by the first matching pattern."""
        patterns = (pattern for pattern in self.least if fnmatchcase(task, pattern))
        pattern = task if task in self.least else next(patterns, None)
        return None if pattern is None else self.least[pattern]

    def _speeds(self, run: FinishedRun) -> Iterator[Check]:
        if not self.objectives:
            return
        from aisb_engine import judge_objectives

        pairs = [(pair["model"], pair["task"]) for pair in run.configuration.get("subtasks", ())]
        for model, task in dict.fromkeys([*pairs, *run.performance]):
            if (model, task) not in run.performance:
                for objective in self.objectives:
                    name = f"{objective} <= {_formatted(objective, objective.limit)}"
                    yield Check(model, task, name, holds=False, text=f"{objective}: nothing was measured")
                continue
            for judged in judge_objectives(run.performance[model, task].requests(), self.objectives):
                yield _speed_check(model, task, judged)


def read_gates(flags: Mapping[str, Any]) -> Gates:
    """Read the flags.

    Raises:
        UsageError: a score or objective is not as it must be, or there is a file and nothing to check.
    """
    from aisb import UsageError

    least: dict[str, float] = {}
    for text in flags["fail_under"]:
        for part in text.split(","):
            pattern, score = _least_score(part.strip())
            least[pattern] = score
    objectives: list[Objective] = []
    if flags["slo"]:
        from aisb_engine import parse_run_objectives

        objectives = parse_run_objectives(",".join(flags["slo"]))
    gates = Gates(least, objectives, flags["junit"])
    if gates.junit and not gates:
        raise UsageError(
            f"--junit {gates.junit} writes what --fail-under and --slo check: give one of them; "
            "--reporters junit writes a test for each answer"
        )
    return gates


def _least_score(text: str) -> tuple[str, float]:
    from aisb import UsageError

    pattern, separator, number = text.rpartition("=")
    try:
        score = float(number)
    except ValueError:
        score = math.nan
    if not math.isfinite(score) or (separator and not pattern):
        raise UsageError(
            f"--fail-under {text!r} is not TASK=SCORE, as in gsm8k=75, nor a score for all tasks"
        )
    if score > MOST:
        raise UsageError(f"--fail-under {text!r} cannot be reached: a score is at most {MOST}")
    return pattern.strip() or "*", score


def _score_check(result: Result, required: float) -> Check:
    headline = result.headline
    metric = headline.name if headline else "score"
    name = f"{metric} >= {required:g}"

    def check(text: str, *, holds: bool = False) -> Check:
        return Check(result.model, result.task, name, holds, text)

    if headline is None or headline.value is None:
        return check("there is no score")
    if headline.better == "lower":
        return check(f"{metric} is better if lower, so --fail-under cannot check it")
    holds = headline.value >= required
    text = f"{metric} {headline.value:.2f} {'>=' if holds else '<'} {required:g}"
    if headline.low is not None and headline.high is not None:
        text += f", 95 % [{headline.low:.1f}, {headline.high:.1f}]"
        if headline.low < required <= headline.high:
            text += f", which contains {required:g}"
    if result.not_sent:
        holds, text = False, f"{text}; {result.not_sent} samples were not sent yet"
    return check(text, holds=holds)


def _speed_check(model: str, task: str, judged: JudgedObjective) -> Check:
    objective = judged.objective
    limit = _formatted(objective, objective.limit)
    if judged.value is None:
        text = f"{objective} is unknown for all {judged.requests} requests"
    elif math.isinf(judged.value):
        text = f"{objective} > {limit}: too many of {judged.requests} requests failed, or lack the number"
    else:
        sign = "<=" if judged.holds else ">"
        value = _formatted(objective, judged.value)
        text = f"{objective} {value} {sign} {limit}, of {judged.requests} requests"
    return Check(model, task, f"{objective} <= {limit}", judged.holds, text)


def _formatted(objective: Objective, value: float) -> str:
    if objective.name == "failures":
        return f"{100 * value:.3g} %"
    return f"{value:.0f} ms" if value >= 1000 else f"{value:.4g} ms"


def show_checks(gates: Gates, runs: Sequence[FinishedRun], command: str, code: int = 0) -> int:
    """Print a line for each check, write the JUnit file, and return the exit code; `code` is that without.

    With several runs, a check names its run.
    """
    if not gates:
        return code
    from aisb_cli.errors import print_error
    from aisb_engine import JunitCase, to_junit, write_atomically

    judged = [(run, check) for run in runs for check in gates.check(run)]
    checks = [check for _, check in judged]
    names = [f"{run.timestamp} · " if len(runs) > 1 else "" for run, _ in judged]
    for check, name in zip(checks, names, strict=True):
        # A colour would be cleaned away as a control sequence, and the mark says it already.
        click.echo(f"{'✓' if check.holds else '✗'} {name}{check.task} · {check.model}: {check.text}")
    if gates.junit:
        cases = [
            JunitCase(f"{check.model}.{check.task}", f"{name}{check.name}", check.text, not check.holds)
            for check, name in zip(checks, names, strict=True)
        ]
        write_atomically(gates.junit, to_junit(command, cases))
    failed = sum(not check.holds for check in checks)
    if failed or not checks:
        from aisb import CheckFailed

        what = f"{failed} of {len(checks)} checks failed" if checks else "there was nothing to check"
        print_error(what)
        return CheckFailed.exit_code
    return code
