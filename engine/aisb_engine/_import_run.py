"""Write a run folder from the answers of another tool, which can then be scored, audited and compared.

The prompts are those that the tool recorded. The answers are graded by one of our tasks, whose prompt is not
part of it: the version of the task therefore differs from that of a run of our own, and comparisons say so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import tomli_w

from aisb import AisbError, ImportedRow, ImportedTask, Prediction, Sample, UsageError
from aisb._plugins import Plugins
from aisb._templates import Template
from aisb_engine._data.samples import LETTERS, SampleMaker, sample_table
from aisb_engine._import_performance import (
    ImportedPerformance,
    check_kinds,
    performance_task,
    with_names,
    write_performance,
)
from aisb_engine._record.log import LogWriter
from aisb_engine._record.manifest import Manifest, command_line, now
from aisb_engine._record.predictions import (
    RenderedSample,
    read_logged_answers,
    write_predictions,
    write_samples,
)
from aisb_engine._record.runfolder import RunFolder, write_atomically
from aisb_engine._resolve.catalog import Catalog, Selection
from aisb_engine._resolve.config import RunInput
from aisb_engine._resolve.layers import Resolver
from aisb_engine._resolve.names import safe_name
from aisb_engine._run_config import FILE_HEADER, resolved
from aisb_engine._spec import Model, RunSpec, RunTable, Task
from aisb_engine._spec import Subtask as SubtaskTable

Evaluators: TypeAlias = Sequence[Mapping[str, Any]]

GOLD = ("answer", "target", "gold", "label", "answerKey")
"""Fields in which rows of our tasks have the reference answer, for a tool that keeps no other field."""


@dataclass(frozen=True, slots=True)
class ImportedPart:
    """One imported subtask: the task of ours that grades it, if there is one, and the tool's own scores.

    `rows` is the number of questions, or of requests if it is a result of `performance`. `why_ungraded` is
    the reason why our task for the answers cannot grade them; else it is empty.
    """

    model: str
    task: str
    graded_by: str | None
    rows: int
    tool: str
    source: Path
    scores: Mapping[str, float]
    performance: bool = False
    why_ungraded: str = ""


def write_imported(
    found: Sequence[ImportedTask],
    plugins: Plugins,
    work_dir: Path,
    *,
    choice_evaluators: Evaluators,
    graded_by: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> tuple[RunFolder, list[ImportedPart]]:
    """Write a new run with these subtasks; return its folder and its parts.

    `graded_by` maps task names of the tool to those of our tasks; `*` stands for all others. By default a
    task is graded by ours of the same name. `file` is the user's `aisb.toml`, whose tasks count as ours.
    Results of performance are not graded, and get the names that `graded_by` has. Likelihoods of options are
    graded by `choice_evaluators`, tables like those in `[[evaluate]]`, whatever the task says. A task with an
    environment cannot grade imported answers: they lack the state of the environment.

    Raises:
        UsageError: we have no such task, it cannot grade imported answers, or the folder cannot be written.
    """
    performance = check_kinds(found)
    if performance:
        found = with_names(found, graded_by or {})
        gradings = [_Grading(None) for _ in found]
    else:
        names = _Names(plugins, graded_by or {}, file)
        gradings = [names.find(one) for one in found]
    gradings = _with_variant_names(gradings)
    parts = [
        _Part.make(one, grading, plugins, choice_evaluators)
        for one, grading in zip(_with_running_positions(found, gradings), gradings, strict=True)
    ]
    merged: dict[tuple[str, str], list[_Part]] = {}
    for part in parts:
        merged.setdefault((part.model, part.task.name), []).append(part)
    folder = RunFolder.create(work_dir, datetime.now())  # noqa: DTZ005 - local time, as runs have it
    with folder.lock():
        manifest = Manifest.open(folder, plugins)
        manifest.begin(command_line())
        sources = dict.fromkeys(f"{one.tool}, {one.source}" for one in found)
        manifest.data["imported"] = "; ".join(sources)
        manifest.data["imported_scores"] = {f"{p.model}/{p.theirs}": dict(p.scores) for p in parts}
        spec = _spec(list(merged.items()), performance=performance)
        write_atomically(
            folder.config, (FILE_HEADER + tomli_w.dumps(resolved(spec), multiline_strings=True)).encode()
        )
        for (model, task), same in merged.items():
            _write(folder, model, task, same)
        manifest.end(0)
    return folder, [
        ImportedPart(
            p.model, p.task.name, p.graded_by, p.rows, p.tool, p.source, p.scores, performance, p.why_ungraded
        )
        for p in parts
    ]


class _Grading(NamedTuple):
    """The task that grades a task of another tool, if any; and the group of it that the tool's task is.

    `why_ungraded` says why a task of ours for the answers cannot grade them.
    """

    task: Task | None
    group: str | None = None
    variant: str | None = None
    why_ungraded: str = ""


class _Names:
    """Finds the task of ours that grades a task of another tool."""

    def __init__(self, plugins: Plugins, given: Mapping[str, str], file: Path | None) -> None:
        self._catalog = Catalog(plugins)
        self._resolver = Resolver(plugins, self._catalog, RunInput(file=file))
        self._own = self._resolver.user.get("tasks", {})
        self._given = given

    def find(self, one: ImportedTask) -> _Grading:
        """Return the task, with its group if the tool has each group as a task: `mmlu_anatomy`."""
        given = self._given.get(one.task, self._given.get("*"))
        name = given or one.graded_by or one.task
        try:
            selection, _ = self._catalog.find("task", Selection.parse(name), self._own)
        except AisbError:
            if given is not None:
                raise
            return self._grouped(name)
        task = self._resolver.show(name)
        if task.environment is not None:
            why = (
                f"the task {task.name} grades the state of an environment ({task.environment.use}) at the "
                "end, which imported answers do not have"
            )
            if given is not None:
                raise UsageError(
                    f"{why}\n  import them without --as {name}, which keeps them ungraded, or run the task: "
                    f"aisb run --datasets {name}"
                )
            return _Grading(None, why_ungraded=why)
        chosen = task.dataset.select.get(_group_field(task) or "", [])
        return _Grading(task, chosen[0] if len(chosen) == 1 else None, selection.variant)

    def _grouped(self, name: str) -> _Grading:
        """Return the task whose name is a prefix of this name; the rest of it is the group."""
        ours = {*self._own, *(entry.name for entry in self._catalog.entries("task"))}
        for known in sorted(ours, key=len, reverse=True):
            if name.startswith((f"{known}_", f"{known}-")):
                task = self._resolver.show(known)
                if task.sample.group:
                    return _Grading(task, name[len(known) + 1 :])
        return _Grading(None)


def _with_variant_names(gradings: Sequence[_Grading]) -> list[_Grading]:
    """Return the tasks; if two variants of a task are imported, add the variants to the names."""
    variants: dict[str, set[str | None]] = {}
    for one in gradings:
        if one.task is not None:
            variants.setdefault(one.task.name, set()).add(one.variant)
    return [
        one._replace(task=one.task.model_copy(update={"name": f"{one.task.name}-{one.variant}"}))
        if one.task is not None and one.variant and len(variants[one.task.name]) > 1
        else one
        for one in gradings
    ]


def _with_running_positions(
    found: Sequence[ImportedTask], gradings: Sequence[_Grading]
) -> Iterator[ImportedTask]:
    """Yield tasks with consecutive row positions where several of them are one group of a task of ours."""
    begins: dict[tuple[str, str, str | None], dict[str, int]] = {}
    for one, grading in zip(found, gradings, strict=True):
        if grading.task is None:
            yield one
            continue
        known = begins.setdefault((one.model, grading.task.name, grading.group), {"": 0})
        begin = known.setdefault(one.task, known[""])
        known[""] = max([known[""], *(begin + row.position + 1 for row in one.rows)])
        yield replace(one, rows=tuple(replace(row, position=begin + row.position) for row in one.rows))


@dataclass(frozen=True, slots=True)
class _Part:
    """One subtask of the tool, converted to our samples and predictions."""

    model: str
    task: Task
    theirs: str
    graded_by: str | None
    tool: str
    source: Path
    scores: Mapping[str, float]
    asked: tuple[RenderedSample, ...] = ()
    predictions: tuple[Prediction, ...] = ()
    repeats: int = 1
    performance: ImportedPerformance | None = None
    why_ungraded: str = ""

    @classmethod
    def make(cls, one: ImportedTask, grading: _Grading, plugins: Plugins, evaluators: Evaluators) -> _Part:
        if isinstance(one, ImportedPerformance):
            return cls(
                safe_name(one.model), performance_task(one), one.task, None, one.tool, one.source, one.scores,
                performance=one,
            )  # fmt: skip
        ours, group = grading.task, grading.group
        likelihoods = any(answer.logprobs for row in one.rows for answer in row.answers)
        options = evaluators if likelihoods else None
        task, made = _made(one, ours, group, options, plugins)
        samples = _with_distinct_ids(made)
        predictions = tuple(
            chain.from_iterable(
                _predictions(sample.id, row) for sample, row in zip(samples, one.rows, strict=True)
            )
        )
        return cls(
            model=safe_name(one.model),
            task=task,
            theirs=one.task,
            graded_by=ours.name if ours else None,
            tool=one.tool,
            source=one.source,
            scores=one.scores,
            asked=tuple(
                RenderedSample(sample, row.prompt) for sample, row in zip(samples, one.rows, strict=True)
            ),
            predictions=predictions,
            repeats=max((len(row.answers) for row in one.rows), default=1),
            why_ungraded=grading.why_ungraded,
        )

    @property
    def rows(self) -> int:
        """The number of questions; of a performance result the number of requests."""
        if self.performance is None:
            return len(self.asked)
        stage = self.performance.stage
        return stage.totals.requests if stage else len(self.performance.rows)


def _made(
    one: ImportedTask, ours: Task | None, group: str | None, options: Evaluators | None, plugins: Plugins
) -> tuple[Task, list[Sample]]:
    """Return the task of this run and its samples, made by our rules wherever these fit."""
    base = _table(one, ours, options)
    if ours is not None:
        for rows in _ways(one.rows, ours, group):
            task = Task.model_validate(base | {"sample": _kept(ours)})
            try:
                maker = SampleMaker(task, plugins)
                return task, [
                    _sample(maker, row, at.position) if _has_content(at) else _bare(at) for row, at in rows
                ]
            except AisbError:
                continue
    target = "{gold}" if any(row.gold is not None for row in one.rows) else None
    table: dict[str, Any] = {"target": target} if target else {}
    if any(row.choices for row in one.rows):
        table["choices"] = "{choices}"
    field = (_group_field(ours) if ours else None) or "group"
    if group is not None:
        table["group"] = f"{{{field}}}"
    task = Task.model_validate(
        base | {"sample": table, "mode": base["mode"] if "choices" in table else "gen"}
    )
    maker = SampleMaker(task, plugins)
    return task, [
        _sample(
            maker,
            {**row.fields, "gold": _letter(row), "choices": list(row.choices)}
            | ({field: group} if group else {}),
            row.position,
        )
        for row in one.rows
    ]


def _table(one: ImportedTask, ours: Task | None, options: Evaluators | None) -> dict[str, Any]:
    """Return the table of the task, except for how samples are made."""
    table = ours.model_dump(mode="json", exclude_unset=True, exclude_none=True) if ours else {}
    kept: dict[str, Any] = {
        key: table[key] for key in ("version", "source", "postprocess", "evaluate", "repeats") if key in table
    }
    if options:  # the most likely option is the answer, so there is no text to extract it from
        kept |= {"postprocess": [], "evaluate": list(options)}
        by = table.get("logprob", {}).get("normalise", "none")
        kept["logprob"] = {"normalise": by if by == "bytes" else "none"}
    return {
        "name": ours.name if ours else safe_name(one.task),
        "summary": f"Imported from {one.tool}: {one.task}",
        "mode": "logprob" if options else "gen",
        "dataset": {"use": "imported", "path": str(one.source)},
        "prompt": {"user": "(as it was imported)"},
        **kept,
    }


def _kept(ours: Task) -> dict[str, Any]:
    """Return our task's `[sample]` table without the keys that only matter for sending."""
    table = sample_table(ours)
    return {key: value for key, value in table.items() if key not in ("max_tokens", "at", "shuffle")}


