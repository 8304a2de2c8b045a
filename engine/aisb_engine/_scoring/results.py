"""Score a run from its log and write `results/`, without sending anything except questions to a judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from aisb._plugins import Plugins
from aisb._types import Score, request_id
from aisb_engine._faults import PluginFaults
from aisb_engine._progress import Display
from aisb_engine._record.manifest import now
from aisb_engine._record.predictions import SAMPLES, LoggedAnswers, read_logged_answers, write_predictions
from aisb_engine._record.runfolder import RunFolder, write_atomically
from aisb_engine._record.scores import write_scores
from aisb_engine._scoring.graders import Graders, RunGraders
from aisb_engine._scoring.judging import Judging
from aisb_engine._scoring.subtask_results import grade_subtask
from aisb_engine._spec import MarksTable, RunTable, Subtask, Task


@dataclass(slots=True)
class ScoredSubtask:
    """The result of scoring a run: failed requests, failed questions to the judge, and notes.

    `unmade` is the number of samples that were never sent because a plugin raised.
    """

    failed: int = 0
    unjudged: int = 0
    unmade: int = 0
    notes: list[str] = field(default_factory=list)


async def score_run(
    graders: RunGraders,
    folder: RunFolder,
    display: Display,
    *,
    faults: PluginFaults,
    answers: dict[str, LoggedAnswers],
    left_out: Mapping[str, str] | None = None,
    trials: Mapping[str, Sequence[str]] | None = None,
) -> ScoredSubtask:
    """Score every subtask of a run; `faults` records exceptions of plugins, which end nothing else.

    `answers` are logs that were read already, by the key of the subtask; they are removed from it. `left_out`
    are tasks that could not be run, with the reason. `trials` has for each task the keys of the rules that
    differ from the run's own.

    Raises:
        RunError: a subtask was never started.
        ServiceError: the judge cannot be reached; its verdicts so far are kept.
        UsageError: a postprocessor or evaluator does not exist, or does not take its options.
    """
    scoring = folder.new_pass(datetime.now())  # noqa: DTZ005 - as run folders
    scored, spec, judging = ScoredSubtask(), graders.spec, graders.judging
    async with judging or nullcontext():
        for subtask in spec.subtasks:
            task, name = spec.tasks[subtask.task], f"{subtask.task} · {subtask.model}"
            if not task.evaluate:
                display.say(
                    f"{subtask.task} has no evaluator: its predictions are kept, but not scored; "
                    "--judge NAME grades them by a model"
                )
                continue
            if why := (left_out or {}).get(subtask.task):
                scored.unmade += 1
                reason = "" if faults.faults else f": {why}"  # this command's own faults include it
                scored.notes.append(f"{name}: not run, and not scored{reason}")
                if not (folder.log(subtask.model, subtask.task) / SAMPLES).exists():
                    continue
            async with graders.placed(subtask, display) as placed:
                results = await score_subtask(
                    folder,
                    subtask,
                    task,
                    graders.plugins,
                    run=spec.run,
                    scoring=scoring,
                    graders=placed,
                    answers=answers.pop(subtask.key, None),
                    judging=judging,
                    display=display,
                    faults=faults,
                    marks=spec.models[subtask.model].marks,
                    trial=(trials or {}).get(subtask.task, ()),
                )
            scored.failed += results["failed"]
            scored.unmade += results["broken_samples"]
            if left := results["not_sent"]:
                scored.notes.append(f"{name}: {left} requests were not sent yet; the score covers the others")
            if questions := results.get("environment_requests"):
                scored.notes.append(f"{name}: {_words_of(questions)}")
            if judging and "judge" in results:
                scored.unjudged += judging.tally.failed
                scored.notes.append(f"{name}: {judging.tally.summary(judging.name)}")
                if judging.tally.failed:
                    scored.notes.append(
                        f"  the first failure: {judging.progress.first_failure}\n"
                        f"  see {judging.log_file}; ask the missing questions with: "
                        f"{folder.command('aisb score')}"
                    )
    return scored


async def score_subtask(
    folder: RunFolder,
    subtask: Subtask,
    task: Task,
    plugins: Plugins,
    *,
    run: RunTable,
    scoring: str,
    graders: Graders,
    faults: PluginFaults,
    answers: LoggedAnswers | None = None,
    judging: Judging | None = None,
    display: Display | None = None,
    marks: MarksTable | None = None,
    trial: Sequence[str] = (),
) -> dict[str, Any]:
    """Score the log of a subtask and write its results; return them.

    `answers` is the log if it was read already and the prediction files are written. `trial` are the keys of
    the rules that differ from the run's own. Reference answers are derived again from the logged rows, so a
    task may define them differently now. `faults` records exceptions of plugins; the results name what is
    missing for that reason.

    Raises:
        RunError: the subtask was never started.
        UsageError: a postprocessor or evaluator does not exist, or does not take its options.
        ServiceError: the judge cannot be reached.
    """
    model, name = subtask.model, subtask.task
    if answers is None:
        answers = read_logged_answers(folder, model, name, subtask.repeats)
        write_predictions(
            folder, model, name, answers, repeats=subtask.repeats, also_json=run.predictions_json
        )
    results, scored, first = await grade_subtask(
        folder,
        subtask,
        task,
        plugins,
        run=run,
        graders=graders,
        faults=faults,
        answers=answers,
        judging=judging,
        display=display,
        marks=marks,
        trial=trial,
    )
    data = orjson.dumps(results, option=orjson.OPT_INDENT_2, default=str)
    write_atomically(folder.results(model, name, scoring), data)
    write_scores(folder, model, name, scored)
    write_atomically(folder.results(model, name), data)
    _write_log(folder, subtask, results, first)
    return results


def _words_of(asked: Mapping[str, Any]) -> str:
    """Return a line on what an environment asked another model."""
    tokens = asked["tokens"]
    words = f"its environment asked another model {asked['questions']} questions"
    if tokens["input"]["reported"] and tokens["output"]["reported"]:
        words += f", {tokens['input']['sum']:,} tokens in, {tokens['output']['sum']:,} out"
    if unknown := tokens["requests"] - min(tokens["input"]["reported"], tokens["output"]["reported"]):
        words += f" (unknown for {unknown} of {tokens['requests']} replies)"
    return words


def _write_log(
    folder: RunFolder, subtask: Subtask, results: Mapping[str, Any], scores: Sequence[Score]
) -> None:
    path = folder.eval_log(subtask.model, subtask.task)
    path.parent.mkdir(parents=True, exist_ok=True)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in results["outcomes"].items() if count)
    with path.open("a", encoding="utf-8") as lines:
        lines.write(
            f"{now()} scored {results['predictions']} predictions, version {results['version']}: {counts}\n"
        )
        for score in scores:
            if score.outcome == "error" and "failure" not in score.details:
                why = "; ".join(f"{key}: {value}" for key, value in score.details.items())
                request = request_id(score.sample_id, score.repeat)
                lines.write(f"{now()} request {request}: not graded: {' '.join(why.split())}\n")
