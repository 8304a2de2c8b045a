"""Compare two sides that answered the same samples: two runs, or two models of one run.

The difference is B minus A. It is a tie if it is not statistically significant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import fsum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from aisb import UsageError
from aisb_analysis._margins import Worsening, worsening_of
from aisb_analysis._paired import (
    DRAWS,
    SIGNIFICANCE,
    bootstrap,
    detectable_difference,
    holm,
    mcnemar,
    paired_t,
    samples_needed,
    scipy_stats,
)
from aisb_engine import (
    CORRECT_THRESHOLD,
    Grade,
    OpenedRun,
    RunFolder,
    grade_notes,
    identity_differences,
    is_judged,
    read_grades,
    read_run_json,
    task_version,
)

if TYPE_CHECKING:
    from aisb_engine import Plugins, Subtask

ComparisonVerdict = Literal["better", "worse", "tie"]
FEW_SAMPLES = 100
"""With fewer samples the bootstrap is overconfident, so a t test must agree with it."""


class ComparedSubtask(NamedTuple):
    """The two subtasks of a comparison."""

    a: Subtask
    b: Subtask


class Flip(NamedTuple):
    """A sample whose outcome differs between the two sides."""

    id: str
    target: Any
    a: str | None
    b: str | None
    outcome_a: str
    outcome_b: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sides on one task. Shares, differences and intervals are in percent.

    `mcnemar` is None if samples have repeats or partial credit, or are clustered. `clusters` is then the
    number of clusters, which are resampled as a whole. `p` is the p-value of the verdict, `p_corrected` the
    same corrected over all compared tasks. `detectable_difference` is the smallest that this number of
    samples detects, `samples_needed` the number of samples that would detect the observed difference.
    `improved` are samples that improved on side B, `worsened` those that got worse. `setup_differences` lists
    differences in how the two sides were sent or graded. `worsening` is that from A to B, as a share, for
    gates.
    """

    task: str
    model_a: str
    model_b: str
    samples: int
    a: float
    b: float
    difference: float
    low: float
    high: float
    bootstrap: float
    mcnemar: float | None
    p: float
    p_corrected: float
    verdict: ComparisonVerdict
    detectable_difference: float | None
    samples_needed: int | None
    improved: tuple[Flip, ...]
    worsened: tuple[Flip, ...]
    setup_differences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    clusters: int | None = None
    worsening: Worsening | None = None


def pair_up(
    a: OpenedRun,
    b: OpenedRun,
    *,
    tasks: Sequence[str] = (),
    model_a: str | None = None,
    model_b: str | None = None,
) -> tuple[list[ComparedSubtask], list[str]]:
    """Return the subtasks to compare, and notes on those without a counterpart.

    A single model on each side forms a pair; several models are paired by name. Within one run, two models
    are compared.

    Raises:
        UsageError: the two sides have nothing in common, or the choice of models is ambiguous.
    """
    subtasks_a = a.subtasks([model_a] if model_a else [], tasks)
    subtasks_b = b.subtasks([model_b] if model_b else [], tasks)
    models_a = list(dict.fromkeys(subtask.model for subtask in subtasks_a))
    models_b = list(dict.fromkeys(subtask.model for subtask in subtasks_b))
    if a.folder.path.resolve() == b.folder.path.resolve():
        models_a, models_b = _models_of_one_run(models_a, models_b, model_a, model_b, a)
    if len(models_a) == len(models_b) == 1:
        counterparts = {models_a[0]: models_b[0]}
    else:
        counterparts = {name: name for name in models_a if name in models_b}
    if not counterparts:
        raise UsageError(
            f"no model is on both sides: A has {', '.join(models_a)}; B has {', '.join(models_b)}\n"
            "  select them with --model-a and --model-b"
        )
    found = {(subtask.model, subtask.task): subtask for subtask in subtasks_b}
    pairs = [
        ComparedSubtask(one, found[counterparts[one.model], one.task])
        for one in subtasks_a
        if one.model in counterparts and (counterparts[one.model], one.task) in found
    ]
    if not pairs:
        raise UsageError(
            "no task is on both sides: "
            f"A has {', '.join(sorted({s.task for s in subtasks_a}))}; "
            f"B has {', '.join(sorted({s.task for s in subtasks_b}))}"
        )
    paired_a, paired_b = {id(pair.a) for pair in pairs}, {id(pair.b) for pair in pairs}
    one_run = models_a != models_b and a.folder.path.resolve() == b.folder.path.resolve()
    alone = [
        *(f"{s.task} of {s.model} is in A only" for s in subtasks_a if id(s) not in paired_a),
        *(f"{s.task} of {s.model} is in B only" for s in subtasks_b if id(s) not in paired_b),
    ]
    return pairs, [] if one_run else alone


