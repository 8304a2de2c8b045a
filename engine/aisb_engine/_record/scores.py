"""Store the grade of every answer next to the results, so that reporters need no evaluator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from aisb._errors import RunError
from aisb._types import Outcome, Score
from aisb_engine._record.runfolder import RunFolder, json_line, write_atomically


class GradedAnswer(NamedTuple):
    """The grade of one answer by one evaluator; `span` is the position of the answer in the raw text."""

    id: str
    repeat: int
    evaluator: str
    outcome: Outcome
    value: float
    answer: str | None
    rule: str
    span: tuple[int, int] | None
    details: Mapping[str, Any]


def write_scores(folder: RunFolder, model: str, task: str, scored: Mapping[str, Sequence[Score]]) -> None:
    """Write the scores of a subtask, a line for each evaluator and answer; the first evaluator first."""
    write_atomically(folder.scores(model, task), (json_line(score_line(score)) for score in _all(scored)))


def read_scores(folder: RunFolder, model: str, task: str) -> list[GradedAnswer] | None:
    """Return the stored scores of a subtask; None if it was not scored.

    Raises:
        RunError: the file is damaged.
    """
    path = folder.scores(model, task)
    if not path.exists():
        return None
    try:
        return [_graded_answer(orjson.loads(line)) for line in path.read_bytes().splitlines()]
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(
            f"{path} is damaged: {error}\n  score the run again: {folder.command('aisb score')}"
        ) from error


def _all(scored: Mapping[str, Sequence[Score]]) -> Iterable[Score]:
    return (score for scores in scored.values() for score in scores)


def score_line(score: Score) -> dict[str, Any]:
    """Return a score as a line of the file."""
    line: dict[str, Any] = {
        "id": score.sample_id,
        "repeat": score.repeat,
        "evaluator": score.evaluator,
        "outcome": score.outcome,
        "value": score.value,
        "answer": score.answer,
        "rule": score.rule,
        "span": list(score.span) if score.span else None,
    }
    return {**line, "details": dict(score.details)} if score.details else line


def _graded_answer(line: Mapping[str, Any]) -> GradedAnswer:
    span = line["span"]
    return GradedAnswer(
        line["id"],
        line["repeat"],
        line["evaluator"],
        line["outcome"],
        line["value"],
        line["answer"],
        line["rule"],
        (span[0], span[1]) if span else None,
        line.get("details", {}),
    )
