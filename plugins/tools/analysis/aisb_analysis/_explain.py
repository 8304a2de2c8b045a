"""Split the change of a score into the effects of samples, rules and answers.

Both sides are graded by the rules of both. With s(X, R) the score of side X by the rules R on the samples
that both sides have, the rules' part is the mean of s(A, B) − s(A, A) and s(B, B) − s(B, A), and the answers'
part the mean of s(B, A) − s(A, A) and s(B, B) − s(A, B): the mean over both orders. The rest is due to
samples that only one side has. The three parts add up to the change.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import floor, fsum
from typing import TYPE_CHECKING, Any

from aisb import AisbError
from aisb_engine import CORRECT_THRESHOLD, Grade, OpenedRun, grade_notes, read_grades

if TYPE_CHECKING:
    from aisb_analysis._compare import ComparedSubtask
    from aisb_engine import Plugins, Subtask

Grades = Mapping[str, Sequence[Grade]]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The parts of the change of one score, in percent.

    `a` and `b` are the scores over all samples of a side, by its own rules with the current code. `rules`
    and `answers` are None if one side cannot be graded by the other's rules: then only `rules_and_answers` is
    known. `a_by_b` is the score of A by the rules of B on the samples that both have, and so on.
    `graded_otherwise` are shared samples whose answers get different grades by the two rules;
    `answered_otherwise` are those whose grades by B's rules differ between the two sides.
    """

    task: str
    model_a: str
    model_b: str
    a: float
    b: float
    change: float
    samples: float
    rules: float | None
    answers: float | None
    rules_and_answers: float
    shared: int
    only_a: int
    only_b: int
    other_targets: int
    a_by_a: float | None
    a_by_b: float | None
    b_by_a: float | None
    b_by_b: float | None
    graded_otherwise: tuple[str, ...] = ()
    answered_otherwise: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


async def explain_changes(
    a: OpenedRun, b: OpenedRun, pairs: Sequence[ComparedSubtask], plugins: Plugins
) -> list[Explanation]:
    """Explain the change from A to B for each pair.

    Raises:
        UsageError: a side has no grades.
    """
    return [await _explained(a, b, pair, plugins) for pair in pairs]


async def _explained(a: OpenedRun, b: OpenedRun, pair: ComparedSubtask, plugins: Plugins) -> Explanation:
    notes = [
        f"{side}: {line}"
        for side, run, subtask in (("A", a, pair.a), ("B", b, pair.b))
        for line in grade_notes(run, subtask, plugins)
    ]
    own_a = await read_grades(a, pair.a, plugins, note=lambda line: notes.append(f"A: {line}"))
    own_b = await read_grades(b, pair.b, plugins, note=lambda line: notes.append(f"B: {line}"))
    a_by_b = b_by_a = None
    try:
        a_by_b = await read_grades(_by_rules_of(a, pair.a, b, pair.b), pair.a, plugins)
        b_by_a = await read_grades(_by_rules_of(b, pair.b, a, pair.a), pair.b, plugins)
    except AisbError as error:
        notes.append(f"rules and answers cannot be separated: {str(error).partition(chr(10))[0]}")
    crossed = (a_by_b, b_by_a) if a_by_b is not None and b_by_a is not None else None
    return _parts(own_a, own_b, crossed, names=(pair.a, pair.b), notes=notes)


def _by_rules_of(run: OpenedRun, subtask: Subtask, other: OpenedRun, other_subtask: Subtask) -> OpenedRun:
    """Return a run with the rules of another one."""
    tasks = {**run.spec.tasks, subtask.task: other.spec.tasks[other_subtask.task]}
    judge = {"judge": other.spec.judge} if other.spec.judge else {}
    return OpenedRun(run.folder, run.spec.model_copy(update={"tasks": tasks, **judge}))


