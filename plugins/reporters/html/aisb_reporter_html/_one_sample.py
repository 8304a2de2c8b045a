"""One sample in the form of the page's reader, for pages that get their samples from a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from aisb import Row
from aisb_reporter_html._answers import Answered, Packer, TaskAnswers

MAX_TEXT_LENGTH = 200_000
"""Texts longer than this many characters lose their middle."""


class SampleAnswer(NamedTuple):
    """One answer to a sample: its model, its rows of `FinishedRun.requests()` by turn, and of `scores()`."""

    model: str
    lines: Sequence[Row]
    scores: Sequence[Row]


def pack_sample(
    answers: Sequence[SampleAnswer],
    choices: Sequence[str] = (),
    *,
    neighbour: Row | None = None,
    most: int = MAX_TEXT_LENGTH,
) -> dict[str, Any]:
    """Return the answers to one sample of a task as `openReader` reads them: `head` and `blocks`.

    `answers` are of one task and one sample, at least one; `choices` are its options, if they were compared.
    `neighbour` is a row of another sample of the task: the reader folds what both prompts share. It is the
    second sample of the result.
    """
    first = answers[0].lines[0]
    sample = {"group": first["group"], "gold": first["gold"], "choices": tuple(choices)}
    task = TaskAnswers(first["task"], {first["id"]: sample}, [])
    for model in dict.fromkeys(answer.model for answer in answers):
        own_answers = [answer for answer in answers if answer.model == model]
        scores = {
            (answer.lines[-1]["id"], answer.lines[-1]["repeat"]): list(answer.scores)
            for answer in own_answers
        }
        lines = [list(answer.lines) for answer in own_answers]
        if neighbour is not None and neighbour["model"] == model:
            task.samples[neighbour["id"]] = {
                "group": neighbour["group"],
                "gold": neighbour["gold"],
                "choices": (),
            }
            lines.append([neighbour])
        task.answered.append(Answered(model, lines[0][0]["file"], lines, scores))
    head, blocks = Packer(most).pack(task)
    return {"head": head, "blocks": [orjson.loads(block) for block in blocks]}