def _models_of_one_run(
    models_a: list[str], models_b: list[str], model_a: str | None, model_b: str | None, run: OpenedRun
) -> tuple[list[str], list[str]]:
    """Return the models of one run to compare, for each side."""
    if model_a and model_b and model_a != model_b:
        return [model_a], [model_b]
    if model_a and not model_b:
        models_b = [name for name in models_b if name != model_a]
    elif model_b and not model_a:
        models_a = [name for name in models_a if name != model_b]
    elif len(models_a) == 2 and not model_a:
        return models_a[:1], models_b[1:]
    if len(models_a) == len(models_b) == 1 and models_a != models_b:
        return models_a, models_b
    raise UsageError(
        f"A and B are one run, {run.folder}, with {', '.join(run.models)}: "
        "name another run as B, or two of its models with --model-a and --model-b"
    )


async def compare(
    a: OpenedRun, b: OpenedRun, pairs: Sequence[ComparedSubtask], plugins: Plugins, *, seed: int = 0
) -> list[Comparison]:
    """Compare each pair on the samples that both answered, with p-values corrected over all pairs.

    Raises:
        UsageError: a side has no grades, the two share no sample, or scipy is not installed.
    """
    scipy_stats()  # fail before all grades are read
    found: list[Comparison] = []
    for pair in pairs:
        task_a, task_b = a.spec.tasks[pair.a.task], b.spec.tasks[pair.b.task]
        notes_of_side: dict[str, list[str]] = {"A": [], "B": []}
        left = await read_grades(a, pair.a, plugins, note=notes_of_side["A"].append)
        right = await read_grades(b, pair.b, plugins, note=notes_of_side["B"].append)
        one = compare_grades(left, right, tests=len(pairs), seed=seed, names=(pair.a, pair.b))
        versions = (task_version(task_a), task_version(task_b))
        differences = [
            *differences_in_requests(a.folder, b.folder, pair, versions),
            *_judges(a, b, pair, plugins),
        ]
        notes = [
            f"{side}: {line}"
            for side, run, subtask in (("A", a, pair.a), ("B", b, pair.b))
            for line in (*notes_of_side[side], *grade_notes(run, subtask, plugins))
        ]
        found.append(
            replace(one, setup_differences=(*differences, *one.setup_differences), notes=(*notes, *one.notes))
        )
    return correct_p_values(found)


def _judges(a: OpenedRun, b: OpenedRun, pair: ComparedSubtask, plugins: Plugins) -> list[str]:
    """Return a note if different models judged the two sides."""
    names = [
        run.spec.judge.model.abbr if run.spec.judge and is_judged(run.spec.tasks[name], plugins) else "none"
        for run, name in ((a, pair.a.task), (b, pair.b.task))
    ]
    return [] if names[0] == names[1] else [f"judge: {names[0]} and {names[1]}"]


def correct_p_values(found: Sequence[Comparison]) -> list[Comparison]:
    """Return comparisons with p-values corrected over all of them, and the resulting verdicts."""
    return [
        replace(one, p_corrected=p, verdict=_verdict(one.difference, p))
        for one, p in zip(found, holm([one.p for one in found]), strict=True)
    ]


def _verdict(difference: float, p: float) -> ComparisonVerdict:
    if p >= SIGNIFICANCE or not difference:
        return "tie"
    return "better" if difference > 0 else "worse"


def compare_grades(
    a: Mapping[str, Sequence[Grade]],
    b: Mapping[str, Sequence[Grade]],
    *,
    names: tuple[Subtask, Subtask],
    tests: float = 1,
    seed: int = 0,
    draws: int = DRAWS,
) -> Comparison:
    """Compare the grades of two sides, sample by sample; `tests` is the number of comparisons to correct for.

    Raises:
        UsageError: the two share no sample.
    """
    shared = [key for key in a if key in b]
    same = [key for key in shared if a[key][0].target == b[key][0].target]
    if not same:
        raise UsageError(
            f"{names[0].task}: "
            + (
                "the reference answers of all samples differ, so the two sides used different data"
                if shared
                else "the two sides share no sample"
            )
        )
    partial = any(
        1e-9 < grade.value < CORRECT_THRESHOLD for side in (a, b) for key in same for grade in side[key]
    )
    once = all(len(side[key]) == 1 for side in (a, b) for key in same)
    values_a = [_value(a[key], partial) for key in same]
    values_b = [_value(b[key], partial) for key in same]
    changes = [right - left for left, right in zip(values_a, values_b, strict=True)]
    clusters = _clusters(a, b, same)
    resampled = bootstrap(changes, clusters, seed=seed, draws=draws)
    improved = tuple(
        _flip(key, a[key], b[key]) for key, change in zip(same, changes, strict=True) if change > 1e-12
    )
    worsened = tuple(
        _flip(key, a[key], b[key]) for key, change in zip(same, changes, strict=True) if change < -1e-12
    )
    binary = once and not partial and clusters is None
    exact = mcnemar(len(worsened), len(improved)) if binary else None
    p = resampled.p if exact is None else exact
    if exact is None and len(set(clusters or same)) < FEW_SAMPLES:
        p = max(p, paired_t(changes, clusters))
    smallest = detectable_difference(changes, clusters, tests=tests, binary=binary)
    return Comparison(
        task=names[0].task,
        model_a=names[0].model,
        model_b=names[1].model,
        samples=len(same),
        a=100 * fsum(values_a) / len(same),
        b=100 * fsum(values_b) / len(same),
        difference=100 * fsum(changes) / len(same),
        low=100 * resampled.low,
        high=100 * resampled.high,
        bootstrap=resampled.p,
        mcnemar=exact,
        p=p,
        p_corrected=p,
        verdict=_verdict(resampled.mean, p),
        detectable_difference=None if smallest is None else 100 * smallest,
        samples_needed=samples_needed(changes, clusters, tests=tests, binary=binary),
        improved=improved,
        worsened=worsened,
        setup_differences=tuple(_unequal_samples(a, b, len(shared), len(same))),
        notes=tuple(_error_notes(a, b, same)),
        clusters=None if clusters is None else len(set(clusters)),
        worsening=worsening_of(changes, clusters),
    )


