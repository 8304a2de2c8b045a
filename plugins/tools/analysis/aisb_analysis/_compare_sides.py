"""The two sides of a comparison: runs by name, or two sweeps, whose points are compared one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aisb import UsageError

if TYPE_CHECKING:
    from aisb_analysis._policy import Policy
    from aisb_analysis._sweep.record import SweepRecord
    from aisb_engine import OpenedRun, Plugins


class Part(NamedTuple):
    """Runs to compare with each other. `point` says which point of two sweeps they measured."""

    a: list[OpenedRun]
    b: list[OpenedRun]
    point: str = ""


class Sides(NamedTuple):
    """Both sides: their names, their parts, and the points that only one of two sweeps has."""

    a: str
    b: str
    parts: list[Part]
    alone: Sequence[tuple[str, Part]] = ()


def open_sides(flags: Mapping[str, Any], plugins: Plugins, policy: Policy | None) -> Sides:
    """Open the runs of A and of B; commas separate the repeats of a side.

    Raises:
        UsageError: there are not two sides, a run or sweep does not exist, or they cannot be compared.
    """
    from aisb_engine import open_run

    names = [*([flags["baseline"]] if flags["baseline"] else []), *flags["runs"]]
    if len(names) == 1 and not flags["baseline"]:
        names *= 2
    if len(names) != 2:
        given = " ".join(names) or "no run"
        raise UsageError(
            f"a comparison has two sides, and was given {given}: use RUN_A RUN_B, one run with --model-a and "
            "--model-b, or RUN with --baseline RUN"
        )
    sweeps = [sweep_folder(name) for name in names]
    if all(sweeps):
        return _sides_of_sweeps([folder for folder in sweeps if folder], flags, plugins, policy)
    for name, other in zip(names, reversed(sweeps), strict=True):
        if other:
            raise UsageError(f"{other} is a sweep and {name} is not: compare a sweep with a sweep")
    a, b = (
        [open_run(flags["work_dir"], name, plugins) for name in side.split(",") if name] for side in names
    )
    _check(a, b, flags, policy)
    return Sides(_names(a), _names(b), _kinds_apart(a, b))


def sweep_folder(name: str) -> Path | None:
    """Return the folder of a sweep by its path; None if a name is not one."""
    from aisb_analysis._sweep.record import FILE

    return Path(name) if (Path(name) / FILE).is_file() else None


def _sides_of_sweeps(
    folders: Sequence[Path], flags: Mapping[str, Any], plugins: Plugins, policy: Policy | None
) -> Sides:
    from aisb_analysis._sweep.grid import describe
    from aisb_analysis._sweep.record import SweepRecord

    records = [SweepRecord.read(folder) for folder in folders]
    for record in records:
        record.check_runs()
    a, b = (_runs_of_points(record, plugins) for record in records)
    settings = {describe(dict(key)): key for key in (*a, *b)}
    parts = [Part(a[key], b[key], name) for name, key in settings.items() if key in a and key in b]
    if not parts:
        raise UsageError(
            f"no point is in both sweeps: A has {_listed(a)}; B has {_listed(b)}\n"
            "  compare sweeps of the same grid"
        )
    for part in parts:
        _check(part.a, part.b, flags, policy, f" of {part.point}")
    alone = [
        (side, Part(runs, [], name))
        for name, key in settings.items()
        for side, runs, others in (("A", a.get(key), b), ("B", b.get(key), a))
        if runs and key not in others
    ]
    first, second = (f"{record.folder} ({_counted(record)})" for record in records)
    return Sides(first, second, parts, alone)


def _runs_of_points(
    record: SweepRecord, plugins: Plugins
) -> dict[tuple[tuple[str, str], ...], list[OpenedRun]]:
    from aisb_engine import open_run

    found: dict[tuple[tuple[str, str], ...], list[OpenedRun]] = {}
    for point in record.done:
        key = tuple(sorted(point.settings.items()))
        found.setdefault(key, []).append(open_run(record.runs, str(point.run), plugins))
    return found


def _listed(points: Mapping[tuple[tuple[str, str], ...], Any]) -> str:
    from aisb_analysis._sweep.grid import describe

    names = [describe(dict(key)) for key in points]
    return "; ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "") or "none"


def _counted(record: SweepRecord) -> str:
    left = len(record.points) - len(record.done)
    runs = f"{len(record.done)} runs of {len(record.points) // record.repeats} points"
    return f"{runs}, {left} not measured yet" if left else runs


def _check(
    a: Sequence[OpenedRun],
    b: Sequence[OpenedRun],
    flags: Mapping[str, Any],
    policy: Policy | None,
    place: str = "",
) -> None:
    """Refuse sides that cannot be compared, or that a gate cannot judge."""
    kinds = {run.spec.run.performance for run in (*a, *b)}
    if policy:
        _check_gate(policy, a, b, place)
    elif False in kinds and (len(a) > 1 or len(b) > 1):
        raise UsageError(
            "only performance runs can have several runs on a side; repeat samples of an accuracy run within "
            "the run, with params.num_return_sequences"
        )
    if kinds == {True} and flags["fail_on_regression"] and min(len(a), len(b)) < 2:
        raise UsageError(
            f"--fail-on-regression needs at least two performance runs{place} on each side, as in "
            "--baseline A1,A2 B1,B2: a single run does not show the variation between runs"
        )


def _check_gate(policy: Policy, a: Sequence[OpenedRun], b: Sequence[OpenedRun], place: str) -> None:
    """Refuse sides that a gate cannot judge: several accuracy runs, or too few performance runs."""
    from aisb_analysis._gates import MIN_RUNS

    counts = [[sum(run.spec.run.performance == kind for run in side) for side in (a, b)] for kind in (0, 1)]
    if max(counts[0]) > 1:
        raise UsageError(
            "a gate compares at most one accuracy run on each side; repeat samples within a run with "
            "params.num_return_sequences"
        )
    if policy.performance and any(counts[1]) and min(counts[1]) < MIN_RUNS:
        more = "aisb sweep --repeats 3 measures them" if place else "as in --baseline A1,A2,A3 B1,B2,B3"
        raise UsageError(
            f"a gate on speed needs at least {MIN_RUNS} performance runs{place} on each side, {more}; "
            f"A has {counts[1][0]}, B has {counts[1][1]}"
        )


def _kinds_apart(a: list[OpenedRun], b: list[OpenedRun]) -> list[Part]:
    """Return the parts to compare: one for each kind of run if both sides have both kinds."""
    parts = [
        Part(
            [run for run in a if run.spec.run.performance == kind],
            [run for run in b if run.spec.run.performance == kind],
        )
        for kind in (False, True)
    ]
    return parts if all(part.a and part.b for part in parts) else [Part(a, b)]


def _names(side: Sequence[OpenedRun]) -> str:
    return ", ".join(f"{run.folder} ({', '.join(run.models)})" for run in side)
