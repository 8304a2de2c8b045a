"""`aisb compare`: test whether two runs, or two models, differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from aisb_engine import command_options as shared

if TYPE_CHECKING:
    from aisb_analysis._compare import ComparedSubtask, Comparison
    from aisb_analysis._compare_sides import Part, Sides
    from aisb_analysis._determinism import Determinism
    from aisb_analysis._explain import Explanation
    from aisb_analysis._gates import GateRow
    from aisb_analysis._policy import Policy
    from aisb_analysis._speeds import SpeedComparison
    from aisb_engine import JunitCase, Plugins

    Found: TypeAlias = Sequence[Comparison | SpeedComparison]


@click.command()
@click.argument("runs", nargs=-1, metavar="RUN_A [RUN_B]", shell_complete=shared.complete_runs)
@shared.only_tasks
@click.option("--model-a", metavar="NAME", help="The model of A, if there are several.")
@click.option("--model-b", metavar="NAME", help="The model of B, if there are several.")
@click.option("--explain", is_flag=True, help="Split the change into different samples, rules and answers.")
@click.option("--baseline", metavar="RUN", help="Use this run as A, and the argument as B.")
@click.option(
    "--fail-on-regression", is_flag=True, help="Exit with code 4 if B is worse, or lacks a task of A."
)
@click.option(
    "--max-drop",
    type=click.FloatRange(min=0),
    metavar="POINTS",
    help="Gate: fail if a score is significantly more than POINTS lower.",
)
@click.option(
    "--max-slowdown",
    type=click.FloatRange(min=0),
    metavar="PERCENT",
    help="Gate: fail if B is significantly more than PERCENT slower.",
)
@click.option(
    "--policy",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Gate: allowances by task (TOML file).",
)
@click.option(
    "--noise",
    metavar="RUN",
    help="Compare flips with the noise of the service, from a run of aisb doctor --determinism.",
)
@click.option(
    "--plan", is_flag=True, help="Print how many samples and minutes a difference needs, from a pilot run."
)
@click.option(
    "--difference",
    "differences",
    type=click.FloatRange(0, 100, min_open=True),
    multiple=True,
    metavar="POINTS",
    help="Difference to plan for (repeatable) [default: 0.5, 1, 2, 5].",
)
@click.option(
    "--budget", metavar="TIME", help="Print the difference that can be detected in this time: 600s, 30m, 2h."
)
@click.option("--strict", is_flag=True, help="Also let a gate fail if it is inconclusive.")
@click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Also write JUnit XML.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the bootstrap.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every flipped sample.")
@shared.work_dir
@click.pass_context
def compare(context: click.Context, /, **flags: Any) -> int:
    """Test whether B differs from A, on the samples that both answered.

    A run is a timestamp, a path, a tag, or `latest`. The difference is B minus A; p-values are corrected for
    several tasks. Performance runs are compared by ratios; A1,A2,A3 are repeats, which give a ratio its
    interval. Two folders of sweeps are compared point by point. A gate (--max-drop, --max-slowdown, --policy)
    exits with code 4 if B is significantly worse than allowed.

    \b
    Two runs, or two models of one run:
      aisb compare 20261121_220301 latest
      aisb compare latest --model-a qwen3-8b --model-b qwen3-8b-int4
    Guard a change:
      aisb compare latest --baseline release --max-drop 0.5 --junit ci.xml
    Find out where a change comes from, or plan a larger run:
      aisb compare --explain 20261121_220301 latest
      aisb compare --plan latest --budget 30m
    """  # noqa: D301 - \b is for click
    from aisb import CheckFailed
    from aisb_analysis import _gates as gates
    from aisb_analysis._compare_sides import open_sides
    from aisb_analysis._compare_text import comparison_lines
    from aisb_analysis._policy import read_policy
    from aisb_engine import to_junit, write_atomically

    policy = read_policy(flags["policy"], flags["max_drop"], flags["max_slowdown"])
    _check_flags(flags, policy)
    plugins = context.obj.load_plugins()
    noise = _noise(flags, plugins) if flags["noise"] else None
    if flags["plan"]:
        from aisb_analysis._plan_text import show_plan

        return show_plan(flags, plugins, noise)
    sides = open_sides(flags, plugins, policy)
    explained = _explained(sides.parts, plugins, flags) if flags["explain"] else []
    percentiles = policy.percentiles if policy else ()
    parts = [_compared(part, plugins, flags, percentiles) for part in sides.parts]
    found = _corrected([one for part, _ in parts for one in part]) if len(sides.parts) > 1 else parts[0][0]
    alone = list(dict.fromkeys([*(line for _, lines in parts for line in lines), *_points_alone(sides)]))
    rows = _gate_rows(policy, found, parts, sides) if policy else []
    if flags["as_json"]:
        runs = {
            side: [str(run.folder) for part in sides.parts for run in getattr(part, side)] for side in "ab"
        }
        table = {**runs, "unmatched": alone, "comparisons": [asdict(one) for one in found]}
        if flags["explain"]:
            table["explanations"] = [asdict(one) for one in explained]
        if noise:
            table["noise"] = {**asdict(noise), "flip_share": noise.flip_share}
        if policy:
            table["gate"] = [asdict(row) for row in rows]
        click.echo(json.dumps(_named(table), ensure_ascii=False, indent=2, default=str))
    else:
        click.echo(f"A: {sides.a}\nB: {sides.b}")
        for line in (*alone, *comparison_lines(found, noise), *_explanation_lines(explained)):
            click.echo(line)
        for line in ("", *gates.gate_lines(rows)) if policy else ():
            click.echo(line)
    refused = [row for row in rows if gates.is_failure(row, strict=flags["strict"])]
    cases = list(_gate_cases(rows, refused) if policy else _cases(found, alone))
    if flags["junit"]:
        write_atomically(flags["junit"], to_junit("aisb compare", cases))
    if refused:
        which = "\n  ".join(f"{row.name} {row.number}: {gates.gate_text(row)}" for row in refused)
        raise CheckFailed(f"{len(refused)} of {len(rows)} rows of the gate fail\n  {which}")
    failed = [case for case in _cases(found, alone) if case.failed]
    if flags["fail_on_regression"] and failed:
        which = "\n  ".join(f"{case.group} {case.name}: {case.text.splitlines()[0]}" for case in failed)
        raise CheckFailed(f"{len(failed)} of {len(cases)} comparisons are a regression\n  {which}")
    return 0


def _check_flags(flags: dict[str, Any], policy: Policy | None) -> None:
    """Refuse flags that need another flag."""
    if policy is None and flags["strict"]:
        raise click.UsageError("--strict needs --max-drop, --max-slowdown or --policy")
    if (flags["differences"] or flags["budget"]) and not flags["plan"]:
        raise click.UsageError("--difference and --budget need --plan")


def _noise(flags: dict[str, Any], plugins: Plugins) -> Determinism:
    """Measure the noise of a service from a run that repeated requests."""
    from aisb_analysis._determinism import measure_determinism
    from aisb_engine import RunFolder, open_finished_run

    folder = RunFolder.find(flags["work_dir"], flags["noise"])
    return measure_determinism(open_finished_run(folder.path, plugins=plugins))


def _corrected(found: Found) -> Found:
    """Return comparisons of several points of a sweep with p-values corrected over all of them."""
    from aisb_analysis._compare import Comparison
    from aisb_analysis._speeds import with_verdicts

    grades = [one for one in found if isinstance(one, Comparison)]
    return [*grades, *with_verdicts([one for one in found if not isinstance(one, Comparison)])]


def _points_alone(sides: Sides) -> Iterator[str]:
    for side, part in sides.alone:
        for subtask in part.a[0].subtasks():
            yield f"{subtask.task}, {part.point} of {subtask.model} is in {side} only"


def _gate_rows(
    policy: Policy, found: Found, parts: Sequence[tuple[Found, list[str]]], sides: Sides
) -> list[GateRow]:
    """Check comparisons against a policy."""
    from aisb_analysis._compare import Comparison
    from aisb_analysis._gates import gate_rows

    missing: dict[bool, list[tuple[str, str, str]]] = {False: [], True: []}
    for (_, lines), part in zip(parts, sides.parts, strict=True):
        for line in lines:
            task, _, model = line.removesuffix(" is in A only").partition(" of ")
            if line.endswith(" is in A only"):
                missing[part.a[0].spec.run.performance].append((model, task, part.point))
    missing[True] += [
        (subtask.model, subtask.task, part.point)
        for side, part in sides.alone
        for subtask in part.a[0].subtasks()
        if side == "A"
    ]
    return gate_rows(
        policy,
        [one for one in found if isinstance(one, Comparison)],
        [one for one in found if not isinstance(one, Comparison)],
        ungraded=missing[False],
        unmeasured=missing[True],
    )


def _gate_cases(rows: Sequence[GateRow], refused: Sequence[GateRow]) -> Iterator[JunitCase]:
    from aisb_analysis._gates import gate_text
    from aisb_engine import JunitCase

    for row in rows:
        yield JunitCase(row.model or "missing", f"{row.name} {row.number}", gate_text(row), row in refused)


def _compared(
    part: Part, plugins: Plugins, flags: dict[str, Any], percentiles: Sequence[tuple[str, float]]
) -> tuple[Found, list[str]]:
    import asyncio
    from dataclasses import replace

    from aisb import RunError, UsageError
    from aisb_analysis._compare import pair_up
    from aisb_analysis._readings import compare_runs

    a, b, point = part
    pairs: list[ComparedSubtask]
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
    return [*grades, *(replace(one, point=point) for one in speeds)], alone


def _explained(parts: Sequence[Part], plugins: Plugins, flags: dict[str, Any]) -> list[Explanation]:
    import asyncio

    from aisb import UsageError
    from aisb_analysis._compare import pair_up
    from aisb_analysis._explain import explain_changes

    if all(run.spec.run.performance for part in parts for run in (*part.a, *part.b)):
        raise UsageError("--explain applies to scores; a performance run has none")
    a, b = parts[0].a[0], parts[0].b[0]
    pairs, _ = pair_up(a, b, tasks=flags["tasks"], model_a=flags["model_a"], model_b=flags["model_b"])
    return asyncio.run(explain_changes(a, b, pairs, plugins))


def _explanation_lines(explained: Sequence[Explanation]) -> Iterator[str]:
    from aisb_analysis._explain import explanation_lines

    for one in explained:
        yield ""
        yield from explanation_lines(one)


def _cases(found: Found, alone: Sequence[str]) -> Iterator[JunitCase]:
    from aisb_analysis._compare import Comparison
    from aisb_analysis._compare_text import format_p
    from aisb_engine import JunitCase

    for one in found:
        if isinstance(one, Comparison):
            text = (
                f"{one.verdict}: {one.a:.2f} to {one.b:.2f}, {one.difference:+.2f} points "
                f"[{one.low:+.1f}, {one.high:+.1f}], p {format_p(one.p_corrected)}"
            )
            name = one.task
        else:
            ratio = "unknown" if one.ratio is None else f"{one.ratio:.3f} times"
            text, name = f"{one.verdict or 'not known'}: {ratio}", f"{one.place} {one.name}"
        text += f"\n{one.model_a} and {one.model_b}"
        yield JunitCase(one.model_b, name, text, one.verdict == "worse")
    for line in alone:
        if line.endswith("A only"):
            yield JunitCase("missing", line, f"missing: {line}", failed=True)


def _named(value: Any) -> Any:
    """Return nested values with named tuples as dicts, since JSON would write them as lists."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: _named(item) for key, item in value.items()}
    return [_named(item) for item in value] if isinstance(value, list | tuple) else value