def _ways(
    rows: Sequence[ImportedRow], ours: Task, group: str | None
) -> Iterator[list[tuple[dict[str, Any], ImportedRow]]]:
    """Yield the rows in each form that our task may read: the tool's own, then guesses."""
    field = _group_field(ours)
    grouped = {field: group} if field and group else {}
    plain = [{**grouped, **row.fields} for row in rows]
    for layout in (None, *ours.dataset.layouts):
        made = [(name, Template(text, name)) for name, text in (layout.fields.items() if layout else ())]
        try:
            yield [
                ({**row, **{name: template.value(row) for name, template in made}}, at)
                for row, at in zip(plain, rows, strict=True)
            ]
        except AisbError:
            continue
    yield [
        ({**dict.fromkeys(GOLD, _known(at.gold)), "question": "", **row}, at)
        for row, at in zip(plain, rows, strict=True)
    ]


def _with_distinct_ids(samples: list[Sample]) -> list[Sample]:
    """Return samples, numbered anew if two have the same id: those of groups that are not known here."""
    if len({sample.id for sample in samples}) == len(samples):
        return samples
    return [replace(sample, id=str(place)) for place, sample in enumerate(samples)]


def _has_content(row: ImportedRow) -> bool:
    """Return whether the tool kept more of a row than its position, as it may not for a failed request."""
    return bool(row.fields) or row.gold is not None


