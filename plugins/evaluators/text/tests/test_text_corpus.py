"""The corpora of outputs: our verdict is that of a careful person, and no wrong answer is called right."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from aisb import Evaluator, Postprocessor, Prediction, Sample
from aisb_engine._scoring.grading import outcome
from aisb_engine._scoring.steps import Steps
from aisb_evaluator_text._choices import choice
from aisb_evaluator_text._matching import ChoiceMatch, NumericMatch
from aisb_evaluator_text._number_steps import number

HERE = Path(__file__).parent


def verdict(row: dict, step: Postprocessor, judge: Evaluator) -> str:
    sample = Sample("0", row, row["target"], tuple(row.get("choices", ())))
    prediction = Prediction("0", text=row["output"], finish_reason=row.get("finish_reason", "stop"))
    found = Steps([("step", step)]).extract(row["output"], sample)
    if found is None:
        return outcome(prediction, None, 0)
    assert found.span is not None
    score = judge.score(found.text, sample)
    return outcome(prediction, None if score.outcome == "unparsed" else found, score.value)


@pytest.mark.parametrize(
    ("file", "step", "judge"),
    [
        ("corpus_numbers.jsonl", number, NumericMatch),
        ("corpus_choices.jsonl", choice, ChoiceMatch),
    ],
)
def test_the_verdicts_of_a_corpus_agree(file: str, step: Callable, judge: Callable):
    rows = [json.loads(line) for line in (HERE / file).read_text().splitlines()]
    assert len(rows) >= 350
    found = [(verdict(row, step(), judge()), row) for row in rows]
    differing = [f"{ours} for {row}" for ours, row in found if ours != row["verdict"]]
    silently_wrong = [
        line for line in differing if line.startswith("correct") or "'verdict': 'correct'" in line
    ]
    assert not silently_wrong, "\n".join(differing)
    assert len(differing) <= len(rows) / 100, "\n".join(differing)


def test_what_is_known_to_be_read_otherwise_than_by_a_person_is_still_so():
    """Rows of corpus_limits.jsonl: one that agrees by now belongs into its corpus."""
    kinds = {"numbers": (number, NumericMatch), "choices": (choice, ChoiceMatch)}
    for line in (HERE / "corpus_limits.jsonl").read_text().splitlines():
        row = json.loads(line)
        step, judge = kinds[row["kind"]]
        assert verdict(row, step(), judge()) == row["ours"] != row["verdict"], row
