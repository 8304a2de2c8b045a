"""Write a run folder from the answers of another tool, which can then be scored, audited and compared.

The prompts are those that the tool recorded. The answers are graded by one of our tasks, whose prompt is not
part of it: the version of the task therefore differs from that of a run of our own, and comparisons say so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path

import tomli_w

from aisb import ImportedTask, Prediction
from aisb._plugins import Plugins
from aisb_engine._data.samples import sample_table
from aisb_engine._import_performance import (
    ImportedPerformance,
    check_kinds,
    performance_task,
    with_names,
    write_performance,
)
from aisb_engine._import_samples import Evaluators, convert_rows, predictions_of, with_distinct_ids
from aisb_engine._import_tasks import (
    GradingTask,
    GradingTasks,
    with_consecutive_positions,
    with_variant_names,
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
from aisb_engine._resolve.names import safe_name
from aisb_engine._run_config import FILE_HEADER, resolved
from aisb_engine._spec import Model, RunSpec, RunTable, Task
from aisb_engine._spec import Subtask as SubtaskTable


@dataclass(frozen=True, slots=True)
class ImportedPart:
    """One imported subtask: the task that grades it, if there is one, and the tool's own scores.

    `rows` is the number of questions, or of requests if it is a result of `performance`. `why_ungraded` is
    the reason why a task with the name of the answers cannot grade them; otherwise it is empty.
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
        gradings = [GradingTask(None) for _ in found]
    else:
        names = GradingTasks(plugins, graded_by or {}, file)
        gradings = [names.find(one) for one in found]
    gradings = with_variant_names(gradings)
    parts = [
        _Part.make(one, grading, plugins, choice_evaluators)
        for one, grading in zip(with_consecutive_positions(found, gradings), gradings, strict=True)
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
        manifest.data["imported_scores"] = {f"{p.model}/{p.tool_task}": dict(p.scores) for p in parts}
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


@dataclass(frozen=True, slots=True)
class _Part:
    """One subtask of the tool, converted to our samples and predictions."""

    model: str
    task: Task
    tool_task: str
    graded_by: str | None
    tool: str
    source: Path
    scores: Mapping[str, float]
    rendered: tuple[RenderedSample, ...] = ()
    predictions: tuple[Prediction, ...] = ()
    repeats: int = 1
    performance: ImportedPerformance | None = None
    why_ungraded: str = ""

    @classmethod
    def make(cls, one: ImportedTask, grading: GradingTask, plugins: Plugins, evaluators: Evaluators) -> _Part:
        if isinstance(one, ImportedPerformance):
            return cls(
                safe_name(one.model), performance_task(one), one.task, None, one.tool, one.source, one.scores,
                performance=one,
            )  # fmt: skip
        grading_task, group = grading.task, grading.group
        likelihoods = any(answer.logprobs for row in one.rows for answer in row.answers)
        options = evaluators if likelihoods else None
        task, converted = convert_rows(one, grading_task, group, options, plugins)
        samples = with_distinct_ids(converted)
        predictions = tuple(
            chain.from_iterable(
                predictions_of(sample.id, row) for sample, row in zip(samples, one.rows, strict=True)
            )
        )
        return cls(
            model=safe_name(one.model),
            task=task,
            tool_task=one.task,
            graded_by=grading_task.name if grading_task else None,
            tool=one.tool,
            source=one.source,
            scores=one.scores,
            rendered=tuple(
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
            return len(self.rendered)
        stage = self.performance.stage
        return stage.totals.requests if stage else len(self.performance.rows)


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
            params={"num_return_sequences": n} if (n := max(part.repeats for part in same)) > 1 else {},
        )
        for (model, task), same in parts
    ]
    return RunSpec(
        run=RunTable(models=list(models), datasets=list(tasks), performance=performance),
        models=models,
        tasks=tasks,
        subtasks=subtasks,
    )


def _write(folder: RunFolder, model: str, task: str, parts: Sequence[_Part]) -> None:
    if parts[0].performance is not None:
        write_performance(folder, model, parts[0].performance)
        return
    rendered = [one for part in parts for one in part.rendered]
    repeats = max(part.repeats for part in parts)
    write_samples(folder, model, task, rendered, sample_table=sample_table(parts[0].task))
    with LogWriter(folder.log(model, task) / "worker-0") as log:
        for prediction in chain.from_iterable(part.predictions for part in parts):
            log.append(prediction, final=True)
    answers = read_logged_answers(folder, model, task, repeats)
    write_predictions(folder, model, task, answers, repeats=repeats)
    lines = folder.infer_log(model, task)
    lines.parent.mkdir(parents=True, exist_ok=True)
    with lines.open("a", encoding="utf-8") as file:
        for part in parts:
            file.write(
                f"{now()} imported {len(part.predictions)} answers of {part.tool} from {part.source}\n"
            )