def _bare(row: ImportedRow) -> Sample:
    return Sample(str(row.position), {})


def _known(gold: Any) -> Any:
    """Return the reference answer, which a tool may not have kept for a failed request."""
    return "?" if gold is None else gold


def _group_field(task: Task) -> str | None:
    text = task.sample.group or ""
    return text[1:-1] if text.startswith("{") and text.endswith("}") else None


def _sample(maker: SampleMaker, row: Mapping[str, Any], position: int) -> Sample:
    made = maker.again(Sample(str(position), row))
    return replace(made, id=f"{made.group}/{position}") if made.group is not None else made


def _letter(row: ImportedRow) -> Any:
    """Return the reference answer; the letter of an option if the tool gave its position, text or letter."""
    gold = _known(row.gold)
    if not row.choices:
        return gold
    text = str(gold).strip()
    if text in row.choices:
        return LETTERS[row.choices.index(text)]
    if text.isdecimal() and int(text) < len(row.choices):
        return LETTERS[int(text)]
    return gold


def _predictions(sample_id: str, row: ImportedRow) -> Iterator[Prediction]:
    for repeat, answer in enumerate(row.answers):
        yield Prediction(
            sample_id,
            repeat,
            text=answer.text,
            reasoning=answer.reasoning,
            finish_reason=answer.finish_reason,
            usage=answer.usage,
            failure=answer.failure,
            logprobs=answer.logprobs,
        )


