"""`aisb compare`: whether two runs, or two models, differ by more than chance."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from aisb_analysis import _options as shared

if TYPE_CHECKING:
    from aisb_analysis._compare import Comparison, Flip, Pair
    from aisb_analysis._explain import Explanation
    from aisb_analysis._gates import Row
    from aisb_analysis._policy import Policy
    from aisb_analysis._speeds import SpeedComparison
    from aisb_engine import JunitCase, OpenedRun, Plugins

    Found: TypeAlias = Sequence[Comparison | SpeedComparison]

SHOWN = 8
"""How many flipped samples are named on the terminal; --json has all of them."""


@click.command()
@click.argument("runs", nargs=-1, metavar="RUN_A [RUN_B]", shell_complete=shared.complete_runs)
@shared.only_tasks
@click.option("--model-a", metavar="NAME", help="The model of A, where there are several.")
@click.option("--model-b", metavar="NAME", help="The model of B, where there are several.")
@click.option(
    "--explain", is_flag=True, help="Separate the change into other samples, other rules and other answers."
)
@click.option("--baseline", metavar="RUN", help="Compare with this run: it is A, and the run named is B.")
@click.option(
    "--fail-on-regression", is_flag=True, help="End with exit code 4 where B is worse, or lacks a task of A."
)
@click.option(
    "--max-drop",
    type=click.FloatRange(min=0),
    metavar="POINTS",
    help="Gate: fail where a score is surely more than POINTS lower.",
)
@click.option(
    "--max-slowdown",
    type=click.FloatRange(min=0),
    metavar="PERCENT",
    help="Gate: fail where B is surely more than PERCENT slower.",
)
@click.option(
    "--policy",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Gate: what is allowed, task by task (TOML).",
)
@click.option("--strict", is_flag=True, help="A gate fails where it is inconclusive, too.")
@click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Write JUnit XML too.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the bootstrap.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every flipped sample.")
@shared.work_dir
@click.pass_context
def compare(context: click.Context, /, **flags: Any) -> int:
    """Say whether B differs from A by more than chance, on the samples that both answered.

    A run is a timestamp, a path, or `latest`. The difference is B less A; p is corrected for several tasks.
    Of performance runs, ratios are compared; A1,A2,A3 are repeats, which say how sure a ratio is. A
    performance run and an accuracy run are compared by both.

    A gate (--max-drop, --max-slowdown, --policy) ends with exit code 4 where B is surely worse than allowed;
    its sides may hold an accuracy run and three performance runs or more.

    \b
    Two runs:
      aisb compare 20261121_220301 latest
    Two models of one run:
      aisb compare latest --model-a qwen3-8b --model-b qwen3-8b-int4
    Guard a change:
      aisb compare latest --baseline release --fail-on-regression --junit ci.xml
      aisb compare latest --baseline release --max-drop 0.5
    Find out where a change comes from:
      aisb compare --explain 20261121_220301 latest
    """  # noqa: D301 - \b is for click
    from aisb import CheckFailed
    from aisb_analysis import _gates as gates
    from aisb_analysis._policy import read_policy
    from aisb_engine import to_junit, write_atomically

    policy = read_policy(flags["policy"], flags["max_drop"], flags["max_slowdown"])
    if policy is None and flags["strict"]:
        raise click.UsageError("--strict goes with --max-drop, --max-slowdown or --policy")
    plugins = context.obj.load_plugins()
    a, b = _sides(flags, plugins, policy)
    explained = _explained(a, b, plugins, flags) if flags["explain"] else []
    percentiles = policy.percentiles if policy else ()
    parts = [_compared(*sides, plugins, flags, percentiles) for sides in _parts(a, b)]
    found = [one for part, _ in parts for one in part]
    alone = list(dict.fromkeys(line for _, lines in parts for line in lines))
    rows = _gate_rows(policy, parts, _parts(a, b)) if policy else []
    if flags["as_json"]:
        sides = {"a": [str(run.folder) for run in a], "b": [str(run.folder) for run in b]}
        told = {**sides, "alone": alone, "comparisons": [asdict(one) for one in found]}
        if flags["explain"]:
            told["explanations"] = [asdict(one) for one in explained]
        if policy:
            told["gate"] = [asdict(row) for row in rows]
        click.echo(json.dumps(_named(told), ensure_ascii=False, indent=2, default=str))
    else:
        click.echo(f"A: {_names(a)}\nB: {_names(b)}")
        for line in (*alone, *_lines(found), *_explanation_lines(explained)):
            click.echo(line)
        for line in ("", *gates.lines(rows)) if policy else ():
            click.echo(line)
    refused = [row for row in rows if gates.is_failure(row, strict=flags["strict"])]
    cases = list(_gate_cases(rows, refused) if policy else _cases(found, alone))
    if flags["junit"]:
        write_atomically(flags["junit"], to_junit("aisb compare", cases))
    if refused:
        which = "\n  ".join(f"{row.task} {row.number}: {gates.describe(row)}" for row in refused)
        raise CheckFailed(f"{len(refused)} of {len(rows)} rows of the gate fail\n  {which}")
    failed = [case for case in _cases(found, alone) if case.failed]
    if flags["fail_on_regression"] and failed:
        which = "\n  ".join(f"{case.group} {case.name}: {case.text.splitlines()[0]}" for case in failed)
        raise CheckFailed(f"{len(failed)} of {len(cases)} comparisons are a regression\n  {which}")
    return 0


def _parts(a: list[OpenedRun], b: list[OpenedRun]) -> list[tuple[list[OpenedRun], list[OpenedRun]]]:
    """Return the pairs of sides that are compared: by kind of run, where each side has both kinds."""
    kinds = [
        [[run for run in side if run.spec.run.performance == kind] for side in (a, b)]
        for kind in (False, True)
    ]
    return [(ours, theirs) for ours, theirs in kinds] if all(map(all, kinds)) else [(a, b)]


def _gate_rows(
    policy: Policy,
    parts: Sequence[tuple[Found, list[str]]],
    sides: Sequence[tuple[list[OpenedRun], list[OpenedRun]]],
) -> list[Row]:
    """Hold comparisons against a policy."""
    from aisb_analysis._compare import Comparison
    from aisb_analysis._gates import gate_rows

    found = [one for part, _ in parts for one in part]
    missing: dict[bool, list[tuple[str, str]]] = {False: [], True: []}
    for (_, lines), (ours, _) in zip(parts, sides, strict=True):
        for line in lines:
            task, _, model = line.removesuffix(" is in A only").partition(" of ")
            if line.endswith(" is in A only"):
                missing[ours[0].spec.run.performance].append((model, task))
    return gate_rows(
        policy,
        [one for one in found if isinstance(one, Comparison)],
        [one for one in found if not isinstance(one, Comparison)],
        ungraded=missing[False],
        unmeasured=missing[True],
    )


def _gate_cases(rows: Sequence[Row], refused: Sequence[Row]) -> Iterator[JunitCase]:
    from aisb_analysis._gates import describe
    from aisb_engine import JunitCase

    for row in rows:
        yield JunitCase(row.model or "missing", f"{row.task} {row.number}", describe(row), row in refused)


def _check_gate(policy: Policy, a: list[OpenedRun], b: list[OpenedRun]) -> None:
    """Refuse sides that a gate cannot judge: one accuracy run a side, and few or no performance runs."""
    from aisb import UsageError
    from aisb_analysis._gates import LEAST_RUNS

    counts = [[sum(run.spec.run.performance == kind for run in side) for side in (a, b)] for kind in (0, 1)]
    if max(counts[0]) > 1:
        raise UsageError(
            "a side of a gate has one accuracy run at most: repeats of an accuracy run are one run, with "
            "params.num_return_sequences"
        )
    if policy.performance and any(counts[1]) and min(counts[1]) < LEAST_RUNS:
        raise UsageError(
            f"a gate on speed needs at least {LEAST_RUNS} performance runs on each side, as in --baseline "
            f"A1,A2,A3 B1,B2,B3; A has {counts[1][0]}, B has {counts[1][1]}"
        )


def _sides(
    flags: dict[str, Any], plugins: Plugins, policy: Policy | None
) -> tuple[list[OpenedRun], list[OpenedRun]]:
    """Open the runs of A and of B; commas separate the repeats of a side."""
    from aisb import UsageError
    from aisb_engine import open_run

    given = [*([flags["baseline"]] if flags["baseline"] else []), *flags["runs"]]
    if len(given) == 1 and not flags["baseline"]:
        given *= 2
    if len(given) != 2:
        words = " ".join(given) or "nothing"
        raise UsageError(
            f"two sides are compared, and this names {words}: give RUN_A RUN_B, one run with --model-a and "
            "--model-b, or RUN with --baseline RUN"
        )
    a, b = (
        [open_run(flags["work_dir"], name, plugins) for name in side.split(",") if name] for side in given
    )
    kinds = {run.spec.run.performance for run in (*a, *b)}
    if policy:
        _check_gate(policy, a, b)
    elif False in kinds and (len(a) > 1 or len(b) > 1):
        raise UsageError(
            "several runs on a side are the repeats of a performance run; repeats of an accuracy run are one "
            "run, with params.num_return_sequences"
        )
    if kinds == {True} and flags["fail_on_regression"] and min(len(a), len(b)) < 2:
        raise UsageError(
            "--fail-on-regression needs at least two performance runs on each side, as in "
            "--baseline A1,A2 B1,B2: one alone does not say how much a run differs from the next"
        )
    return a, b


def _compared(
    a: list[OpenedRun],
    b: list[OpenedRun],
    plugins: Plugins,
    flags: dict[str, Any],
    percentiles: Sequence[tuple[str, float]],
) -> tuple[Found, list[str]]:
    import asyncio

    from aisb import RunError, UsageError
    from aisb_analysis._compare import pair_up
    from aisb_analysis._readings import compare_runs

    pairs: list[Pair]
    pairs, alone = pair_up(
        a[0], b[0], tasks=flags["tasks"], model_a=flags["model_a"], model_b=flags["model_b"]
    )
    try:
        grades, speeds = asyncio.run(
            compare_runs(a, b, pairs, plugins, seed=flags["seed"], percentiles=percentiles)
        )
    except UsageError as error:
        if not flags["explain"] or isinstance(error, RunError):
            raise
        return [], [*alone, f"not compared: {error}"]
    return [*grades, *speeds], alone


def _explained(
    a: list[OpenedRun], b: list[OpenedRun], plugins: Plugins, flags: dict[str, Any]
) -> list[Explanation]:
    import asyncio

    from aisb import UsageError
    from aisb_analysis._compare import pair_up
    from aisb_analysis._explain import explain

    if all(run.spec.run.performance for run in (*a, *b)):
        raise UsageError("--explain is for scores: the numbers of a performance run follow from no rules")
    pairs, _ = pair_up(a[0], b[0], tasks=flags["tasks"], model_a=flags["model_a"], model_b=flags["model_b"])
    return asyncio.run(explain(a[0], b[0], pairs, plugins))


def _explanation_lines(explained: Sequence[Explanation]) -> Iterator[str]:
    from aisb_analysis._explain import lines

    for one in explained:
        yield ""
        yield from lines(one)


def _lines(found: Found) -> Iterator[str]:
    from tabulate import tabulate

    from aisb_analysis._compare import Comparison

    grades = [one for one in found if isinstance(one, Comparison)]
    speeds = [one for one in found if not isinstance(one, Comparison)]
    for one in grades:
        yield from (f"! {one.task}: not the same on both sides: {line}" for line in one.unequal)
        yield from (f"! {one.task}: {line}" for line in one.notes)
    lines = ((one.task, line) for one in speeds for line in one.unequal)
    yield from (f"! {task}: not the same on both sides: {line}" for task, line in dict.fromkeys(lines))
    yield ""
    if grades:
        yield tabulate(
            [_row(one, grades) for one in grades],
            headers=("task", "n", "A", "B", "B - A", "95 %", "p", "verdict"),
            disable_numparse=True,
            colalign=("left", "right", "right", "right", "right", "left", "right", "left"),
        )
        yield ""
        for one in grades:
            yield from _below(one)
    if grades and speeds:
        yield ""
    if speeds:
        yield tabulate(
            [_speed_row(one, speeds) for one in speeds],
            headers=("task", "number", "A", "B", "B / A", "95 %", "p", "verdict"),
            disable_numparse=True,
            colalign=("left", "left", "right", "right", "right", "left", "right", "left"),
        )
        if any(one.verdict is None for one in speeds):
            yield (
                "\none run each does not say how much a run differs from the next: "
                "give repeats,\nas in A1,A2,A3 B1,B2,B3"
            )


def _row(one: Comparison, among: Sequence[Comparison]) -> tuple[str, ...]:
    return (
        _name(one, among),
        f"{one.samples:,}",
        f"{one.a:.2f}",
        f"{one.b:.2f}",
        f"{one.difference:+.2f}",
        f"[{one.low:+.1f}, {one.high:+.1f}]",
        _p(one.corrected),
        _verdict(one),
    )


def _below(one: Comparison) -> Iterator[str]:
    yield f"{one.task}: {len(one.gained)} got better{_ids(one.gained)}"
    yield f"  {len(one.lost)} got worse{_ids(one.lost)}"
    if one.clusters is not None:
        yield f"  its samples share something in {one.clusters:,} clusters, each of which counts as a whole"
    smallest = "none" if one.smallest is None else f"{one.smallest:.1f} points"
    yield f"  smallest difference that {one.samples:,} samples would have shown: {smallest}"
    if one.needed is not None:
        yield f"  samples that would show the difference seen: {one.needed:,}"


def _ids(flips: Sequence[Flip]) -> str:
    ids = ", ".join(flip.id for flip in flips[:SHOWN])
    return f": {ids}{', …' if len(flips) > SHOWN else ''}" if flips else ""


def _speed_row(one: SpeedComparison, among: Sequence[SpeedComparison]) -> tuple[str, ...]:
    return (
        _name(one, among),
        one.name,
        _mean(one.a),
        _mean(one.b),
        "–" if one.ratio is None else f"{one.ratio:.3f}",
        "–" if one.low is None or one.high is None else f"[{one.low:.3f}, {one.high:.3f}]",
        "–" if one.corrected is None else _p(one.corrected),
        _verdict(one),
    )


def _mean(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):.4g}" if values else "–"


def _name(one: Comparison | SpeedComparison, among: Found) -> str:
    """Return the task's name, with the models where several are compared."""
    if len({(other.model_a, other.model_b) for other in among}) == 1:
        return one.task
    models = one.model_a if one.model_a == one.model_b else f"{one.model_a} / {one.model_b}"
    return f"{one.task} {models}"


