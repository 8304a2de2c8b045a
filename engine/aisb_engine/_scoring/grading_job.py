"""The work of a worker that grades, wherever a launcher places it: make the evaluators, and grade.

A worker sends `ready`, and for each answer `graded` (the number of the question) with `score` or `raised`.
The run sends `grade` (a number) with `evaluator` and `of` (the answer and its sample), and `stop`. A message
with `worker` is for that worker only.
"""

from __future__ import annotations

import asyncio
import base64
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson

from aisb._errors import AisbError
from aisb._evaluator import Evaluator
from aisb._options import arguments
from aisb._running import Channel
from aisb._types import Sample, Score
from aisb_engine._faults import RAISED, exception_from, exception_table, is_stop
from aisb_engine._scoring.grading import score_by


@dataclass(frozen=True, slots=True)
class EvaluatorRecipe:
    """How another process makes an evaluator: the import path of its factory, and the options."""

    place: str
    options: Mapping[str, Any]

    def make(self) -> Evaluator:
        """Make the evaluator, in the process of a worker."""
        module, _, name = self.place.partition(":")
        factory = getattr(import_module(module), name)
        evaluator: Evaluator = factory(**arguments(factory, self.options, {}))
        return evaluator


@dataclass(slots=True)
class GradingJob:
    """The work of one worker. `evaluators` are by the names in their scores."""

    number: int
    evaluators: Mapping[str, EvaluatorRecipe]
    environment: Mapping[str, str] = field(default_factory=dict)
    reads: Sequence[Path] = ()
    writes: Sequence[Path] = ()

    async def run(self, channel: Channel, folder: Path | None = None) -> None:
        """Grade until the run says stop, or is gone."""
        del folder  # everything comes in messages
        try:
            evaluators = {name: recipe.make() for name, recipe in self.evaluators.items()}
        except AisbError as error:
            channel.send({"error": str(error)})
            return
        channel.send({"ready": True})
        async with asyncio.TaskGroup() as grading:
            tasks = set[asyncio.Task[None]]()
            while (message := await channel.receive()) is not None and "stop" not in message:
                if message.get("worker", self.number) != self.number or "grade" not in message:
                    continue
                task = grading.create_task(_grade(evaluators[message["evaluator"]], message, channel))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            for task in [*tasks]:
                task.cancel()


def question(number: int, evaluator: str, answer: str | None, sample: Sample) -> dict[str, Any]:
    """Return the message that asks a worker to grade an answer."""
    pickled = base64.b64encode(pickle.dumps((answer, sample))).decode("ascii")
    return {"grade": number, "evaluator": evaluator, "of": pickled}


def read_score(message: Mapping[str, Any]) -> Score:
    """Return the score in a worker's message.

    Raises:
        Exception: the evaluator raised; its class has the name of that of the exception there.
    """
    if "raised" in message:
        raise exception_from(message["raised"])
    table = dict(message["score"])
    span = table.pop("span")
    return Score(**table, span=None if span is None else (span[0], span[1]))


async def _grade(evaluator: Evaluator, message: Mapping[str, Any], channel: Channel) -> None:
    """Grade one answer, and send the score or what the evaluator raised."""
    answer, sample = pickle.loads(base64.b64decode(message["of"]))  # noqa: S301 - of the run that sent the job
    try:
        score = await score_by(evaluator, answer, sample)
        graded: dict[str, Any] = {"score": _table(score)}
    except RAISED as error:
        if is_stop(error):
            raise
        graded = {"raised": exception_table(error)}
    channel.send({"graded": message["grade"], **graded})


def _table(score: Score) -> dict[str, Any]:
    """Return what an evaluator sets of a score, as JSON values."""
    names = ("value", "outcome", "answer", "rule", "span", "details")
    table = {name: getattr(score, name) for name in names}
    data = orjson.dumps(table, default=str, option=orjson.OPT_NON_STR_KEYS)
    plain: dict[str, Any] = orjson.loads(data)
    return plain