def _parts(
    own_a: Grades,
    own_b: Grades,
    crossed: tuple[Grades, Grades] | None,
    *,
    names: tuple[Subtask, Subtask],
    notes: Sequence[str] = (),
) -> Explanation:
    both = [key for key in own_a if key in own_b]
    if crossed:  # rules may change reference answers; if the data differs, they differ by equal rules, too
        shared = [
            key
            for key in both
            if _target(own_a, key) == _target(crossed[1], key)
            and _target(crossed[0], key) == _target(own_b, key)
        ]
    else:
        shared = [key for key in both if _target(own_a, key) == _target(own_b, key)]
    every = [own_a, own_b, *(crossed or ())]
    partial = any(
        1e-9 < grade.value < CORRECT_THRESHOLD for side in every for of in side.values() for grade in of
    )

    def score(side: Grades, keys: Collection[str]) -> float:
        return 100 * fsum(_value(side[key], partial) for key in keys) / len(keys)

    a, b = score(own_a, own_a), score(own_b, own_b)
    common: dict[str, Any] = {
        "task": names[0].task,
        "model_a": names[0].model,
        "model_b": names[1].model,
        "a": a,
        "b": b,
        "change": b - a,
        "shared": len(shared),
        "only_a": len(own_a) - len(both),
        "only_b": len(own_b) - len(both),
        "other_targets": len(both) - len(shared),
    }
    if not shared:
        unknown: dict[str, Any] = dict.fromkeys(("a_by_a", "a_by_b", "b_by_a", "b_by_b"))
        return Explanation(
            **common,
            samples=b - a,
            rules=0.0,
            answers=0.0,
            rules_and_answers=0.0,
            **unknown,
            notes=(*notes, "the two sides share no sample, so the samples explain the whole change"),
        )
    a_by_a, b_by_b = score(own_a, shared), score(own_b, shared)
    a_by_b = score(crossed[0], shared) if crossed else None
    b_by_a = score(crossed[1], shared) if crossed else None
    rules = answers = None
    graded: tuple[str, ...] = ()
    if crossed and a_by_b is not None and b_by_a is not None:
        rules = ((a_by_b - a_by_a) + (b_by_b - b_by_a)) / 2
        answers = ((b_by_a - a_by_a) + (b_by_b - a_by_b)) / 2
        graded = tuple(
            key
            for key in shared
            if _value(own_a[key], partial) != _value(crossed[0][key], partial)
            or _value(own_b[key], partial) != _value(crossed[1][key], partial)
        )
    by_b = crossed[0] if crossed else own_a
    return Explanation(
        **common,
        samples=(a_by_a - a) + (b - b_by_b),
        rules=rules,
        answers=answers,
        rules_and_answers=b_by_b - a_by_a,
        a_by_a=a_by_a,
        a_by_b=a_by_b,
        b_by_a=b_by_a,
        b_by_b=b_by_b,
        graded_otherwise=graded,
        answered_otherwise=tuple(
            key for key in shared if _value(by_b[key], partial) != _value(own_b[key], partial)
        ),
        notes=tuple(notes),
    )


def _target(side: Grades, key: str) -> object:
    return side[key][0].target if side.get(key) else None


def _value(grades: Sequence[Grade], partial: bool) -> float:
    values = (grade.value if partial else float(grade.outcome == "correct") for grade in grades)
    return fsum(values) / len(grades)


def explanation_lines(one: Explanation) -> list[str]:
    """Return an explanation as text, with two decimals, rounded so that the parts add up to the change."""
    known = one.rules is not None and one.answers is not None
    parts = {"other samples": one.samples}
    if one.rules is not None and one.answers is not None:
        parts |= {"other rules": one.rules, "other answers": one.answers}
    else:
        parts["other rules and answers"] = one.rules_and_answers
    rounded = _rounded(list(parts.values()), round(100 * one.b) - round(100 * one.a))
    graded, answered = one.graded_otherwise, one.answered_otherwise
    reasons = {
        "other samples": f"{one.only_a:,} in A only, {one.only_b:,} in B only, "
        f"{one.other_targets:,} with other reference answers; {one.shared:,} on both sides",
        "other rules": f"{len(graded):,} samples are graded differently{_ids(graded)}",
        "other answers": f"{len(answered):,} samples ended differently{_ids(answered)}",
        "other rules and answers": "",
    }
    lines = [f"{one.task}: A {one.a:.2f}, B {one.b:.2f}, change {_points(sum(rounded))}"]
    for (name, _), value in zip(parts.items(), rounded, strict=True):
        lines.append(f"  {name:14} {_points(value):>7}  {reasons[name]}".rstrip())
    if known and one.a_by_a is not None:
        lines.append(
            f"  on shared samples: A by A's rules {one.a_by_a:.2f}, by B's {one.a_by_b:.2f}; "
            f"B by A's rules {one.b_by_a:.2f}, by B's {one.b_by_b:.2f}"
        )
    return lines + [f"  {note}" for note in one.notes]


def _ids(keys: Sequence[str], limit: int = 8) -> str:
    return f": {', '.join(keys[:limit])}{', …' if len(keys) > limit else ''}" if keys else ""


def _points(hundredths: int) -> str:
    return f"{hundredths / 100:+.2f}" if hundredths else "0.00"


def _rounded(parts: Sequence[float], total: int) -> list[int]:
    """Return parts in hundredths that add up to the total, by the largest-remainder method."""
    floors = [floor(100 * part) for part in parts]
    by_remainder = sorted(range(len(parts)), key=lambda n: floors[n] - 100 * parts[n])
    left = total - sum(floors)
    for step in range(abs(left)):
        floors[by_remainder[step % len(parts)]] += 1 if left > 0 else -1
    return floors
