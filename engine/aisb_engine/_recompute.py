"""Compute the results of a subtask again from its log, to verify published results.

Nothing is sent or written. For answers that cannot be graded again the stored grades are used, so that at
least the metrics are computed again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from aisb._errors import AisbError, RunError
from aisb._evaluator import Evaluator
from aisb._types import Prediction, Request, Sample, Score
from aisb_engine._faults import PluginFaults
from aisb_engine._record.predictions import LoggedAnswers, read_logged_answers, to_line
from aisb_engine._record.runfolder import json_line
from aisb_engine._record.scores import read_scores, score_line
from aisb_engine._scoring.evaluators import evaluator_uses
from aisb_engine._scoring.graders import Graders, make_graders
from aisb_engine._scoring.judges import is_judged
from aisb_engine._scoring.judging import judging_of
from aisb_engine._scoring.steps import Steps
from aisb_engine._scoring.subtask_results import Graded, grade_subtask

if TYPE_CHECKING:
    from aisb._plugins import Plugins
    from aisb_engine._readback import OpenedRun
    from aisb_engine._spec import Subtask, Task

AnswerKey = tuple[str, int]


class Recomputed(NamedTuple):
    """Results, scores and predictions computed from a log, as plain data in the form of the run's files.

    `settled` are the answers, by sample and repeat, for which stored grades were used; `why` is the reason,
    if the caller did not ask for it.
    """

    results: Mapping[str, Any]
    scores: Sequence[Mapping[str, Any]]
    predictions: Sequence[Mapping[str, Any]]
    settled: frozenset[AnswerKey]
    why: str = ""


async def recompute_results(
    run: OpenedRun,
    subtask: Subtask,
    plugins: Plugins,
    *,
    settled: Collection[AnswerKey] = (),
    regrade: bool = True,
) -> Recomputed:
    """Compute what the result files of a subtask should contain, by the run's own rules and current code.

    Stored grades are used for the answers in `settled`, and without `regrade` for all answers. They are also
    used, with the reason in `why`, if the judge was not asked about an answer or an evaluator cannot be
    created here.

    Raises:
        RunError: the subtask was never started, or its log or its stored grades are damaged.
    """
    answers = read_logged_answers(run.folder, subtask.model, subtask.task, subtask.repeats)
    by_id = {one.sample.id: one for one in answers.task.samples}
    lines = [_plain(to_line(by_id[one.sample_id], one)) for one in answers.predictions]
    every = frozenset((one.sample_id, one.repeat) for one in answers.predictions)
    kept = every if not regrade else frozenset(settled)
    why = ""
    try:
        graded = await _graded(run, subtask, plugins, answers, kept, can_grade=regrade)
    except AisbError as error:
        kept, why = every, str(error).partition("\n")[0]
        graded = await _graded(run, subtask, plugins, answers, kept, can_grade=False)
    scores = [_plain(score_line(one)) for of in graded.scored.values() for one in of]
    return Recomputed(_plain(graded.results), scores, lines, kept, why)


async def _graded(
    run: OpenedRun,
    subtask: Subtask,
    plugins: Plugins,
    answers: LoggedAnswers,
    kept: Collection[AnswerKey],
    *,
    can_grade: bool,
) -> Graded:
    task = run.spec.tasks[subtask.task]
    judging = judging_of(run.folder, run.spec, plugins) if can_grade and is_judged(task, plugins) else None
    if can_grade:
        graders = make_graders(task, plugins, judging.ask if judging else None)
    else:
        graders = _summing_graders(task, plugins)
    return await grade_subtask(
        run.folder,
        subtask,
        task,
        plugins,
        run=run.spec.run,
        graders=graders,
        faults=PluginFaults(),
        answers=answers,
        judging=judging,
        marks=run.spec.models[subtask.model].marks,
        settled=_kept_scores(run, subtask, kept) if kept else None,
    )


def _kept_scores(
    run: OpenedRun, subtask: Subtask, keys: Collection[AnswerKey]
) -> dict[AnswerKey, list[Score]]:
    wanted, found = set(keys), dict[AnswerKey, list[Score]]()
    for one in read_scores(run.folder, subtask.model, subtask.task) or ():
        if (one.id, one.repeat) in wanted:
            score = Score(
                one.value,
                one.outcome,
                one.id,
                one.repeat,
                one.evaluator,
                one.answer,
                one.rule,
                one.span,
                details=one.details,
            )
            found.setdefault((one.id, one.repeat), []).append(score)
    return found


def _summing_graders(task: Task, plugins: Plugins) -> Graders:
    """Return graders that only aggregate: the task's evaluators, or else the standard metrics."""
    with suppress(AisbError):
        made = make_graders(task, plugins, _asks_nothing)
        if not made.errors:
            return made
    return Graders(Steps(), dict.fromkeys(evaluator_uses(task), _StandardMetrics()), ())


async def _asks_nothing(request: Request) -> Prediction:
    raise RunError(f"a judge would be asked about {request.id}: every grade should have been kept")


class _StandardMetrics(Evaluator):
    """Replaces an evaluator that cannot be created here."""

    def score(self, answer: str | None, sample: Sample) -> Score:
        """Raise: this evaluator only aggregates."""
        raise NotImplementedError(answer, sample)


def _plain(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table with the types that it has after it is read from a file."""
    line: dict[str, Any] = orjson.loads(json_line(table))
    return line