def _clusters(
    a: Mapping[str, Sequence[Grade]], b: Mapping[str, Sequence[Grade]], keys: Sequence[str]
) -> list[str] | None:
    """Return the cluster of each sample, from either side; None if no samples are clustered."""
    # A sample without a cluster is a cluster of its own, under a unique name.
    found = [a[key][0].cluster or b[key][0].cluster or f"\0{key}" for key in keys]
    return found if len(set(found)) < len(found) else None


def _value(grades: Sequence[Grade], partial: bool) -> float:
    """Return the value of a sample: the mean over its repeats, of 0 or 1 or of partial credit."""
    values = (grade.value if partial else float(grade.outcome == "correct") for grade in grades)
    return fsum(values) / len(grades)


def _flip(key: str, a: Sequence[Grade], b: Sequence[Grade]) -> Flip:
    return Flip(key, a[0].target, a[0].answer, b[0].answer, a[0].outcome, b[0].outcome)


def differences_in_requests(
    a: RunFolder, b: RunFolder, pair: ComparedSubtask, versions: tuple[str, str]
) -> list[str]:
    """Return the differences in how the two sides were sent or graded."""
    found: list[str] = []
    files = [
        folder.log(subtask.model, subtask.task) / "identity.json"
        for folder, subtask in ((a, pair.a), (b, pair.b))
    ]
    if all(file.exists() for file in files):
        old, new = (
            {key: value for key, value in read_run_json(file).items() if key not in _MODEL_KEYS}
            for file in files
        )
        if old.get(_NONCE) != new.get(
            _NONCE
        ):  # each performance run generates other prompts of the same lengths
            old, new = ({k: v for k, v in side.items() if k not in _OF_NONCE} for side in (old, new))
        lines = identity_differences(old, new)
        found += [line.replace(": was ", ": ", 1).replace(", is ", " and ") for line in lines]
    if versions[0] != versions[1]:
        found.append(f"version: {versions[0]} and {versions[1]}")
    marked = [side for side, file in zip("AB", files, strict=True) if _has_mark(file.with_name("load.json"))]
    if len(marked) == 1:  # if both sides have one, the prompts are comparable
        found.append(f"prompts of {marked[0]} begin with a mark of the run (load.nonce)")
    return found


_NONCE = "task.dataset.nonce"
_OF_NONCE = frozenset((_NONCE, "data.sha256"))


def _has_mark(load: Path) -> bool:
    """Return whether prompts begin with a mark of their run, as in performance runs."""
    return load.exists() and bool(read_run_json(load).get("nonce"))


_MODEL_KEYS = frozenset(("model.backend", "model.model"))
"""Keys in which two models normally differ."""


def _unequal_samples(a: Mapping[str, Any], b: Mapping[str, Any], shared: int, same: int) -> list[str]:
    found = []
    if shared > same:
        found.append(
            f"{shared - same} samples have different reference answers on the two sides, and are left out"
        )
    if len(a) > shared or len(b) > shared:
        found.append(f"{len(a) - shared} samples are in A only and {len(b) - shared} in B only")
    repeats = [max(len(grades) for grades in side.values()) for side in (a, b)]
    if repeats[0] != repeats[1]:
        found.append(f"repeats: {repeats[0]} and {repeats[1]}")
    return found


def _error_notes(
    a: Mapping[str, Sequence[Grade]], b: Mapping[str, Sequence[Grade]], keys: Sequence[str]
) -> list[str]:
    counts = [sum(g.outcome == "error" for key in keys for g in side[key]) for side in (a, b)]
    if not any(counts):
        return []
    return [f"{counts[0]} answers of A and {counts[1]} of B ended in an error, which counts as not correct"]