def _verdict(one: Comparison | SpeedComparison) -> str:
    if one.verdict is None:
        return "not known"
    return one.verdict if one.verdict == "tie" else f"B {one.verdict}"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _names(side: Sequence[OpenedRun]) -> str:
    return ", ".join(f"{run.folder} ({', '.join(run.models)})" for run in side)


def _cases(found: Found, alone: Sequence[str]) -> Iterator[JunitCase]:
    from aisb_analysis._compare import Comparison
    from aisb_engine import JunitCase

    for one in found:
        if isinstance(one, Comparison):
            text = (
                f"{one.verdict}: {one.a:.2f} to {one.b:.2f}, {one.difference:+.2f} points "
                f"[{one.low:+.1f}, {one.high:+.1f}], p {_p(one.corrected)}"
            )
            name = one.task
        else:
            ratio = "unknown" if one.ratio is None else f"{one.ratio:.3f} times"
            text, name = f"{one.verdict or 'not known'}: {ratio}", f"{one.task} {one.name}"
        text += f"\n{one.model_a} and {one.model_b}"
        yield JunitCase(one.model_b, name, text, one.verdict == "worse")
    for line in alone:
        if line.endswith("A only"):
            yield JunitCase("missing", line, f"missing: {line}", failed=True)


def _named(value: Any) -> Any:
    """Return nested values with named tuples as tables, which JSON would make lists of."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: _named(item) for key, item in value.items()}
    return [_named(item) for item in value] if isinstance(value, list | tuple) else value
