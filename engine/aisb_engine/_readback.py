"""Read a run from its folder: its samples, predictions and grades. Nothing is sent or written."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aisb._errors import RunError, UnknownName, UsageError
from aisb._types import Outcome, Prediction, Sample, Score
from aisb_engine._faults import ComponentError
from aisb_engine._record.manifest import task_version
from aisb_engine._record.predictions import SAMPLES, LoggedSamples, read_logged_answers, read_samples
from aisb_engine._record.runfolder import RunFolder, read_json
from aisb_engine._record.scores import read_scores
from aisb_engine._resolve.rules import own_spec
from aisb_engine._scoring.judges import is_judged
from aisb_engine._scoring.judging import judging_of
from aisb_engine._scoring.scoring import score
from aisb_engine._scoring.sent_prompts import with_sent_prompts
from aisb_engine._scoring.subtask_results import distributions, remade
from aisb_engine._spec import RunSpec, Subtask, Task

if TYPE_CHECKING:
    from aisb._evaluator import Ask
    from aisb._plugins import Plugins


class Grade(NamedTuple):
    """The grade of one repeat of a sample; `cluster` is that of the sample, if known."""

    outcome: Outcome
    value: float
    answer: str | None
    target: Any
    cluster: str | None = None


class OpenedRun(NamedTuple):
    """A run folder and the configuration of the run."""

    folder: RunFolder
    spec: RunSpec

    @property
    def models(self) -> list[str]:
        """The models of the run, in order."""
        return list(dict.fromkeys(subtask.model for subtask in self.spec.subtasks))

    def subtasks(self, models: Sequence[str] = (), tasks: Sequence[str] = ()) -> list[Subtask]:
        """Return the subtasks of some models and tasks; an empty sequence selects all.

        Raises:
            UnknownName: the run has no such model or task.
        """
        for name in models:
            if name not in self.models:
                raise UnknownName(f"model in {self.folder}", name, self.models)
        known = {subtask.task for subtask in self.spec.subtasks}
        for name in tasks:
            if name not in known:
                raise UnknownName(f"task in {self.folder}", name, known)
        return [
            subtask
            for subtask in self.spec.subtasks
            if (not models or subtask.model in models) and (not tasks or subtask.task in tasks)
        ]


def open_run(work_dir: Path, name: str, plugins: Plugins) -> OpenedRun:
    """Find a run by its timestamp, its path, or `latest`, and read its configuration.

    Raises:
        RunError: there is no such run.
        UsageError: its configuration can no longer be resolved.
    """
    folder = RunFolder.find(work_dir, name)
    return OpenedRun(folder, own_spec(folder, plugins))


class Answers(NamedTuple):
    """The samples of a subtask, as they were sent and as the current rules make them, and their predictions.

    `unmade` has the errors of samples that could not be made again by the current rules of the task.
    """

    logged: LoggedSamples
    samples: Mapping[str, Sample]
    predictions: Sequence[Prediction]
    unmade: Mapping[str, ComponentError] | None = None

    @property
    def asked(self) -> LoggedSamples:
        """The old name of `logged`."""
        warnings.warn("Answers.asked is now logged; 0.4 removes it", DeprecationWarning, stacklevel=2)
        return self.logged


def read_answers(folder: RunFolder, subtask: Subtask, task: Task, plugins: Plugins) -> Answers:
    """Read the samples and predictions of a subtask from its log.

    Raises:
        RunError: the subtask was never started, or the log is damaged.
    """
    logged = read_logged_answers(folder, subtask.model, subtask.task, subtask.repeats)
    samples, unmade = remade(logged.task, task, plugins)
    if is_judged(task, plugins):
        samples = with_sent_prompts(samples, logged.task.samples, task)
    return Answers(logged.task, samples, logged.predictions, unmade)


def judge_from_log(run: OpenedRun, task: Task, plugins: Plugins) -> Ask | None:
    """Return the run's judge, which answers from its log; None if the task has no judge."""
    judged = is_judged(task, plugins)
    judging = judging_of(run.folder, run.spec, plugins) if judged else None
    return judging.ask if judging else None


