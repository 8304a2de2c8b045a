"""Convert rows of another tool to our samples and predictions, by the rules of the task that grades them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from aisb import AisbError, ImportedRow, ImportedTask, Prediction, Sample
from aisb._plugins import Plugins
from aisb._templates import Template
from aisb_engine._data.samples import LETTERS, SampleMaker, sample_table
from aisb_engine._import_tasks import group_field
from aisb_engine._resolve.names import safe_name
from aisb_engine._spec import Task

Evaluators: TypeAlias = Sequence[Mapping[str, Any]]

GOLD = ("answer", "target", "gold", "label", "answerKey")
"""Fields in which the rows of tasks have the reference answer, for a tool that keeps no other field."""


def convert_rows(
    one: ImportedTask,
    grading_task: Task | None,
    group: str | None,
    options: Evaluators | None,
    plugins: Plugins,
) -> tuple[Task, list[Sample]]:
    """Return the task of this run and its samples, made by the rules of the grading task if these fit."""
    base = _task_table(one, grading_task, options)
    if grading_task is not None:
        for rows in _row_forms(one.rows, grading_task, group):
            task = Task.model_validate(base | {"sample": _sample_keys(grading_task)})
            try:
                maker = SampleMaker(task, plugins)
                return task, [
                    _sample(maker, row, at.position) if _has_content(at) else _empty_sample(at)
                    for row, at in rows
                ]
            except AisbError:
                continue
    target = "{gold}" if any(row.gold is not None for row in one.rows) else None
    table: dict[str, Any] = {"target": target} if target else {}
    if any(row.choices for row in one.rows):
        table["choices"] = "{choices}"
    field = (group_field(grading_task) if grading_task else None) or "group"
    if group is not None:
        table["group"] = f"{{{field}}}"
    task = Task.model_validate(
        base | {"sample": table, "mode": base["mode"] if "choices" in table else "gen"}
    )
    maker = SampleMaker(task, plugins)
    return task, [
        _sample(
            maker,
            {**row.fields, "gold": _reference(row), "choices": list(row.choices)}
            | ({field: group} if group else {}),
            row.position,
        )
        for row in one.rows
    ]


def _task_table(one: ImportedTask, grading_task: Task | None, options: Evaluators | None) -> dict[str, Any]:
    """Return the table of the task, except for how samples are made."""
    table = (
        grading_task.model_dump(mode="json", exclude_unset=True, exclude_none=True) if grading_task else {}
    )
    tables: dict[str, Any] = {
        key: table[key] for key in ("version", "source", "postprocess", "evaluate", "repeats") if key in table
    }
    if options:  # the most likely option is the answer, so there is no text to extract it from
        tables |= {"postprocess": [], "evaluate": list(options)}
        by = table.get("logprob", {}).get("normalise", "none")
        tables["logprob"] = {"normalise": by if by == "bytes" else "none"}
    return {
        "name": grading_task.name if grading_task else safe_name(one.task),
        "summary": f"Imported from {one.tool}: {one.task}",
        "mode": "logprob" if options else "gen",
        "dataset": {"use": "imported", "path": str(one.source)},
        "prompt": {"user": "(as it was imported)"},
        **tables,
    }


def _sample_keys(grading_task: Task) -> dict[str, Any]:
    """Return the grading task's `[sample]` table without the keys that only matter for sending."""
    table = sample_table(grading_task)
    return {key: value for key, value in table.items() if key not in ("max_tokens", "at", "shuffle")}


def _row_forms(
    rows: Sequence[ImportedRow], grading_task: Task, group: str | None
) -> Iterator[list[tuple[dict[str, Any], ImportedRow]]]:
    """Yield the rows in each form that the grading task may read: the tool's own, then likely ones."""
    field = group_field(grading_task)
    grouped = {field: group} if field and group else {}
    plain = [{**grouped, **row.fields} for row in rows]
    for layout in (None, *grading_task.dataset.layouts):
        templates = [(name, Template(text, name)) for name, text in (layout.fields.items() if layout else ())]
        try:
            yield [
                ({**row, **{name: template.value(row) for name, template in templates}}, at)
                for row, at in zip(plain, rows, strict=True)
            ]
        except AisbError:
            continue
    yield [
        ({**dict.fromkeys(GOLD, _gold_or_mark(at.gold)), "question": "", **row}, at)
        for row, at in zip(plain, rows, strict=True)
    ]


def with_distinct_ids(samples: list[Sample]) -> list[Sample]:
    """Return samples, numbered anew if two have the same id: those of groups that are not known here."""
    if len({sample.id for sample in samples}) == len(samples):
        return samples
    return [replace(sample, id=str(place)) for place, sample in enumerate(samples)]


def _has_content(row: ImportedRow) -> bool:
    """Return whether the tool kept more of a row than its position, as it may not for a failed request."""
    return bool(row.fields) or row.gold is not None


def _empty_sample(row: ImportedRow) -> Sample:
    return Sample(str(row.position), {})


def _gold_or_mark(gold: Any) -> Any:
    """Return the reference answer, which a tool may not have kept for a failed request."""
    return "?" if gold is None else gold


def _sample(maker: SampleMaker, row: Mapping[str, Any], position: int) -> Sample:
    sample = maker.again(Sample(str(position), row))
    return replace(sample, id=f"{sample.group}/{position}") if sample.group is not None else sample


def _reference(row: ImportedRow) -> Any:
    """Return the reference answer; the letter of an option if the tool gave its position, text or letter."""
    gold = _gold_or_mark(row.gold)
    if not row.choices:
        return gold
    text = str(gold).strip()
    if text in row.choices:
        return LETTERS[row.choices.index(text)]
    if text.isdecimal() and int(text) < len(row.choices):
        return LETTERS[int(text)]
    return gold


def predictions_of(sample_id: str, row: ImportedRow) -> Iterator[Prediction]:
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
