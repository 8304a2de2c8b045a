"""The results of a run so far, while it is running: accuracy, tokens and rates, graded from its log.

Answers are graded as they arrive, each one once, by the code that scores the run at its end. Tasks whose
grading asks a judge, runs programs or needs an environment are left to that end. `aisb view` and the display
of `aisb run` show these results.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aisb import OUTCOMES, AisbError, Metric, Prediction, Score
from aisb.helpers import clustered

if TYPE_CHECKING:
    from aisb import Evaluator
    from aisb_engine import OpenedRun, Plugins, Subtask, Task

REST = 8.0
"""Reading the log may take one part in so many of the time, so that a long run is not slowed down."""
PERFORMANCE_REST = 50.0
"""The same for a performance run, whose measurements must not be disturbed."""
SHORTEST_REST = 1.0
RECENT = 10.0
"""The seconds over which the current rate of tokens is taken; longer if the log was read less often."""

GRADED_AT_ONCE = 16
"""The number of answers that are graded before `pause` is called."""

Key = tuple[str, int]


@dataclass(slots=True)
class _Subtask:
    """What is known of one subtask: the grade of each answer, and tokens over time."""

    scores: dict[Key, Score] = field(default_factory=dict)
    evaluators: dict[str, Evaluator] = field(default_factory=dict)
    seen: dict[Key, tuple[int, int]] = field(default_factory=dict)  # turn and attempts of graded answers
    not_graded: str = ""
    tokens: int | None = None
    history: list[tuple[float, int]] = field(default_factory=list)


class LiveResults:
    """The results of one running run. Not safe for threads: one caller at a time.

    `pause` is called after each part of the work with the processor seconds that it took. It may wait,
    so that work goes on slowly, and may raise to end it.
    """

    def __init__(
        self, run: OpenedRun, plugins: Plugins, pause: Callable[[float], None] = lambda _: None
    ) -> None:
        self._run = run
        self._plugins = plugins
        self._pause = pause
        self._subtasks: dict[tuple[str, str], _Subtask] = {}
        self._rest = PERFORMANCE_REST if run.spec.run.performance else REST
        self._next = 0.0
        self._latest: list[dict[str, Any]] = []

    def read(self) -> list[dict[str, Any]]:
        """Return an entry for each subtask that has answers, read again once enough time has passed."""
        began = time.monotonic()
        if began >= self._next:
            self._latest = [found for one in self._run.spec.subtasks if (found := self.read_subtask(one))]
            now = time.monotonic()
            # The first time includes loading the graders, which is done once.
            self._next = now + (
                max(SHORTEST_REST, self._rest * (now - began)) if self._next else SHORTEST_REST
            )
        return self._latest

    def read_subtask(self, subtask: Subtask, most: int | None = None) -> dict[str, Any] | None:
        """Return the entry of one subtask, read now; None if it has no answers yet.

        At most `most` further answers are graded.
        """
        from aisb_engine import read_answers

        task = self._run.spec.tasks[subtask.task]
        known = self._subtasks.setdefault((subtask.model, subtask.task), _Subtask())
        began = time.thread_time()
        try:
            answers = read_answers(self._run.folder, subtask, task, self._plugins)
        except (
            AisbError
        ):  # it has not begun, or it is a load without an evaluator, whose samples are not kept
            return self._read_counts(known, subtask)
        latest = {(one.sample_id, one.repeat): one for one in answers.predictions}
        _count_tokens(known, [one.usage.output_tokens if one.usage else None for one in answers.predictions])
        if not known.not_graded:
            new = [one for key, one in latest.items() if known.seen.get(key) != (one.turn, one.attempts)]
            try:
                known.not_graded = self._why_not(known, task)
                if known.not_graded:
                    new = []
                self._pause(time.thread_time() - began)
                self._grade(known, subtask, task, answers.samples, new[:most])
            except AisbError as error:
                known.not_graded = f"it is graded at the end: {str(error).splitlines()[0]}"
        began = time.thread_time()
        summary = _summary(known)
        self._pause(time.thread_time() - began)
        return {"model": subtask.model, "task": subtask.task, **summary}

    def _why_not(self, known: _Subtask, task: Task) -> str:
        """Return why a task is graded at its end only; empty if its answers are graded as they arrive."""
        from aisb_engine import is_judged, make_evaluators

        if not task.evaluate:
            return "the task has no evaluator"
        if is_judged(task, self._plugins):
            return "a judge grades it at the end"
        if task.environment:
            return "its environment grades it at the end"
        known.evaluators = known.evaluators or make_evaluators(task, self._plugins)
        if any(inspect.iscoroutinefunction(one.score) for one in known.evaluators.values()):
            return "other processes grade it at the end"
        return ""

    def _grade(
        self,
        known: _Subtask,
        subtask: Subtask,
        task: Task,
        samples: Mapping[str, Any],
        new: list[Prediction],
    ) -> None:
        from aisb_engine import score_predictions

        marks = self._run.spec.models[subtask.model].marks
        for first in range(0, len(new), GRADED_AT_ONCE):
            part = new[first : first + GRADED_AT_ONCE]
            began = time.thread_time()
            scored = asyncio.run(
                score_predictions(task, samples, part, self._plugins, judges=known.evaluators, marks=marks)
            )
            for score in next(iter(scored.values()), ()):
                known.scores[score.sample_id, score.repeat] = score
            known.seen |= {(one.sample_id, one.repeat): (one.turn, one.attempts) for one in part}
            self._pause(time.thread_time() - began)

    def _read_counts(self, known: _Subtask, subtask: Subtask) -> dict[str, Any] | None:
        """Return what is known of a subtask without its samples; None if it has no answers yet."""
        from aisb_engine import open_finished_run

        source = open_finished_run(self._run.folder.path, plugins=self._plugins).source
        rows = source.rows("requests", subtask.model, subtask.task) if source else ()
        counts = [(row["usage"] or {}).get("output_tokens") for row in rows]
        if not counts:
            return None
        known.not_graded = "the task has no evaluator"
        _count_tokens(known, counts)
        return {"model": subtask.model, "task": subtask.task, **_summary(known)}


def _count_tokens(known: _Subtask, counts: Iterable[int | None]) -> None:
    """Add up output tokens, and keep the sums of the last seconds."""
    some = [count for count in counts if count is not None]
    known.tokens = sum(some) if some else None
    now = time.monotonic()
    recent = [one for one in known.history if one[0] > now - RECENT] or known.history[-1:]
    known.history = [*recent, (now, known.tokens or 0)]


def _headline(known: _Subtask) -> Metric | None:
    """Return the main metric of the answers so far: the evaluator's own, or the share of correct answers."""
    scores = list(known.scores.values())
    if not scores:
        return None
    try:
        own = next(iter(known.evaluators.values())).summarize(scores)
    except Exception as error:  # noqa: BLE001 - a plugin's code; the run itself will name it
        known.not_graded = f"it is summed up at the end: {error}"
        return None
    if own is not None:
        return next((metric for metric in own if metric.group is None), None)
    clusters: dict[str, list[float]] = {}
    for score in scores:
        clusters.setdefault(score.cluster or f"\0{score.sample_id}", []).append(score.outcome == "correct")
    share = sum(map(sum, clusters.values())) / len(scores)
    low, high = clustered(clusters.values())
    return Metric("accuracy", 100 * share, 100 * low, 100 * high, "%", len(scores))


def _summary(known: _Subtask) -> dict[str, Any]:
    """Return the score so far with its interval in percent, outcomes, and output tokens with their rate."""
    metric = _headline(known)
    table: dict[str, Any] = {
        "metric": None,
        "unit": None,
        "n": len(known.scores),
        "not_graded": known.not_graded or None,
        "value": None,
        "low": None,
        "high": None,
        "outcomes": dict.fromkeys(OUTCOMES, 0),
        "output_tokens": known.tokens,
        "tokens_per_second": None,
    }
    for score in known.scores.values():
        table["outcomes"][score.outcome or "error"] += 1
    if metric:
        table |= {
            "metric": metric.name,
            "unit": metric.unit,
            "value": metric.value,
            "low": metric.low,
            "high": metric.high,
        }
    (first, before), (last, after) = known.history[0], known.history[-1]
    if known.tokens is not None and last > first:
        table["tokens_per_second"] = (after - before) / (last - first)
    return table