async def read_grades(
    run: OpenedRun, subtask: Subtask, plugins: Plugins, note: Callable[[str], None] | None = None
) -> dict[str, list[Grade]]:
    """Return the grades of a subtask by sample id, in repeat order.

    Answers are graded again from the log, by the run's own rules with the current code. If the log or that of
    the judge is missing, these are the grades of the latest scoring pass (`--dump-eval-details`). If the
    judge got another form of question than the current code asks, they are the scores of that pass, and
    `note` is called with a line that says so.

    Raises:
        RunError: there are no answers, or the judge did not answer about all of them.
        UsageError: the task has no evaluator.
    """
    folder, task = run.folder, run.spec.tasks[subtask.task]
    if not task.evaluate:
        raise UsageError(f"{task.name} has no evaluator, so its answers cannot be graded")
    if not _can_regrade(run, subtask, plugins) and (kept := _kept(folder, subtask, task)) is not None:
        return _with_clusters(kept, folder, subtask) if task.sample.cluster else kept
    _, samples, predictions, unmade = read_answers(folder, subtask, task, plugins)
    ask = judge_from_log(run, task, plugins)
    marks = run.spec.models[subtask.model].marks
    try:
        by_name = await score(task, samples, predictions, plugins, ask=ask, unmade=unmade, marks=marks)
    except RunError:
        stored = _stored_scores(folder, subtask, predictions)
        if ask is None or stored is None:
            raise
        if note:
            note("the current code asks the judge in another form; the verdicts of the last scoring count")
        scored = stored
    else:
        scored = next(iter(by_name.values()))
    grades: dict[str, list[Grade]] = {}
    for one in scored:
        target = samples[one.sample_id].target
        grades.setdefault(one.sample_id, []).append(
            Grade(one.outcome or "error", one.value, one.answer, target, one.cluster)
        )
    if not grades:
        raise RunError(f"{folder}: {subtask.model} has no answers to {subtask.task} yet")
    return grades


def _stored_scores(
    folder: RunFolder, subtask: Subtask, predictions: Sequence[Prediction]
) -> list[Score] | None:
    """Return the stored scores of the first evaluator; None if an answer has none."""
    verdicts = read_scores(folder, subtask.model, subtask.task) or []
    scores = {
        (one.id, one.repeat): Score(one.value, one.outcome, one.id, one.repeat, one.evaluator, one.answer)
        for one in verdicts
        if one.evaluator == verdicts[0].evaluator
    }
    for prediction in predictions:
        score = scores.get((prediction.sample_id, prediction.repeat))
        if score is None or (score.outcome == "error" and prediction.failure is None):
            return None
    return list(scores.values())


def _can_regrade(run: OpenedRun, subtask: Subtask, plugins: Plugins) -> bool:
    log = run.folder.log(subtask.model, subtask.task)
    judge = run.spec.judge if is_judged(run.spec.tasks[subtask.task], plugins) else None
    logs = [log, *([run.folder.judge(judge.model.abbr)] if judge else [])]
    return (log / SAMPLES).exists() and all(any(folder.glob("worker-*")) for folder in logs)


def grade_notes(run: OpenedRun, subtask: Subtask, plugins: Plugins) -> list[str]:
    """Return notes on the grades that `read_grades` returns for a subtask.

    There is a note if some groups were left out, if the results in the folder are those of a trial by other
    rules, and if the answers cannot be graded again and were graded by another version of the rules.
    """
    path = run.folder.results(subtask.model, subtask.task)
    results = read_json(path) if path.exists() else {}
    notes = []
    some = next((metric["groups"] for metric in results.get("metrics", ()) if metric.get("groups")), None)
    if some:
        notes.append("over {} of {} groups".format(*some))
    if trial := results.get("trial"):
        notes.append(f"last scored by other rules ({', '.join(trial)}); compared by its own")
    if results and not _can_regrade(run, subtask, plugins):
        today = distributions(run.spec.tasks[subtask.task], plugins)
        before = results.get("graded_by") or {}
        differing = [
            f"{name} {before.get(name, 'of an unknown version')}, today {version}"
            for name, version in today.items()
            if before.get(name) != version
        ]
        if differing:
            notes.append(f"its log is gone, and it was graded by other rules: {'; '.join(differing)}")
    return notes


def _kept(folder: RunFolder, subtask: Subtask, task: Task) -> dict[str, list[Grade]] | None:
    path = folder.results(subtask.model, subtask.task)
    if not path.exists():
        return None
    results = read_json(path)
    own = results.get("version") == task_version(task) and not results.get("trial")
    if not results.get("details") or not own:
        return None
    try:
        return {
            key: [
                Grade(entry["outcome"], entry["value"], entry["predictions"], entry["references"])
                for entry in (found if isinstance(found, list) else [found])
            ]
            for key, found in results["details"].items()
        }
    except (KeyError, TypeError):  # an evaluator with other details: grade again
        return None


def _with_clusters(
    kept: dict[str, list[Grade]], folder: RunFolder, subtask: Subtask
) -> dict[str, list[Grade]]:
    """Add the clusters from the log's samples, if there are any; a baseline may be kept without its log."""
    try:
        logged = read_samples(folder, subtask.model, subtask.task)
    except RunError:
        return kept
    shared = {one.sample.id: one.sample.cluster for one in logged.samples}
    return {key: [one._replace(cluster=shared.get(key)) for one in grades] for key, grades in kept.items()}