def _spec(parts: Sequence[tuple[tuple[str, str], Sequence[_Part]]], *, performance: bool) -> RunSpec:
    models = {
        model: Model(name=model, abbr=model, backend="imported", options={"source": str(same[0].source)})
        for (model, _), same in parts
    }
    tasks = {task: same[0].task for (_, task), same in parts}
    subtasks = [
        SubtaskTable(
            model=model,
            task=task,
            params={"num_return_sequences": most} if (most := max(part.repeats for part in same)) > 1 else {},
        )
        for (model, task), same in parts
    ]
    return RunSpec(
        run=RunTable(models=list(models), datasets=list(tasks), performance=performance),
        models=models,
        tasks=tasks,
        subtasks=subtasks,
    )


def _write(folder: RunFolder, model: str, task: str, same: Sequence[_Part]) -> None:
    if same[0].performance is not None:
        write_performance(folder, model, same[0].performance)
        return
    asked = [one for part in same for one in part.asked]
    repeats = max(part.repeats for part in same)
    write_samples(folder, model, task, asked, sample_table=sample_table(same[0].task))
    with LogWriter(folder.log(model, task) / "worker-0") as log:
        for prediction in chain.from_iterable(part.predictions for part in same):
            log.append(prediction, final=True)
    answers = read_logged_answers(folder, model, task, repeats)
    write_predictions(folder, model, task, answers, repeats=repeats)
    lines = folder.infer_log(model, task)
    lines.parent.mkdir(parents=True, exist_ok=True)
    with lines.open("a", encoding="utf-8") as file:
        for part in same:
            file.write(
                f"{now()} imported {len(part.predictions)} answers of {part.tool} from {part.source}\n"
            )
