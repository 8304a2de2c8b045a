"""A check of tasks in mode `logprob`, over rows that a test wrote."""

from __future__ import annotations

from typing import Any

import pytest

from aisb import Logprob, Prediction
from aisb_engine._scoring.scoring import score


async def check_log_likelihoods(plugins: Any, task: Any, samples: Any, renderer: Any) -> None:
    """Check that a task compares one continuation per option, and grades the most likely one."""
    predictions: dict[bool, list[Prediction]] = {True: [], False: []}
    for sample in samples:
        continuations = renderer.request(sample).continuations
        assert len(set(continuations)) == len(sample.choices)
        letters = "ABCDEFGHIJKLMNOP"[: len(sample.choices)]
        for is_right, answers in predictions.items():
            totals = [-1.0 if (letter in sample.target) == is_right else -90.0 for letter in letters]
            logprobs = tuple(Logprob(total, 1, False, 0, 1, total, 1) for total in totals)
            answers.append(Prediction(sample.id, logprobs=logprobs, finish_reason="stop"))
    for is_right, answers in predictions.items():
        (scores,) = (await score(task, {one.id: one for one in samples}, answers, plugins)).values()
        assert all(one.value == pytest.approx(float(is_right)) for one in scores)
